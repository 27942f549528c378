package rulebook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
)

// Entry is an update as the book keeps it: what computers are judged by. Of the document, which was verified when it
// came, the digest stays; of its body what the scan asks for, decoded.
type Entry struct {
	scan.Update
	Digest document.Digest
}

// NewEntry reads a verified document. One whose body cannot be read has no rules, and says why.
func NewEntry(u *agentapi.NumberedUpdate) Entry {
	e := Entry{scan.Update{Number: u.Number, ID: u.Document.ID, Month: u.Month}, u.Document.Digest}
	var err error
	if e.Body, err = catalog.Decode[catalog.Update](u.Document.Body); err != nil {
		e.Body = catalog.Update{Rules: catalog.Rules{NoRule: err.Error()}}
	}
	return e
}

// Page is one entry of the log: what one answer of a node changed.
type Page struct {
	Epoch   string
	Cursor  string
	Reset   bool
	Updates []Entry
	Removed []uint32
	Refused map[uint32]string
}

// Limits of one page.
const (
	maxFrame  = 256 << 20
	frameHead = 8
)

// format is the first byte of a page. A log of another one is begun anew, and the site is asked for everything. Who
// makes the scan ask for more of an update than is kept here (see table.update) counts it up. Before it was '{', for JSON,
// which took longer to read than all rules to evaluate.
const format = 2

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// encode writes length, checksum (both 32 bits, little endian) and content: format, head, the tables of texts and of
// nodes, the updates, what was removed and what was refused. Numbers are varints; texts and lists come after their length.
func (p *Page) encode() ([]byte, error) {
	var t table
	var updates []byte
	for i := range p.Updates {
		updates = t.update(updates, &p.Updates[i])
	}
	w := make([]byte, frameHead, frameHead+64+len(t.textBytes)+len(t.nodeBytes)+len(updates)+len(p.Refused)*64)
	w = append(w, format, one(p.Reset))
	w = text(text(w, p.Epoch), p.Cursor)
	w = append(binary.AppendUvarint(w, uint64(len(t.texts))), t.textBytes...)
	w = append(binary.AppendUvarint(w, uint64(len(t.nodes))), t.nodeBytes...)
	w = append(binary.AppendUvarint(w, uint64(len(p.Updates))), updates...)
	w = binary.AppendUvarint(w, uint64(len(p.Removed)))
	for _, number := range p.Removed {
		w = binary.AppendUvarint(w, uint64(number))
	}
	w = binary.AppendUvarint(w, uint64(len(p.Refused)))
	for _, number := range slices.Sorted(maps.Keys(p.Refused)) {
		w = text(binary.AppendUvarint(w, uint64(number)), p.Refused[number])
	}
	content := w[frameHead:]
	if len(content) > maxFrame {
		return nil, fmt.Errorf("a page of rules has %d bytes, at most %d are kept", len(content), maxFrame)
	}
	binary.LittleEndian.PutUint32(w, uint32(len(content)))
	binary.LittleEndian.PutUint32(w[4:], crc32.Checksum(content, crcTable))
	return w, nil
}

func one(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

func text(w []byte, t string) []byte { return append(binary.AppendUvarint(w, uint64(len(t))), t...) }

// readFrame reads one content into the buffer, which grows as it must, where at most left bytes follow; ok is false at
// the end and at anything that is not whole.
func readFrame(in io.Reader, left int64, buffer []byte) (content []byte, ok bool, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return buffer, false, onlyReal(err)
	}
	size := int64(binary.LittleEndian.Uint32(head[:4]))
	if size > maxFrame || size > left-frameHead {
		return buffer, false, nil
	}
	content = slices.Grow(buffer[:0], int(size))[:size]
	if _, err := io.ReadFull(in, content); err != nil {
		return content, false, onlyReal(err)
	}
	return content, crc32.Checksum(content, crcTable) == binary.LittleEndian.Uint32(head[4:]), nil
}

func onlyReal(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// decode reads a content.
func decode(content []byte) (p *Page, ok bool) {
	r := &reader{rest: content}
	head := r.bytes(2)
	if r.failed || head[0] != format {
		return nil, false
	}
	p = &Page{Reset: head[1] == 1, Epoch: r.text(), Cursor: r.text()}
	r.tables()
	p.Updates = make([]Entry, r.count(leastUpdate))
	for i := range p.Updates {
		r.update(&p.Updates[i])
	}
	p.Removed = make([]uint32, r.count(1))
	for i := range p.Removed {
		p.Removed[i] = r.number()
	}
	refused := r.count(2)
	p.Refused = make(map[uint32]string, refused)
	for range refused {
		number := r.number()
		p.Refused[number] = r.text()
	}
	return p, !r.failed && len(r.rest) == 0
}

// reader takes fields off a content. After the first that is not there, it gives empty ones.
type reader struct {
	rest   []byte
	texts  []string
	nodes  []*node
	failed bool
}

func (r *reader) bytes(size int) []byte {
	if r.failed || size > len(r.rest) {
		r.failed = true
		return nil
	}
	taken := r.rest[:size:size]
	r.rest = r.rest[size:]
	return taken
}

func (r *reader) uvarint(most uint64) uint64 {
	value, size := binary.Uvarint(r.rest)
	if r.failed || size <= 0 || value > most {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return value
}

func (r *reader) number() uint32 { return uint32(r.uvarint(1<<32 - 1)) }

func (r *reader) text() string { return string(r.bytes(int(r.uvarint(uint64(len(r.rest)))))) }

// count is how many things follow, each of at least a size: no more than can be there.
func (r *reader) count(least int) int { return int(r.uvarint(uint64(len(r.rest) / least))) }
