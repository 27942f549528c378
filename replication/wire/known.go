package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"thatch/catalog/document"
	"thatch/node/replicas/alike"
	"thatch/node/replicas/dataset"
)

// KnownMedia is the media type of a page that is compressed against what both sides know. Whoever reads such pages says so
// (Accept); who does not is sent the other sort.
//
// The encoding: the byte 2; the number of runs and each run (see alike.Run: four bytes and a count); the CRC-32 (IEEE, big
// endian) of what is known; and a zstd frame that has that as its raw dictionary: of each document of the runs the id and
// the body, each ended by a zero byte, then the request that the page answers. In the frame stands the JSON of Header,
// preceded by its length, then the entries, each with its body, in an order in which like follows like; then the signatures.
//
// An entry is a byte of flags, then what it says that is not as it was in the entry before: kind, origin, languages (joined
// by commas), each ended by a zero byte; the id likewise; the length of the signature where it has not 64 bytes; then the
// body, ended by a zero byte, or the digest and the length of the body. Numbers are unsigned varints of encoding/binary.
const KnownMedia = PageMedia + ";version=2"

const (
	knownVersion = 2
	mostRuns     = 64 // of any version
)

const (
	flagRemoved = 1 << iota
	flagHeld
	flagBody
	flagKind // as in the entry before
	flagOrigin
	flagLanguages
	flagSigned // by 64 bytes
	flagEnd
)

const usualSignature = 64

// Known are documents that the receiver of a page holds: what compresses it.
type Known struct {
	Runs []alike.Run
	Docs []document.Document
}

// ErrNotKnown is wrapped by errors about pages that were compressed against what is not here. The page is to be asked for
// without.
var ErrNotKnown = alike.ErrNotKnown

// dictionary is what both sides know, as it is for a frame.
func dictionary(docs []document.Document, request []byte) []byte {
	size := len(request)
	for i := range docs {
		size += len(docs[i].ID) + len(docs[i].Body) + 2
	}
	known := make([]byte, 0, size)
	for _, doc := range slices.Backward(docs) { // as they stand in the order of ids
		known = append(append(known, doc.ID...), 0)
		known = append(append(known, doc.Body...), 0)
	}
	return append(known, request...)
}

var knownEncoders = sync.Pool{New: func() any {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(fmt.Sprintf("zstd refuses its own options: %v", err)) // a constant of this program is wrong
	}
	return encoder
}}

// EncodeKnown writes a page that answers a request of somebody who reads KnownMedia. One that cannot be written so is written
// as Encode does.
func (p *Page) EncodeKnown(to io.Writer, request []byte) error {
	if slices.ContainsFunc(p.Entries, holdsZero) {
		return p.Encode(to)
	}
	encoder, ok := knownEncoders.Get().(*zstd.Encoder)
	if !ok {
		return errors.New("the pool of encoders holds something else")
	}
	defer knownEncoders.Put(encoder)
	known := dictionary(p.Known.Docs, request)
	head := binary.AppendUvarint([]byte{knownVersion}, uint64(len(p.Known.Runs)))
	for _, run := range p.Known.Runs {
		head = binary.AppendUvarint(append(head, run.Last[:]...), uint64(run.Count))
	}
	_, err := to.Write(binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(known)))
	if err == nil {
		err = encoder.ResetWithOptions(to, zstd.WithEncoderDictRaw(1, known))
	}
	if err == nil {
		p.Version = knownVersion
		err = writeJSON(encoder, &p.Header)
	}
	if err == nil {
		err = p.writeEntries(encoder)
	}
	if err = errors.Join(err, encoder.Close()); err != nil {
		return fmt.Errorf("write a page of %s: %w", p.Type, err)
	}
	return nil
}

// holdsZero says whether something of an entry holds the byte that would end it.
func holdsZero(e dataset.Entry) bool {
	return strings.Contains(string(e.Kind)+e.ID+e.Origin, "\x00") || bytes.IndexByte(e.Body, 0) >= 0
}

func (p *Page) writeEntries(to io.Writer) error {
	entries := slices.Clone(p.Entries)
	slices.SortStableFunc(entries, func(a, b dataset.Entry) int { return b.Key().Compare(a.Key()) })
	var buffer, signatures []byte
	var last dataset.Entry
	for i := range entries {
		buffer = appendEntry(buffer[:0], &entries[i], &last)
		if _, err := to.Write(buffer); err != nil {
			return err
		}
		last = entries[i]
		signatures = append(signatures, last.Signature...)
	}
	_, err := to.Write(append([]byte{flagEnd}, signatures...))
	return err
}

func appendEntry(to []byte, e, last *dataset.Entry) []byte {
	text := func(s string) { to = append(append(to, s...), 0) }
	at, languages := len(to), strings.Join(e.Languages, ",")
	to = append(to, 0)
	flag := func(yes bool, flag byte) bool {
		if yes {
			to[at] |= flag
		}
		return yes
	}
	flag(e.Removed, flagRemoved)
	flag(e.Held, flagHeld)
	if !flag(e.Kind == last.Kind, flagKind) {
		text(string(e.Kind))
	}
	if !flag(e.Origin == last.Origin, flagOrigin) {
		text(e.Origin)
	}
	if !flag(languages == strings.Join(last.Languages, ","), flagLanguages) {
		text(languages)
	}
	text(e.ID)
	if !flag(len(e.Signature) == usualSignature, flagSigned) {
		to = binary.AppendUvarint(to, uint64(len(e.Signature)))
	}
	switch {
	case e.Removed:
	case flag(e.Body != nil, flagBody):
		to = append(append(to, e.Body...), 0)
	default:
		to = binary.AppendUvarint(append(to, e.Digest[:]...), uint64(e.Size))
	}
	return to
}

// Recall reads documents that a page names as known.
type Recall func(runs []alike.Run) ([]document.Document, error)

// DecodeKnown reads a page of either sort that answers a request. The error wraps ErrPage, or ErrNotKnown where the page is
// to be asked for again without what is known.
func DecodeKnown(from io.Reader, request []byte, recall Recall) (*Page, error) {
	in := bufio.NewReader(from)
	if first, err := in.Peek(1); err != nil || first[0] != knownVersion {
		return DecodePage(in) // which says what is wrong
	}
	runs, sum, err := readRuns(in)
	if err != nil {
		return nil, fmt.Errorf("%w: what it was compressed against: %w", ErrPage, err)
	}
	docs, err := recall(runs)
	if err != nil {
		return nil, err
	}
	known := dictionary(docs, request)
	if crc32.ChecksumIEEE(known) != sum {
		return nil, fmt.Errorf("%w: the check sum is another", ErrNotKnown)
	}
	return decodePage(in, readKnown, zstd.WithDecoderDictRaw(1, known))
}

func readRuns(from *bufio.Reader) (runs []alike.Run, sum uint32, err error) {
	if _, err := from.Discard(1); err != nil {
		return nil, 0, err
	}
	count, err := binary.ReadUvarint(from)
	if err == nil && count > mostRuns {
		err = fmt.Errorf("%d runs, at most %d are allowed", count, mostRuns)
	}
	for i := uint64(0); i < count && err == nil; i++ {
		var run alike.Run
		var n uint64
		if _, err = io.ReadFull(from, run.Last[:]); err == nil {
			n, err = binary.ReadUvarint(from)
		}
		run.Count = int(min(n, 1<<20))
		runs = append(runs, run)
	}
	var check [4]byte
	if err == nil {
		_, err = io.ReadFull(from, check[:])
	}
	return runs, binary.BigEndian.Uint32(check[:]), err
}

// readKnown reads what the frame of a page of KnownMedia holds.
func readKnown(from *bufio.Reader) (*Page, error) {
	p := &Page{}
	if more, err := readJSON(from, &p.Header, maxHeader); err != nil || !more {
		return nil, errors.Join(err, notIf(more, "it has no header"))
	}
	var signed []int
	var last record
	for {
		flags, err := from.ReadByte()
		if err != nil {
			return nil, err
		}
		if flags == flagEnd {
			break
		}
		if len(p.Entries) == MaxEntries {
			return nil, fmt.Errorf("it has more than %d entries", MaxEntries)
		}
		e, err := readEntry(from, flags, &last)
		if err != nil {
			return nil, fmt.Errorf("entry %d, %.40s %.80q: %w", len(p.Entries)+1, last.Kind, last.ID, err)
		}
		p.Entries, signed = append(p.Entries, e), append(signed, last.Signed)
	}
	return p, readSignatures(from, p.Entries, signed)
}

// readEntry reads an entry. Last is the record of the one before it, and then its own.
func readEntry(from *bufio.Reader, flags byte, last *record) (e dataset.Entry, err error) {
	r := record{Kind: last.Kind, Origin: last.Origin, Languages: last.Languages, Signed: usualSignature}
	r.Removed, r.Held = flags&flagRemoved != 0, flags&flagHeld != 0
	text := func(most int) (s []byte) {
		if err == nil {
			s, err = readText(from, most)
		}
		return s
	}
	number := func() (n uint64) {
		if err == nil {
			n, err = binary.ReadUvarint(from)
		}
		return min(n, MaxPage)
	}
	if flags&flagKind == 0 {
		r.Kind = document.Kind(text(maxKind))
	}
	if flags&flagOrigin == 0 {
		r.Origin = string(text(maxID))
	}
	if flags&flagLanguages == 0 {
		if r.Languages = nil; err == nil {
			if joined := text(maxRecord); len(joined) > 0 {
				r.Languages = strings.Split(string(joined), ",")
			}
		}
	}
	r.ID = string(text(maxID))
	if flags&flagSigned == 0 {
		r.Signed = int(number())
	}
	var body []byte
	switch {
	case flags&flagBody != 0:
		body = text(document.MaxSize)
		size := len(body)
		r.Size = &size
	case !r.Removed:
		r.Digest = new(document.Digest)
		if err == nil {
			_, err = io.ReadFull(from, r.Digest[:])
		}
		r.Length = int(number())
	}
	if *last = r; err == nil {
		e, err = r.entry(bytes.NewReader(body))
	}
	return e, err
}

// readText reads up to a zero byte, which ends it.
func readText(from *bufio.Reader, most int) (text []byte, err error) {
	for {
		part, err := from.ReadSlice(0)
		text = append(text, part...)
		switch {
		case err == nil && len(text)-1 <= most:
			return text[:len(text)-1], nil
		case len(text)-1 > most:
			return nil, fmt.Errorf("a text of more than %d bytes", most)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
