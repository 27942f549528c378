package authenticode

import (
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sassoftware/relic/v7/lib/pkcs9"
)

// program is where a PE file keeps what its digest leaves out (Windows Authenticode Portable Executable Signature
// Format, "Calculating the PE Image Hash"): checksum, place of the certificate table, and the table at the end. All else
// is hashed as it stands in the file.
type program struct {
	checksum  int64 // 4 bytes
	directory int64 // 8 bytes
	table     int64 // where the certificate table begins
	length    int64 // of the table; 0: there is none
}

// readProgram reads the header, and holds the size of the certificate table against the file.
func readProgram(r io.ReaderAt, size int64) (program, error) {
	var p program
	var dos [64]byte
	if _, err := r.ReadAt(dos[:], 0); err != nil {
		return p, fmt.Errorf("program header: %w", err)
	}
	start := int64(binary.LittleEndian.Uint32(dos[0x3c:]))
	var head [24 + 152]byte // signature, file header, optional header up to the fifth directory of a 64-bit program
	n, err := r.ReadAt(head[:], start)
	if err != nil && (n < 24+136 || !errors.Is(err, io.EOF)) {
		return p, fmt.Errorf("program header at %d: %w", start, err)
	}
	optional, length := head[24:n], int(binary.LittleEndian.Uint16(head[20:]))
	if string(dos[:2]) != "MZ" || string(head[:4]) != "PE\x00\x00" {
		return p, errors.New("program header: this is no program")
	}
	directory := 128
	switch magic := binary.LittleEndian.Uint16(optional); magic {
	case 0x10b:
	case 0x20b:
		directory = 144
	default:
		return p, fmt.Errorf("program header: its optional header is of kind %#x", magic)
	}
	if length < directory+8 || len(optional) < directory+8 || binary.LittleEndian.Uint32(optional[directory-36:]) < 5 {
		return p, errors.New("program header: it has no room for a signature")
	}
	p.checksum, p.directory = start+24+64, start+24+int64(directory)
	p.table, p.length = int64(binary.LittleEndian.Uint32(optional[directory:])), int64(binary.LittleEndian.Uint32(optional[directory+4:]))
	switch {
	case p.length == 0:
		return p, nil
	case p.length > maxSignature || p.table+p.length > size:
		return p, fmt.Errorf("certificate table of %d bytes at %d in a file of %d", p.length, p.table, size)
	case p.table < p.directory+8:
		return p, fmt.Errorf("certificate table at %d, within the header", p.table)
	case p.table+p.length < size:
		return p, fmt.Errorf("%d bytes stand behind the certificate table", size-p.table-p.length)
	}
	return p, nil
}

// digest hashes a program that has a certificate table.
func (p *program) digest(r io.ReaderAt, hash crypto.Hash) ([]byte, error) {
	d := hash.New()
	for _, part := range [][2]int64{{0, p.checksum}, {p.checksum + 4, p.directory}, {p.directory + 8, p.table}} {
		if _, err := io.Copy(d, io.NewSectionReader(r, part[0], part[1]-part[0])); err != nil {
			return nil, err
		}
	}
	d.Write(make([]byte, (8-p.table%8)%8)) // as it was padded for the table
	return d.Sum(nil), nil
}

func checkPE(r io.ReaderAt, size int64) ([]pkcs9.TimestampedSignature, error) {
	p, err := readProgram(r, size)
	if err != nil {
		return nil, err
	}
	if p.length == 0 {
		return nil, ErrUnsigned
	}
	table := make([]byte, p.length)
	if _, err := r.ReadAt(table, p.table); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("certificate table: %w", err)
	}
	all, err := readTable(table)
	if err != nil {
		return nil, err
	}
	var found []pkcs9.TimestampedSignature
	digests := map[crypto.Hash][]byte{}
	for i := range all {
		s := &all[i]
		if digests[s.hash] == nil {
			if digests[s.hash], err = p.digest(r, s.hash); err != nil {
				return nil, err
			}
		}
		if err := s.covers(digests[s.hash]); err != nil {
			return nil, err
		}
		found = append(found, s.TimestampedSignature)
	}
	return found, nil
}

// readTable reads every signature of a certificate table, and those inside them after them. An entry has its length, a
// version and a type, and begins at a multiple of 8.
func readTable(table []byte) ([]signed, error) {
	var outer, inner []signed
	for len(table) > 0 {
		if len(table) < 8 {
			return nil, errors.New("certificate table: it ends within an entry")
		}
		length := int64(binary.LittleEndian.Uint32(table))
		padded := (length + 7) / 8 * 8
		if length < 8 || padded > int64(len(table)) {
			return nil, fmt.Errorf("certificate table: an entry of %d bytes, %d are there", length, len(table))
		}
		s, err := readSigned(table[8:length])
		if err != nil {
			return nil, err
		}
		within, err := s.nested()
		if err != nil {
			return nil, err
		}
		if outer, inner = append(outer, s), append(inner, within...); len(outer)+len(inner) > 2*maxNested {
			return nil, fmt.Errorf("certificate table: more than %d signatures", 2*maxNested)
		}
		table = table[padded:]
	}
	return append(outer, inner...), nil
}
