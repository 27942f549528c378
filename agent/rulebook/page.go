package rulebook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"thatch/agentapi"
	"thatch/catalog/document"
)

// Page is one entry of the log: what one answer of a node changed. Of the documents, which were verified when they
// came, it keeps number, month, id, digest and body.
type Page struct {
	Epoch   string
	Cursor  string
	Reset   bool
	Updates []agentapi.NumberedUpdate
	Removed []uint32
	Refused map[uint32]string
}

// Limits of one page.
const (
	maxFrame  = 256 << 20
	frameHead = 8
)

// format is the first byte of a page. A log of another one is begun anew, and the site asked for everything: '{' was
// JSON, of which reading cost more than all evaluation of rules.
const format = 2

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// encode writes length, checksum (both 32 bits, little endian) and content: the format, and then all fields in order,
// numbers as varints, texts and lists after their length.
func (p *Page) encode() ([]byte, error) {
	size := frameHead + 64 + len(p.Epoch) + len(p.Cursor)
	for i := range p.Updates {
		size += len(p.Updates[i].Document.Body) + len(p.Updates[i].Document.ID) + 64
	}
	w := make([]byte, frameHead, size)
	w = append(w, format, 0)
	if p.Reset {
		w[frameHead+1] = 1
	}
	w = text(text(w, p.Epoch), p.Cursor)
	w = binary.AppendUvarint(w, uint64(len(p.Updates)))
	for i := range p.Updates {
		u := &p.Updates[i]
		w = binary.AppendUvarint(w, uint64(u.Number))
		w = text(text(w, u.Month), u.Document.ID)
		w = append(w, u.Document.Digest[:]...)
		w = text(w, u.Document.Body)
	}
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

func text[T ~string | ~[]byte](w []byte, t T) []byte {
	return append(binary.AppendUvarint(w, uint64(len(t))), t...)
}

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

// decode reads a content. Bodies are parts of it.
func decode(content []byte) (p *Page, ok bool) {
	r := &reader{rest: content}
	head := r.bytes(2)
	if r.failed || head[0] != format {
		return nil, false
	}
	p = &Page{Reset: head[1] == 1, Epoch: string(r.text()), Cursor: string(r.text())}
	p.Updates = make([]agentapi.NumberedUpdate, 0, r.count(3+len(document.Digest{})))
	for range cap(p.Updates) {
		u := agentapi.NumberedUpdate{Number: r.number(), Month: string(r.text())}
		u.Document.Kind, u.Document.ID = document.Update, string(r.text())
		copy(u.Document.Digest[:], r.bytes(len(u.Document.Digest)))
		u.Document.Body = r.text()
		p.Updates = append(p.Updates, u)
	}
	p.Removed = make([]uint32, r.count(1))
	for i := range p.Removed {
		p.Removed[i] = r.number()
	}
	refused := r.count(2)
	p.Refused = make(map[uint32]string, refused)
	for range refused {
		number := r.number()
		p.Refused[number] = string(r.text())
	}
	return p, !r.failed && len(r.rest) == 0
}

// reader takes fields off a content. After the first that is not there, it gives empty ones.
type reader struct {
	rest   []byte
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

func (r *reader) text() []byte { return r.bytes(int(r.uvarint(uint64(len(r.rest))))) }

// count is how many things follow, each of at least a size: no more than can be there.
func (r *reader) count(least int) int { return int(r.uvarint(uint64(len(r.rest) / least))) }
