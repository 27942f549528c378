package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"
)

// The encoding of a batch, version 1. Numbers are varints (u: unsigned, s: zig-zag), texts and blobs a u length and
// their bytes.
//
//	version  1 byte, 1
//	actor, reason, request  texts
//	at       1 byte, 0 for the zero time; else 1, s seconds since 1970, u nanoseconds
//	topics   u count, texts
//	SQL      u count, texts, each text once in the order of first use
//	statements  u count, each: u number of its SQL text, s want, s group, u count of arguments, arguments
//	argument 1 byte type, then nothing (nil, false, true, index), s (integer, position), 8 bytes big-endian
//	         (IEEE 754 double), or a length and bytes (text, blob)
const encodingVersion = 1

const (
	argNil = iota
	argFalse
	argTrue
	argInt
	argFloat
	argText
	argBlob
	argIndex
	argPosition
)

// ErrTooLarge says that a batch is larger than MaxBatch when encoded.
var ErrTooLarge = errors.New("batch is too large")

// Encode returns the batch in the form that travels and is kept in logs. A batch that breaks the rules of Check, or is
// larger than MaxBatch (ErrTooLarge), is an error.
func Encode(b Batch) ([]byte, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	e := encoder{buf: make([]byte, 0, b.bound()), texts: map[string]uint64{}}
	e.buf = append(e.buf, encodingVersion)
	e.head(b)
	e.statements(b.Statements)
	if len(e.buf) > MaxBatch {
		return nil, fmt.Errorf("%w: %q has %d statements in %d bytes, at most %d are allowed; split it (see Builder)",
			ErrTooLarge, b.Reason, len(b.Statements), len(e.buf), MaxBatch)
	}
	return e.buf, nil
}

// marked is how much of a batch its mark is made of: who makes a batch anew makes other ids and another time of it.
const marked = 64 << 10

// Mark tells an encoded batch that is sent again, because its answer was lost, from another one of the same request. Batches
// without a request have none.
func Mark(encoded []byte, b Batch) string {
	if b.Request == "" {
		return ""
	}
	sum := sha256.Sum256(encoded[:min(len(encoded), marked)])
	return hex.EncodeToString(sum[:8])
}

// bound is at least the size of an encoded batch where its SQL texts are few and its numbers small, as they nearly always
// are: all of it is then copied once.
func (b *Batch) bound() int {
	const head, statement, argument = 8 << 10, 16, 6
	size := head + len(b.Actor) + len(b.Reason) + len(b.Request) + statement*len(b.Statements)
	for i := range b.Statements {
		size += argument * len(b.Statements[i].Args)
		for _, arg := range b.Statements[i].Args {
			switch v := arg.(type) {
			case string:
				size += len(v)
			case []byte:
				size += len(v)
			}
		}
	}
	return size
}

type encoder struct {
	buf   []byte
	texts map[string]uint64
}

func (e *encoder) count(n int) { e.buf = binary.AppendUvarint(e.buf, uint64(n)) }

func (e *encoder) text(s string) {
	e.count(len(s))
	e.buf = append(e.buf, s...)
}

func (e *encoder) head(b Batch) {
	e.text(b.Actor)
	e.text(b.Reason)
	e.text(b.Request)
	if b.At.IsZero() {
		e.buf = append(e.buf, 0)
	} else {
		e.buf = append(e.buf, 1)
		e.buf = binary.AppendVarint(e.buf, b.At.Unix())
		e.count(b.At.Nanosecond())
	}
	e.count(len(b.Topics))
	for _, topic := range b.Topics {
		e.text(topic)
	}
}

func (e *encoder) statements(statements []Statement) {
	var order []string
	for _, s := range statements {
		if _, seen := e.texts[s.SQL]; !seen {
			e.texts[s.SQL] = uint64(len(order))
			order = append(order, s.SQL)
		}
	}
	e.count(len(order))
	for _, text := range order {
		e.text(text)
	}
	e.count(len(statements))
	for _, s := range statements {
		e.buf = binary.AppendUvarint(e.buf, e.texts[s.SQL])
		e.buf = binary.AppendVarint(e.buf, int64(s.Want))
		e.buf = binary.AppendVarint(e.buf, int64(s.Group))
		e.count(len(s.Args))
		for _, arg := range s.Args {
			e.argument(arg)
		}
	}
}

func (e *encoder) argument(arg any) {
	switch v := arg.(type) {
	case nil:
		e.buf = append(e.buf, argNil)
	case bool:
		if v {
			e.buf = append(e.buf, argTrue)
		} else {
			e.buf = append(e.buf, argFalse)
		}
	case int:
		e.buf = binary.AppendVarint(append(e.buf, argInt), int64(v))
	case int64:
		e.buf = binary.AppendVarint(append(e.buf, argInt), v)
	case float64:
		e.buf = binary.BigEndian.AppendUint64(append(e.buf, argFloat), math.Float64bits(v))
	case string:
		e.buf = append(e.buf, argText)
		e.text(v)
	case []byte:
		if v == nil {
			e.buf = append(e.buf, argNil)
			return
		}
		e.buf = append(e.buf, argBlob)
		e.count(len(v))
		e.buf = append(e.buf, v...)
	case Index:
		e.buf = append(e.buf, argIndex)
	case Position:
		e.buf = binary.AppendVarint(append(e.buf, argPosition), int64(v))
	}
}

// Decode reads what Encode wrote. Integers come back as int64. Blobs and texts, but for those of SQL, are parts of data,
// which must stay as it is.
func Decode(data []byte) (Batch, error) {
	if len(data) > MaxBatch {
		return Batch{}, fmt.Errorf("encoded batch: %w: %d bytes, at most %d are allowed", ErrTooLarge, len(data), MaxBatch)
	}
	d := decoder{data: data, text: unsafe.String(unsafe.SliceData(data), len(data))}
	if version := d.byte(); d.err == nil && version != encodingVersion {
		return Batch{}, fmt.Errorf("encoded batch has version %d, this program reads %d: run a newer one", version, encodingVersion)
	}
	b := d.batch()
	if d.err == nil && d.at != len(d.data) {
		d.fail("%d bytes after its end", len(d.data)-d.at)
	}
	if d.err != nil {
		return Batch{}, d.err
	}
	return b, nil
}

// decoder reads data, or the same bytes as a text where strings are wanted: none is copied.
type decoder struct {
	data []byte
	text string
	at   int
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("encoded batch, byte %d: %s", d.at, fmt.Sprintf(format, args...))
	}
	d.at = len(d.data)
}

func (d *decoder) byte() byte {
	if d.at >= len(d.data) {
		d.fail("cut short")
		return 0
	}
	d.at++
	return d.data[d.at-1]
}

func (d *decoder) unsigned() uint64 {
	v, n := binary.Uvarint(d.data[d.at:])
	if n <= 0 {
		d.fail("no number")
		return 0
	}
	d.at += n
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.data[d.at:])
	if n <= 0 {
		d.fail("no number")
		return 0
	}
	d.at += n
	return v
}

// count reads the number of things that follow, each of at least one byte.
func (d *decoder) count() int {
	v := d.unsigned()
	if left := uint64(len(d.data) - d.at); v > left {
		d.fail("%d things announced in %d bytes", v, left)
		return 0
	}
	return int(v)
}

func (d *decoder) string() string {
	n := d.count()
	d.at += n
	return d.text[d.at-n : d.at]
}

func (d *decoder) blob() []byte {
	n := d.count()
	d.at += n
	return d.data[d.at-n : d.at : d.at]
}

func (d *decoder) batch() Batch {
	b := Batch{Actor: d.string(), Reason: d.string(), Request: d.string()}
	if d.byte() != 0 {
		seconds, nanos := d.signed(), d.unsigned()
		if nanos >= uint64(time.Second) {
			d.fail("%d nanoseconds", nanos)
		}
		b.At = time.Unix(seconds, int64(nanos)).UTC()
	}
	b.Topics = d.strings()
	texts := d.strings()
	for i := range texts {
		texts[i] = strings.Clone(texts[i]) // statements are kept by their texts, and would keep all of data
	}
	count := d.count()
	if count > 0 {
		b.Statements = make([]Statement, 0, count)
	}
	for range count {
		number := d.unsigned()
		if d.err == nil && number >= uint64(len(texts)) {
			d.fail("SQL text %d of %d", number, len(texts))
		}
		if d.err != nil {
			return b
		}
		s := Statement{SQL: texts[number], Want: int(d.signed()), Group: int(d.signed())}
		s.Args = d.arguments()
		b.Statements = append(b.Statements, s)
	}
	return b
}

func (d *decoder) strings() []string {
	count := d.count()
	if count == 0 {
		return nil
	}
	list := make([]string, 0, count)
	for range count {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) arguments() []any {
	count := d.count()
	if count == 0 {
		return nil
	}
	args := make([]any, 0, count)
	for range count {
		args = append(args, d.argument())
	}
	return args
}

func (d *decoder) argument() any {
	switch kind := d.byte(); kind {
	case argNil:
		return nil
	case argFalse:
		return false
	case argTrue:
		return true
	case argInt:
		return d.signed()
	case argFloat:
		if len(d.data)-d.at < 8 {
			d.fail("number cut short")
			return nil
		}
		d.at += 8
		return math.Float64frombits(binary.BigEndian.Uint64(d.data[d.at-8:]))
	case argText:
		return d.string()
	case argBlob:
		return d.blob()
	case argIndex:
		return Index{}
	case argPosition:
		return Position(d.signed())
	default:
		d.fail("argument of unknown type %d", kind)
		return nil
	}
}
