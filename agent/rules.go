package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"

	"thatch/agentapi"
	"thatch/catalog/document"
)

// Limits of the rules' log.
const (
	maxFrame     = 256 << 20
	compactFloor = 1000 // pages of a small log are never worth rewriting
	compactPage  = 500  // updates in one page of a rewritten log
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// rules are the update documents that could concern this computer, in a log of pages. A page is appended with its
// length and checksum and synced; what a power cut left of the last one is cut off, and its cursor is asked for again.
type rules struct {
	folder  folder
	file    *os.File
	epoch   string
	cursor  string
	live    map[uint32]document.Digest
	refused map[uint32]string // documents that could not be verified, with why
	logged  int               // updates in the log, the replaced ones too
}

// page is one entry of the log: what one answer of a node changed.
type page struct {
	Epoch   string                    `json:"epoch"`
	Cursor  string                    `json:"cursor"`
	Reset   bool                      `json:"reset,omitempty"`
	Updates []agentapi.NumberedUpdate `json:"updates,omitempty"`
	Removed []uint32                  `json:"removed,omitempty"`
	Refused map[uint32]string         `json:"refused,omitempty"`
}

func openRules(f folder) (*rules, error) {
	file, err := os.OpenFile(f.path(rulesFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the rules: %w", err)
	}
	r := &rules{folder: f, file: file, live: map[uint32]document.Digest{}, refused: map[uint32]string{}}
	valid, err := r.read(r.note)
	if err == nil {
		err = file.Truncate(valid)
	}
	if err == nil {
		_, err = file.Seek(valid, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the rules: %w", err), file.Close())
	}
	return r, nil
}

func (r *rules) close() error { return r.file.Close() }

// note keeps account of a page.
func (r *rules) note(p *page) error {
	if p.Reset {
		clear(r.live)
		clear(r.refused)
	}
	for _, update := range p.Updates {
		r.live[update.Number] = update.Document.Digest
		delete(r.refused, update.Number)
	}
	for _, number := range p.Removed {
		delete(r.live, number)
		delete(r.refused, number)
	}
	for number, why := range p.Refused {
		delete(r.live, number)
		r.refused[number] = why
	}
	r.epoch, r.cursor = p.Epoch, p.Cursor
	r.logged += len(p.Updates)
	return nil
}

// read calls do for every whole page and returns where the last one ends.
func (r *rules) read(do func(*page) error) (valid int64, err error) {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(r.file, 1<<18)
	for {
		raw, ok, err := readFrame(in)
		if err != nil || !ok {
			return valid, err
		}
		var p page
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

func frame(p *page) ([]byte, error) {
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

// apply writes a page down. When it returns, the page survives a power cut.
func (r *rules) apply(p *page) error {
	if p.Reset {
		return r.rewrite([]*page{p})
	}
	if len(p.Updates)+len(p.Removed)+len(p.Refused) == 0 && p.Cursor == r.cursor && p.Epoch == r.epoch {
		return nil
	}
	raw, err := frame(p)
	if err != nil {
		return err
	}
	r.folder.step("append rules")
	if _, err := r.file.Write(raw); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	r.folder.step("appended rules")
	if err := r.file.Sync(); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	if err := r.note(p); err != nil {
		return err
	}
	if r.logged > 2*len(r.live)+compactFloor {
		return r.compact()
	}
	return nil
}

// rewrite makes the log hold these pages alone.
func (r *rules) rewrite(pages []*page) error {
	var whole bytes.Buffer
	for _, p := range pages {
		raw, err := frame(p)
		if err != nil {
			return err
		}
		whole.Write(raw)
	}
	// Windows replaces no file that is open.
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	failed := r.folder.writeBytes(rulesFile, whole.Bytes())
	next, err := openRules(r.folder)
	if err != nil {
		return errors.Join(failed, err)
	}
	*r = *next
	return failed
}

func (r *rules) compact() error {
	pages := []*page{{Epoch: r.epoch, Cursor: r.cursor, Reset: true, Refused: maps.Clone(r.refused)}}
	err := r.each(func(update *agentapi.NumberedUpdate) error {
		last := pages[len(pages)-1]
		if len(last.Updates) == compactPage {
			last = &page{Epoch: r.epoch, Cursor: r.cursor}
			pages = append(pages, last)
		}
		last.Updates = append(last.Updates, *update)
		return nil
	})
	if err != nil {
		return err
	}
	return r.rewrite(pages)
}

// each calls do with the present document of every number, in the order of the log.
func (r *rules) each(do func(*agentapi.NumberedUpdate) error) error {
	seen := make(map[uint32]bool, len(r.live))
	valid, err := r.read(func(p *page) error {
		for i := range p.Updates {
			update := &p.Updates[i]
			if digest, live := r.live[update.Number]; !live || seen[update.Number] || digest != update.Document.Digest {
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
	if len(seen) != len(r.live) {
		return fmt.Errorf("read the rules: %d of %d updates are not readable any more", len(r.live)-len(seen), len(r.live))
	}
	_, err = r.file.Seek(valid, io.SeekStart)
	return err
}

// fetchRules asks for pages until there are no more. It returns whether anything changed.
func (a *Agent) fetchRules(ctx context.Context, platform string) (changed bool, err error) {
	request := agentapi.RulesRequest{Epoch: a.rules.epoch, Cursor: a.rules.cursor, Platform: platform}
	if len(a.rules.refused) > 0 && a.due(a.memory.Refetched) {
		// What was refused may have been damaged on its way: once in a while everything is asked for again.
		request.Epoch, request.Cursor = "", ""
		a.memory.Refetched = a.cfg.Now()
	}
	for {
		answer, err := a.client.Rules(ctx, request)
		if err != nil {
			return changed, fmt.Errorf("fetch rules: %w", err)
		}
		if err := a.learn(answer.Keys); err != nil {
			return changed, err
		}
		p := a.verifyPage(&answer)
		// A page that does not continue what is held starts anew, whatever it says of itself.
		p.Reset = p.Reset || request.Cursor == "" || answer.Epoch != request.Epoch
		changed = changed || p.Reset || len(p.Updates)+len(p.Removed)+len(p.Refused) > 0
		if err := a.rules.apply(p); err != nil {
			return changed, err
		}
		if !answer.More {
			return changed, nil
		}
		if answer.Cursor == request.Cursor && answer.Epoch == request.Epoch {
			return changed, fmt.Errorf("fetch rules: the node says that there is more after cursor %.40q and does not go on", answer.Cursor)
		}
		request.Epoch, request.Cursor = answer.Epoch, answer.Cursor
	}
}

// verifyPage keeps the documents that are signed by the site that made them; the others are told apart with a reason.
func (a *Agent) verifyPage(answer *agentapi.RulesResponse) *page {
	p := &page{Epoch: answer.Epoch, Cursor: answer.Cursor, Reset: answer.Reset, Removed: answer.Removed}
	for _, update := range answer.Updates {
		err := a.identity.Keys.Verify(&update.Document)
		if err == nil && update.Document.Kind != document.Update {
			err = fmt.Errorf("%s %q is no update", update.Document.Kind, update.Document.ID)
		}
		if err != nil {
			a.cfg.Log.Warn("an update document is refused", "number", update.Number, "error", err)
			if p.Refused == nil {
				p.Refused = map[uint32]string{}
			}
			p.Refused[update.Number] = err.Error()
			continue
		}
		p.Updates = append(p.Updates, update)
	}
	p.Updates = slices.Clip(p.Updates)
	return p
}
