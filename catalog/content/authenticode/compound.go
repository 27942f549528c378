package authenticode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// compound is as much of a compound file (MS-CFB) as it takes to see that a parser comes to an end with it.
type compound struct {
	r       io.ReaderAt
	sector  int64   // bytes
	count   int64   // sectors in the file
	next    []int32 // the allocation table
	entries [][]byte
}

const entrySize = 128

var errChain = errors.New("a chain of sectors runs in a circle or out of the file")

// checkCompound refuses a compound file whose tables claim more than the file has, or whose chains or folder tree run
// in circles.
func checkCompound(r io.ReaderAt, size int64) error {
	var head [512]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("compound file header: %w", err)
	}
	shift, short := binary.LittleEndian.Uint16(head[30:]), binary.LittleEndian.Uint16(head[32:])
	if (shift != 9 && shift != 12) || short != 6 || binary.LittleEndian.Uint32(head[56:]) != 4096 {
		return fmt.Errorf("compound file header: sector sizes 2^%d and 2^%d", shift, short)
	}
	c := &compound{r: r, sector: 1 << shift}
	c.count = (size - c.sector + c.sector - 1) / c.sector // the last one may be cut
	tables, shortTables := int64(binary.LittleEndian.Uint32(head[44:])), int64(binary.LittleEndian.Uint32(head[64:]))
	if tables > c.count || shortTables > c.count || tables*c.sector > maxCompound {
		return fmt.Errorf("compound file header: %d allocation tables in %d sectors", max(tables, shortTables), c.count)
	}
	if err := c.readTables(head[:], tables); err != nil {
		return fmt.Errorf("compound file: allocation tables: %w", err)
	}
	if err := c.readEntries(int32(binary.LittleEndian.Uint32(head[48:]))); err != nil {
		return fmt.Errorf("compound file: folder: %w", err)
	}
	if err := c.checkEntries(size); err != nil {
		return fmt.Errorf("compound file: folder: %w", err)
	}
	return nil
}

func (c *compound) read(sector int32) ([]byte, error) {
	if sector < 0 || int64(sector) >= c.count {
		return nil, errChain
	}
	buffer := make([]byte, c.sector)
	if n, err := c.r.ReadAt(buffer, (int64(sector)+1)*c.sector); err != nil && (n == 0 || !errors.Is(err, io.EOF)) {
		return nil, err
	}
	return buffer, nil
}

func (c *compound) readTables(head []byte, tables int64) error {
	list := head[76:]
	for hops, next := int64(0), int32(binary.LittleEndian.Uint32(head[68:])); next >= 0; hops++ {
		more, err := c.read(next)
		if err != nil || hops >= c.count {
			return errChain
		}
		last := len(more) - 4
		next = int32(binary.LittleEndian.Uint32(more[last:]))
		list = append(list[:len(list):len(list)], more[:last]...)
		if int64(len(list)) > maxCompound {
			return errChain
		}
	}
	for at := 0; at < len(list); at += 4 {
		sector := int32(binary.LittleEndian.Uint32(list[at:]))
		if sector < 0 {
			continue
		}
		table, err := c.read(sector)
		if err != nil {
			return err
		}
		if tables--; tables < 0 {
			return errors.New("more of them than the header says")
		}
		for i := 0; i < len(table); i += 4 {
			c.next = append(c.next, int32(binary.LittleEndian.Uint32(table[i:])))
		}
	}
	return nil
}

func (c *compound) readEntries(sector int32) error {
	for hops := int64(0); sector >= 0; hops++ {
		buffer, err := c.read(sector)
		if err != nil {
			return err
		}
		if hops >= c.count || int64(sector) >= int64(len(c.next)) {
			return errChain
		}
		for at := 0; at < len(buffer); at += entrySize {
			c.entries = append(c.entries, buffer[at:at+entrySize])
		}
		sector = c.next[sector]
	}
	return nil
}

// checkEntries walks the tree of the folder from its root; every entry may be met once, and the streams together hold
// no more than the file.
func (c *compound) checkEntries(size int64) error {
	const storage, stream, root = 1, 2, 5
	start, total := -1, int64(0)
	for i, entry := range c.entries {
		length := int64(binary.LittleEndian.Uint32(entry[120:]))
		switch entry[66] {
		case root:
			start = i
			if length > maxMiniStream {
				return fmt.Errorf("%d bytes of small streams", length)
			}
		case stream:
			total += length
		}
	}
	if start < 0 || total > size {
		return fmt.Errorf("%d bytes of streams in a file of %d, root at %d", total, size, start)
	}
	seen := make([]bool, len(c.entries))
	stack := []int32{int32(start)}
	for len(stack) > 0 {
		index := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if index == -1 {
			continue
		}
		if index < 0 || int(index) >= len(seen) || seen[index] {
			return fmt.Errorf("entry %d is met twice or does not exist", index)
		}
		seen[index] = true
		entry := c.entries[index]
		stack = append(stack, int32(binary.LittleEndian.Uint32(entry[68:])), int32(binary.LittleEndian.Uint32(entry[72:])))
		if entry[66] == storage || entry[66] == root {
			stack = append(stack, int32(binary.LittleEndian.Uint32(entry[76:])))
		}
	}
	return nil
}
