// Package cabtest writes cabinets for tests.
package cabtest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
)

// File is a member to be written.
type File struct {
	Name    string
	Content []byte
}

// Options shape a cabinet. The zero value stores every member in one folder.
type Options struct {
	Method    uint16 // 0 stored, 1 MSZIP; others are written stored and claimed
	PerFolder int    // members of each folder; 0: all in one
	Reserve   byte   // bytes reserved in each folder's and block's header
	NoSums    bool   // leave the checksums out
}

const window = 32 << 10

// Write makes a cabinet.
func Write(files []File, opts Options) []byte {
	per := opts.PerFolder
	if per == 0 {
		per = max(1, len(files))
	}
	var folders [][]byte // blocks of each
	var counts []int
	var table bytes.Buffer
	for i := 0; i < len(files); i += per {
		group := files[i:min(i+per, len(files))]
		var data []byte
		for _, f := range group {
			le := binary.LittleEndian
			entry := le.AppendUint32(nil, uint32(len(f.Content)))
			entry = le.AppendUint32(entry, uint32(len(data)))
			entry = le.AppendUint16(entry, uint16(i/per))
			entry = append(entry, 0, 0, 0, 0, 0x80, 0) // date, time, name is UTF-8
			table.Write(entry)
			table.WriteString(f.Name + "\x00")
			data = append(data, f.Content...)
		}
		blocks, count := pack(data, opts)
		folders, counts = append(folders, blocks), append(counts, count)
	}
	return assemble(folders, counts, table.Bytes(), len(files), opts)
}

func pack(data []byte, opts Options) (blocks []byte, count int) {
	var history []byte
	for at := 0; at < len(data); at += window {
		plain := data[at:min(at+window, len(data))]
		packed := plain
		if opts.Method == 1 {
			var out bytes.Buffer
			out.WriteString("CK")
			w, err := flate.NewWriterDict(&out, flate.BestCompression, history)
			if err == nil {
				_, err = w.Write(plain)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				panic(err)
			}
			packed, history = out.Bytes(), plain
		}
		le := binary.LittleEndian
		sizes := le.AppendUint16(le.AppendUint16(nil, uint16(len(packed))), uint16(len(plain)))
		sizes = append(sizes, make([]byte, opts.Reserve)...)
		sum := uint32(0)
		if !opts.NoSums {
			sum = Sum(sizes, Sum(packed, 0))
		}
		blocks = append(le.AppendUint32(blocks, sum), sizes...)
		blocks = append(blocks, packed...)
		count++
	}
	return blocks, count
}

// Sum is the checksum of a block, written out as [MS-CAB] has it.
func Sum(data []byte, seed uint32) uint32 {
	i := 0
	for ; i+4 <= len(data); i += 4 {
		seed ^= uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16 | uint32(data[i+3])<<24
	}
	switch len(data) - i {
	case 3:
		seed ^= uint32(data[i])<<16 | uint32(data[i+1])<<8 | uint32(data[i+2])
	case 2:
		seed ^= uint32(data[i])<<8 | uint32(data[i+1])
	case 1:
		seed ^= uint32(data[i])
	}
	return seed
}

func assemble(folders [][]byte, counts []int, table []byte, files int, opts Options) []byte {
	le := binary.LittleEndian
	head := 36
	flags := uint16(0)
	if opts.Reserve > 0 {
		flags, head = 4, 40
	}
	tableAt := head + len(folders)*(8+int(opts.Reserve))
	at := tableAt + len(table)
	var entries, data []byte
	for i, blocks := range folders {
		entries = le.AppendUint32(entries, uint32(at+len(data)))
		entries = le.AppendUint16(entries, uint16(counts[i]))
		entries = le.AppendUint16(entries, opts.Method)
		entries = append(entries, make([]byte, opts.Reserve)...)
		data = append(data, blocks...)
	}
	out := append([]byte("MSCF"), 0, 0, 0, 0)
	out = le.AppendUint32(out, uint32(at+len(data)))
	out = le.AppendUint32(out, 0)
	out = le.AppendUint32(out, uint32(tableAt))
	out = append(le.AppendUint32(out, 0), 3, 1)
	out = le.AppendUint16(out, uint16(len(folders)))
	out = le.AppendUint16(out, uint16(files))
	out = le.AppendUint16(out, flags)
	out = append(out, 0, 0, 0, 0)
	if opts.Reserve > 0 {
		out = append(out, 0, 0, opts.Reserve, opts.Reserve)
	}
	return append(append(append(out, entries...), table...), data...)
}
