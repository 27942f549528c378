package importer

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// held is what one vendor file says, part by part: in memory up to a limit, beyond it in a file of its own on disk, so
// that only keys stay in memory. Parts are put in, sealed, and taken out once, sorted by key.
type held struct {
	limit  int    // bytes of bodies in memory
	folder string // for the file
	join   func(key string, bodies [][]byte) ([]byte, error)

	entries []entry
	size    int64 // of all bodies
	file    *os.File
	left    string // path of the file where it could not be removed while it is open
	out     *bufio.Writer
}

// entry is one body.
type entry struct {
	key  string
	body []byte // nil where it is on disk
	at   int64
	size int
}

// add keeps a part; the body is the caller's no more.
func (h *held) add(p Part) error {
	one := entry{key: p.Key, body: p.Body, at: h.size, size: len(p.Body)}
	h.size += int64(len(p.Body))
	h.entries = append(h.entries, one)
	if h.file != nil {
		return h.put(&h.entries[len(h.entries)-1])
	}
	if h.size <= int64(h.limit) {
		return nil
	}
	return h.spill()
}

// spill moves to disk what is in memory.
func (h *held) spill() error {
	file, err := os.CreateTemp(h.folder, "thatch-import-*")
	if err != nil {
		return fmt.Errorf("keep on disk what the file says: %w", err)
	}
	h.file, h.out = file, bufio.NewWriterSize(file, 256<<10)
	if os.Remove(file.Name()) != nil { // Windows keeps the names of open files
		h.left = file.Name()
	}
	for i := range h.entries {
		if err := h.put(&h.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (h *held) put(one *entry) error {
	_, err := h.out.Write(one.body)
	one.body = nil
	if err != nil {
		return fmt.Errorf("keep on disk what the file says: %w", err)
	}
	return nil
}

// seal ends the adding.
func (h *held) seal() error {
	slices.SortStableFunc(h.entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	if h.file == nil {
		return nil
	}
	if err := h.out.Flush(); err != nil {
		return fmt.Errorf("keep on disk what the file says: %w", err)
	}
	h.out = nil
	return nil
}

// names says whether a key is held, after seal.
func (h *held) names(key string) bool {
	_, found := slices.BinarySearchFunc(h.entries, key, func(e entry, key string) int { return cmp.Compare(e.key, key) })
	return found
}

// take takes out the parts of the next keys: one at least, and more while they stay within the limits. A part without
// a body (nil) is of a key that the file does not name in the end.
func (h *held) take(limit, keys int) ([]Part, error) {
	var parts []Part
	size := 0
	for len(h.entries) > 0 && len(parts) < keys {
		n := 1
		for n < len(h.entries) && h.entries[n].key == h.entries[0].key {
			n++
		}
		for _, one := range h.entries[:n] {
			size += one.size
		}
		if len(parts) > 0 && size > limit {
			break
		}
		body, err := h.joined(h.entries[:n])
		if err != nil {
			return nil, err
		}
		parts = append(parts, Part{Key: h.entries[0].key, Body: body})
		h.entries = h.entries[n:]
	}
	return parts, nil
}

// joined is what the file says of one key.
func (h *held) joined(of []entry) ([]byte, error) {
	bodies := make([][]byte, len(of))
	for i, one := range of {
		if bodies[i] = one.body; h.file == nil {
			continue
		}
		bodies[i] = make([]byte, one.size)
		if _, err := h.file.ReadAt(bodies[i], one.at); err != nil && !(errors.Is(err, io.EOF) && one.size == 0) {
			return nil, fmt.Errorf("read what was kept on disk: %w", err)
		}
	}
	last := bodies[len(bodies)-1]
	if len(bodies) > 1 && h.join != nil {
		return h.join(of[0].key, bodies)
	}
	if last == nil {
		last = []byte{}
	}
	return last, nil
}

// close forgets what is left.
func (h *held) close() {
	h.entries = nil
	if h.file != nil {
		h.file.Close()
		h.file = nil
	}
	if h.left != "" {
		_ = os.Remove(h.left)
		h.left = ""
	}
}
