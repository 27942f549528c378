package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Limits of a page, of either direction.
const (
	MaxEntries   = dataset.MostHeads
	MaxPage      = 16 << 20 // bytes of a page, decompressed
	maxHeader    = 1 << 20
	maxKind      = 64 // bytes, as package document has it
	maxID        = 512
	maxLanguages = 256
	maxRecord    = 64 << 10
	maxWindow    = 32 << 20 // bytes that a decoder may hold of what it decompressed
	maxSignature = 4 << 10
	pageVersion  = 1
)

// PageMedia is the media type of a page.
const PageMedia = "application/vnd.thatch.page+zstd"

// ErrPage is wrapped by every error about a page that is none, is cut, or breaks a limit.
var ErrPage = errors.New("not a whole page of documents")

// Page is a part of a type's documents on its way: what it says of itself, and its entries.
//
// Its encoding is one zstd frame. In it stand the JSON of Header, then for each entry the JSON of a record, every JSON
// preceded by its length and all of them ended by a length of zero (unsigned varints of encoding/binary); then the bodies
// of the entries that have one, as they are, one after the other; then the signatures likewise. What is alike stands
// together, and signatures, which nothing makes smaller, spoil nothing. A record with a body says no digest: whoever reads
// computes it, and the signature, which is over the digest, shows whether it is the right one.
type Page struct {
	Header
	Entries []dataset.Entry
	Known   Known // what its receiver holds, for EncodeKnown
}

// Header is what a page says of itself.
type Header struct {
	Version  int            `json:"version"`
	Type     dataset.Type   `json:"type"`
	From     dataset.Cursor `json:"from"`               // that it continues; zero in a complete run
	Cursor   dataset.Cursor `json:"cursor"`             // of whoever has taken it
	Complete bool           `json:"complete,omitempty"` // entries are all there is in (After, Next]
	After    dataset.Key    `json:"after,omitzero"`
	Next     dataset.Key    `json:"next,omitzero"`
	More     bool           `json:"more,omitempty"` // there are more pages
	Tail     store.Sequence `json:"tail"`           // of the sender's journal
	// Settings is, on a page of policies, how far the sender's settings stood when it was made: the receiver acts on the
	// policies when it holds them up to there. Zero: the receiver is sent none.
	Settings dataset.Stand `json:"settings,omitzero"`
}

// record is the head of an entry without its signature.
type record struct {
	Kind      document.Kind    `json:"k"`
	ID        string           `json:"i"`
	Languages []string         `json:"l,omitempty"`
	Origin    string           `json:"o,omitempty"`
	Signed    int              `json:"s,omitempty"` // bytes of the signature
	Digest    *document.Digest `json:"d,omitempty"` // of an entry without a body
	Removed   bool             `json:"r,omitempty"`
	Held      bool             `json:"h,omitempty"`
	Length    int              `json:"n,omitempty"` // bytes of the body that does not follow
	Size      *int             `json:"b,omitempty"` // bytes of the body that follows
}

var encoders = sync.Pool{New: func() any {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(fmt.Sprintf("zstd refuses its own options: %v", err)) // a constant of this program is wrong
	}
	return encoder
}}

// Encode writes a page.
func (p *Page) Encode(to io.Writer) error {
	encoder, ok := encoders.Get().(*zstd.Encoder)
	if !ok {
		return errors.New("the pool of encoders holds something else")
	}
	defer encoders.Put(encoder)
	encoder.Reset(to)
	p.Version = pageVersion
	err := writeJSON(encoder, &p.Header)
	for i := range p.Entries {
		if err == nil {
			err = writeJSON(encoder, recordOf(&p.Entries[i]))
		}
	}
	if err == nil {
		_, err = encoder.Write([]byte{0})
	}
	for i := range p.Entries {
		if e := &p.Entries[i]; err == nil && !e.Removed {
			_, err = encoder.Write(e.Body)
		}
	}
	for i := range p.Entries {
		if err == nil {
			_, err = encoder.Write(p.Entries[i].Signature)
		}
	}
	if err = errors.Join(err, encoder.Close()); err != nil {
		return fmt.Errorf("write a page of %s: %w", p.Type, err)
	}
	return nil
}

func writeJSON(to io.Writer, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err := to.Write(binary.AppendUvarint(nil, uint64(len(raw)))); err != nil {
		return err
	}
	_, err = to.Write(raw)
	return err
}

func recordOf(e *dataset.Entry) *record {
	r := &record{
		Kind: e.Kind, ID: e.ID, Languages: e.Languages, Origin: e.Origin, Signed: len(e.Signature), Removed: e.Removed, Held: e.Held,
	}
	switch {
	case e.Removed:
	case e.Body == nil:
		r.Digest, r.Length = &e.Digest, e.Size
	default:
		size := len(e.Body)
		r.Size = &size
	}
	return r
}

// DecodePage reads a page. Entries with a body have their digest computed from it; whether it is signed by whom it says is
// for the receiver to find out. The error wraps ErrPage.
func DecodePage(from io.Reader) (*Page, error) { return decodePage(from, readPage) }

func decodePage(from io.Reader, read func(*bufio.Reader) (*Page, error), options ...zstd.DOption) (*Page, error) {
	options = append(options, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	decoder, err := zstd.NewReader(from, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPage, err)
	}
	defer decoder.Close()
	limited := &io.LimitedReader{R: decoder, N: MaxPage + 1}
	p, err := read(bufio.NewReaderSize(limited, 64<<10))
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrPage, MaxPage)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: it is cut: %w", ErrPage, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrPage, err)
	}
	return p, nil
}

func readPage(from *bufio.Reader) (*Page, error) {
	p := &Page{}
	if more, err := readJSON(from, &p.Header, maxHeader); err != nil || !more {
		return nil, errors.Join(err, notIf(more, "it has no header"))
	}
	if p.Version != pageVersion {
		return nil, fmt.Errorf("its version is %d, this program reads %d", p.Version, pageVersion)
	}
	var records []record
	var signed []int
	for {
		var r record
		more, err := readJSON(from, &r, maxRecord)
		if err != nil {
			return p, err
		}
		if !more {
			break
		}
		if len(records) == MaxEntries {
			return nil, fmt.Errorf("it has more than %d entries", MaxEntries)
		}
		records = append(records, r)
	}
	for i := range records {
		e, err := records[i].entry(from)
		if err != nil {
			return nil, fmt.Errorf("entry %d, %.40s %.80q: %w", i+1, e.Kind, e.ID, err)
		}
		p.Entries, signed = append(p.Entries, e), append(signed, records[i].Signed)
	}
	return p, readSignatures(from, p.Entries, signed)
}

func readSignatures(from io.Reader, entries []dataset.Entry, bytes []int) error {
	for i, n := range bytes {
		if n > 0 {
			entries[i].Signature = make([]byte, n)
			if _, err := io.ReadFull(from, entries[i].Signature); err != nil {
				return err
			}
		}
	}
	return nil
}

func notIf(fine bool, text string) error {
	if fine {
		return nil
	}
	return errors.New(text)
}

// readJSON reads one value; more is false at the mark of the end.
func readJSON(from *bufio.Reader, into any, most uint64) (more bool, err error) {
	size, err := binary.ReadUvarint(from)
	if err != nil || size == 0 {
		return false, err
	}
	if size > most {
		return false, fmt.Errorf("a head of %d bytes, at most %d are allowed", size, most)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(from, raw); err != nil {
		return false, err
	}
	return true, json.Unmarshal(raw, into)
}

func (r *record) entry(from io.Reader) (dataset.Entry, error) {
	e := dataset.Entry{Removed: r.Removed, Held: r.Held}
	e.Head = document.Head{Kind: r.Kind, ID: r.ID, Languages: r.Languages, Origin: r.Origin}
	switch {
	case r.Kind == "" || len(r.Kind) > maxKind || r.ID == "" || len(r.ID) > maxID || len(r.Origin) > maxID || len(r.Languages) > maxLanguages:
		return e, fmt.Errorf("a kind of %d bytes, an id of %d, an origin of %d and %d languages; at most %d, %d, %d and %d are allowed",
			len(r.Kind), len(r.ID), len(r.Origin), len(r.Languages), maxKind, maxID, maxID, maxLanguages)
	case r.Signed < 0 || r.Signed > maxSignature:
		return e, fmt.Errorf("a signature of %d bytes, at most %d are allowed", r.Signed, maxSignature)
	case r.Removed && r.Size == nil && r.Digest == nil:
		return e, nil
	case !r.Removed && r.Size == nil && r.Digest != nil:
		e.Digest, e.Size = *r.Digest, min(max(r.Length, 0), document.MaxSize)
		return e, nil
	case r.Removed || r.Size == nil || r.Digest != nil:
		return e, errors.New("it says neither or both of a digest and a body")
	case *r.Size < 0 || *r.Size > document.MaxSize:
		return e, fmt.Errorf("a body of %d bytes, at most %d are allowed", *r.Size, document.MaxSize)
	}
	body := make([]byte, *r.Size)
	if _, err := io.ReadFull(from, body); err != nil {
		return e, err
	}
	made, err := document.New(r.Kind, r.ID, r.Languages, body)
	if err != nil {
		return e, err
	}
	e.Digest, e.Languages, e.Body, e.Size = made.Digest, made.Languages, body, len(body)
	return e, nil
}
