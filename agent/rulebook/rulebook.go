// Package rulebook keeps the update documents that could concern a computer, as its site last said.
package rulebook

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"thatch/agent/folder"
	"thatch/agent/scan"
	"thatch/catalog/document"
)

// Limits of the rules' log.
const (
	compactFloor = 1000 // pages of a small log are never worth rewriting
	compactPage  = 500  // updates in one page of a rewritten log
)

// File is the name of the book in its folder.
const File = "rules.log"

// Book is a log of pages. A page is appended with its length and checksum and synced; what a power cut left of the last
// one is cut off, and its cursor is asked for again.
//
// What is in it was verified when it came, and is not again: its folder lets in administrators alone. It decides what is
// reported, and nothing that is installed.
type Book struct {
	Epoch   string
	Cursor  string            // of the site's last page
	Refused map[uint32]string // documents that could not be verified, with why

	folder  folder.Folder
	file    *os.File
	end     int64 // of the last whole page: the next one stands there, whatever a write that failed left
	live    map[uint32]document.Digest
	logged  int           // updates in the log, the replaced ones too
	catalog *scan.Catalog // of what is live; nil: not made yet
}

// Open reads the book of a folder; one that is damaged ends before the damage.
func Open(f folder.Folder) (*Book, error) {
	file, err := os.OpenFile(f.Path(File), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the rules: %w", err)
	}
	b := &Book{folder: f, file: file, live: map[uint32]document.Digest{}, Refused: map[uint32]string{}}
	valid, err := b.read(func(p *Page) error {
		b.note(p)
		return nil
	})
	if err == nil {
		err = file.Truncate(valid)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the rules: %w", err), file.Close())
	}
	b.end = valid
	return b, nil
}

// Close closes the book.
func (b *Book) Close() error { return b.file.Close() }

// note keeps account of a page.
func (b *Book) note(p *Page) {
	if p.Reset {
		clear(b.live)
		clear(b.Refused)
	}
	for i := range p.Updates {
		b.live[p.Updates[i].Number] = p.Updates[i].Digest
		delete(b.Refused, p.Updates[i].Number)
	}
	for _, number := range p.Removed {
		delete(b.live, number)
		delete(b.Refused, number)
	}
	for number, why := range p.Refused {
		delete(b.live, number)
		b.Refused[number] = why
	}
	if p.Reset || len(p.Updates)+len(p.Removed)+len(p.Refused) > 0 {
		b.catalog = nil
	}
	b.Epoch, b.Cursor = p.Epoch, p.Cursor
	b.logged += len(p.Updates)
}

// read calls do for every whole page and returns where the last one ends.
func (b *Book) read(do func(*Page) error) (valid int64, err error) {
	info, err := b.file.Stat()
	if err != nil {
		return 0, err
	}
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(b.file, 1<<16)
	var content []byte
	for {
		var ok bool
		if content, ok, err = readFrame(in, info.Size()-valid, content); err != nil || !ok {
			return valid, err
		}
		p, ok := decode(content)
		if !ok {
			return valid, nil // another version's, or damaged: asked for again
		}
		if err := do(p); err != nil {
			return valid, err
		}
		valid += int64(len(content)) + frameHead
	}
}

// Apply writes a page down. When it returns, the page survives a power cut.
func (b *Book) Apply(p *Page) error {
	if p.Reset {
		return b.rewrite([]*Page{p})
	}
	if len(p.Updates)+len(p.Removed)+len(p.Refused) == 0 && p.Cursor == b.Cursor && p.Epoch == b.Epoch {
		return nil
	}
	raw, err := p.encode()
	if err != nil {
		return err
	}
	b.folder.Step("append rules")
	if _, err := b.file.WriteAt(raw, b.end); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	b.folder.Step("appended rules")
	if err := b.file.Sync(); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	b.end += int64(len(raw))
	b.note(p)
	if b.logged > 2*len(b.live)+compactFloor {
		return b.compact()
	}
	return nil
}

// rewrite makes the log hold these pages alone.
func (b *Book) rewrite(pages []*Page) error {
	var whole bytes.Buffer
	for _, p := range pages {
		raw, err := p.encode()
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
	*b = *next
	return failed
}

func (b *Book) compact() error {
	pages := []*Page{{Epoch: b.Epoch, Cursor: b.Cursor, Reset: true, Refused: maps.Clone(b.Refused)}}
	err := b.each(func(update *Entry) {
		last := pages[len(pages)-1]
		if len(last.Updates) == compactPage {
			last = &Page{Epoch: b.Epoch, Cursor: b.Cursor}
			pages = append(pages, last)
		}
		last.Updates = append(last.Updates, *update)
	})
	if err != nil {
		return err
	}
	return b.rewrite(pages)
}

// each calls do with the present document of every number, in the order of the log.
func (b *Book) each(do func(*Entry)) error {
	seen := make(map[uint32]bool, len(b.live))
	_, err := b.read(func(p *Page) error {
		for i := range p.Updates {
			update := &p.Updates[i]
			if digest, live := b.live[update.Number]; !live || seen[update.Number] || digest != update.Digest {
				continue
			}
			seen[update.Number] = true
			do(update)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the rules: %w", err)
	}
	if len(seen) != len(b.live) {
		return fmt.Errorf("read the rules: %d of %d updates are not readable any more", len(b.live)-len(seen), len(b.live))
	}
	return nil
}

// Catalog is what the book holds. It is made once for as long as the book stays as it is.
func (b *Book) Catalog() (*scan.Catalog, error) {
	if b.catalog != nil {
		return b.catalog, nil
	}
	all := make([]scan.Update, 0, len(b.live))
	if err := b.each(func(e *Entry) { all = append(all, e.Update) }); err != nil {
		return nil, err
	}
	b.catalog = scan.NewCatalog(all)
	return b.catalog, nil
}
