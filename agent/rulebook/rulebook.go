// Package rulebook keeps the update documents that could concern a computer, as its site last said.
package rulebook

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"

	"thatch/agent/folder"
	"thatch/agentapi"
	"thatch/catalog/document"
)

// Limits of the rules' log.
const (
	maxFrame     = 256 << 20
	compactFloor = 1000 // pages of a small log are never worth rewriting
	compactPage  = 500  // updates in one page of a rewritten log
)

// File is the name of the book in its folder.
const File = "rules.log"

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// Book is a log of pages. A page is appended with its
// length and checksum and synced; what a power cut left of the last one is cut off, and its cursor is asked for again.
type Book struct {
	Epoch   string
	Cursor  string            // of the site's last page
	Refused map[uint32]string // documents that could not be verified, with why

	folder  folder.Folder
	file    *os.File
	live    map[uint32]document.Digest
	logged  int // updates in the log, the replaced ones too
	edition int
}

// Page is one entry of the log: what one answer of a node changed.
type Page struct {
	Epoch   string                    `json:"epoch"`
	Cursor  string                    `json:"cursor"`
	Reset   bool                      `json:"reset,omitempty"`
	Updates []agentapi.NumberedUpdate `json:"updates,omitempty"`
	Removed []uint32                  `json:"removed,omitempty"`
	Refused map[uint32]string         `json:"refused,omitempty"`
}

// Open reads the book of a folder; one that is damaged ends before the damage.
func Open(f folder.Folder) (*Book, error) {
	file, err := os.OpenFile(f.Path(File), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the rules: %w", err)
	}
	b := &Book{folder: f, file: file, live: map[uint32]document.Digest{}, Refused: map[uint32]string{}}
	valid, err := b.read(b.note)
	if err == nil {
		err = file.Truncate(valid)
	}
	if err == nil {
		_, err = file.Seek(valid, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the rules: %w", err), file.Close())
	}
	return b, nil
}

// Close closes the book.
func (b *Book) Close() error { return b.file.Close() }

// Edition is another number whenever the book's updates may be others than before.
func (b *Book) Edition() int { return b.edition }

// note keeps account of a page.
func (b *Book) note(p *Page) error {
	b.edition++
	if p.Reset {
		clear(b.live)
		clear(b.Refused)
	}
	for _, update := range p.Updates {
		b.live[update.Number] = update.Document.Digest
		delete(b.Refused, update.Number)
	}
	for _, number := range p.Removed {
		delete(b.live, number)
		delete(b.Refused, number)
	}
	for number, why := range p.Refused {
		delete(b.live, number)
		b.Refused[number] = why
	}
	b.Epoch, b.Cursor = p.Epoch, p.Cursor
	b.logged += len(p.Updates)
	return nil
}

// read calls do for every whole page and returns where the last one ends.
func (b *Book) read(do func(*Page) error) (valid int64, err error) {
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(b.file, 1<<18)
	for {
		raw, ok, err := readFrame(in)
		if err != nil || !ok {
			return valid, err
		}
		var p Page
		if err := json.Unmarshal(raw, &p); err != nil {
			return valid, nil // another version's, or damaged: asked for again
		}
		if err := do(&p); err != nil {
			return valid, err
		}
		valid += int64(len(raw)) + 8
	}
}

// readFrame reads length, checksum and content; ok is false at the end and at anything that is not whole.
func readFrame(in io.Reader) (raw []byte, ok bool, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, false, onlyReal(err)
	}
	size := binary.LittleEndian.Uint32(head[:4])
	if size > maxFrame {
		return nil, false, nil
	}
	// Read as much as is there: a damaged length must not allocate.
	var content bytes.Buffer
	if _, err := io.CopyN(&content, in, int64(size)); err != nil {
		return nil, false, onlyReal(err)
	}
	raw = content.Bytes()
	if crc32.Checksum(raw, crcTable) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, false, nil
	}
	return raw, true, nil
}

func onlyReal(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func frame(p *Page) ([]byte, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a page of rules: %w", err)
	}
	if len(raw) > maxFrame {
		return nil, fmt.Errorf("a page of rules has %d bytes, at most %d are kept", len(raw), maxFrame)
	}
	head := make([]byte, 8, 8+len(raw))
	binary.LittleEndian.PutUint32(head, uint32(len(raw)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(raw, crcTable))
	return append(head, raw...), nil
}

// Apply writes a page down. When it returns, the page survives a power cut.
func (b *Book) Apply(p *Page) error {
	if p.Reset {
		return b.rewrite([]*Page{p})
	}
	if len(p.Updates)+len(p.Removed)+len(p.Refused) == 0 && p.Cursor == b.Cursor && p.Epoch == b.Epoch {
		return nil
	}
	raw, err := frame(p)
	if err != nil {
		return err
	}
	b.folder.Step("append rules")
	if _, err := b.file.Write(raw); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	b.folder.Step("appended rules")
	if err := b.file.Sync(); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	if err := b.note(p); err != nil {
		return err
	}
	if b.logged > 2*len(b.live)+compactFloor {
		return b.compact()
	}
	return nil
}

// rewrite makes the log hold these pages alone.
func (b *Book) rewrite(pages []*Page) error {
	var whole bytes.Buffer
	for _, p := range pages {
		raw, err := frame(p)
		if err != nil {
			return err
		}
		whole.Write(raw)
	}
	// Windows replaces no file that is open.
	if err := b.file.Close(); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	failed := b.folder.WriteBytes(File, whole.Bytes())
	next, err := Open(b.folder)
	if err != nil {
		return errors.Join(failed, err)
	}
	next.edition += b.edition + 1
	*b = *next
	return failed
}

func (b *Book) compact() error {
	pages := []*Page{{Epoch: b.Epoch, Cursor: b.Cursor, Reset: true, Refused: maps.Clone(b.Refused)}}
	err := b.Each(func(update *agentapi.NumberedUpdate) error {
		last := pages[len(pages)-1]
		if len(last.Updates) == compactPage {
			last = &Page{Epoch: b.Epoch, Cursor: b.Cursor}
			pages = append(pages, last)
		}
		last.Updates = append(last.Updates, *update)
		return nil
	})
	if err != nil {
		return err
	}
	return b.rewrite(pages)
}

// Each calls do with the present document of every number, in the order of the log.
func (b *Book) Each(do func(*agentapi.NumberedUpdate) error) error {
	seen := make(map[uint32]bool, len(b.live))
	valid, err := b.read(func(p *Page) error {
		for i := range p.Updates {
			update := &p.Updates[i]
			if digest, live := b.live[update.Number]; !live || seen[update.Number] || digest != update.Document.Digest {
				continue
			}
			seen[update.Number] = true
			if err := do(update); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the rules: %w", err)
	}
	if len(seen) != len(b.live) {
		return fmt.Errorf("read the rules: %d of %d updates are not readable any more", len(b.live)-len(seen), len(b.live))
	}
	_, err = b.file.Seek(valid, io.SeekStart)
	return err
}
