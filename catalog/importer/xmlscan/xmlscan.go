// Package xmlscan reads XML as a stream, fast: start and end tags by their local names, and the text of those elements
// that its caller asks for. It is made for vendors' catalogs of many megabytes of which little is wanted.
package xmlscan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	bufferSize = 256 << 10
	maxTag     = 64 << 10 // bytes of one start tag
	maxDepth   = 64
)

// MaxText is the longest text that Leaf returns, in bytes.
const MaxText = 64 << 10

// ErrNoXML says that no element was found at all.
var ErrNoXML = errors.New("no XML element found")

// Scanner reads elements by local name, attributes, the five entities and character references, CDATA, comments and
// processing instructions, in UTF-8 or UTF-16 with a byte order mark. Start and end tags must match, and there must be
// one root, closed; nothing else is validated. Texts that nobody asks for are stepped over without being copied, so
// memory does not grow with the file. Errors name the line.
type Scanner struct {
	r        io.Reader
	buf      []byte // what was read and not yet dropped
	pos      int    // next byte
	eof      bool
	err      error
	lines    int // line breaks dropped
	open     []byte
	starts   []element
	attrs    []byte
	name     []byte
	ended    bool // the root was closed
	selfDone bool // the start tag returned last was <x/>: its end comes next
	text     []byte
	hadBOM   bool
}

// element is one that is open: where its name, and its local name, begin in Scanner.open.
type element struct{ name, local int }

// Event is what Next returns.
type Event int

// The events. Finished comes once the root was closed and nothing but white space followed.
const (
	Start Event = iota
	End
	Finished
)

// buffers are those of scanners that were closed.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Close ends the use of a scanner, and of all bytes that it returned. It closes no stream.
func (s *Scanner) Close() {
	if cap(s.buf) == bufferSize {
		buffers.Put((*[bufferSize]byte)(s.buf[:bufferSize]))
	}
	*s = Scanner{err: errClosed}
}

var errClosed = errors.New("the scanner was closed")

// New makes a scanner of a stream. Whoever reads many closes each.
func New(r io.Reader) *Scanner {
	s := &Scanner{r: r, buf: buffers.Get().(*[bufferSize]byte)[:0]}
	s.need(3)
	switch {
	case bytes.HasPrefix(s.buf, []byte{0xef, 0xbb, 0xbf}):
		s.hadBOM, s.pos = true, 3
	case bytes.HasPrefix(s.buf, []byte{0xff, 0xfe}), bytes.HasPrefix(s.buf, []byte{0xfe, 0xff}):
		rest := io.MultiReader(bytes.NewReader(bytes.Clone(s.buf)), r)
		s.r = transform.NewReader(rest, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder())
		s.hadBOM, s.buf, s.eof, s.err = true, s.buf[:0], false, nil
		s.fill()
	}
	return s
}

// fill drops what was consumed and reads more; it returns false at the end of the stream.
func (s *Scanner) fill() bool {
	if s.eof || s.err != nil {
		return false
	}
	s.lines += bytes.Count(s.buf[:s.pos], []byte{'\n'})
	s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
	s.pos = 0
	if len(s.buf) == cap(s.buf) {
		return false // one token as long as the buffer: its reader complains
	}
	for {
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		switch {
		case err == io.EOF:
			s.eof = true
		case err != nil:
			s.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
}

// Line is where the next byte stands, from 1.
func (s *Scanner) Line() int { return s.lines + bytes.Count(s.buf[:s.pos], []byte{'\n'}) + 1 }

// Fail makes an error that names the line.
func (s *Scanner) Fail(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", s.Line(), fmt.Errorf(format, args...))
}

// Cut is the error of a stream that ends too early.
func (s *Scanner) Cut() error {
	if s.err != nil {
		return s.Fail("reading broke off: %w", s.err)
	}
	if n := len(s.starts); n > 0 {
		return s.Fail("the document ends inside <%s>; it is cut short, fetch it again", s.open[s.starts[n-1].name:])
	}
	if s.pos < len(s.buf) && s.buf[s.pos] == '<' {
		return s.Fail("the document ends inside a tag; it is cut short, fetch it again")
	}
	return s.Fail("%w", ErrNoXML)
}

// HadMark says whether the stream began with a byte order mark.
func (s *Scanner) HadMark() bool { return s.hadBOM }

// Name is the local name of the tag that Next returned last, valid until the next call of anything.
func (s *Scanner) Name() []byte { return s.name }

// Next returns the next start or end tag.
func (s *Scanner) Next() (Event, error) { return s.next(false) }

// next is Next; text on the way is kept when that is asked for.
func (s *Scanner) next(keep bool) (Event, error) {
	if s.selfDone {
		s.selfDone = false
		return End, s.pop()
	}
	for {
		if err := s.toTag(keep); err != nil {
			if errors.Is(err, io.EOF) {
				return Finished, nil
			}
			return Finished, err
		}
		if !s.need(2) {
			return Finished, s.Cut()
		}
		switch s.buf[s.pos+1] {
		case '/':
			return End, s.endTag()
		case '!':
			if err := s.declaration(keep); err != nil {
				return Finished, err
			}
		case '?':
			if err := s.skipPast("?>", 2, "processing instruction"); err != nil {
				return Finished, err
			}
		default:
			return Start, s.startTag()
		}
	}
}

// need makes sure that n bytes are in the buffer.
func (s *Scanner) need(n int) bool {
	for len(s.buf)-s.pos < n {
		if !s.fill() {
			return false
		}
	}
	return true
}

// toTag moves to the next '<'. Its error is io.EOF after the root was closed.
func (s *Scanner) toTag(keep bool) error {
	for {
		i := bytes.IndexByte(s.buf[s.pos:], '<')
		text := s.buf[s.pos:]
		if i >= 0 {
			text = text[:i]
		}
		if err := s.take(text, keep); err != nil {
			return err
		}
		s.pos += len(text)
		if i >= 0 {
			return nil
		}
		if !s.fill() {
			if s.ended && s.err == nil {
				return io.EOF
			}
			return s.Cut()
		}
	}
}

func (s *Scanner) take(text []byte, keep bool) error {
	if len(s.starts) == 0 && len(bytes.TrimSpace(text)) > 0 {
		return s.Fail("text outside of the root element: %.40q", bytes.TrimSpace(text))
	}
	if !keep || len(text) == 0 {
		return nil
	}
	if len(s.text)+len(text) > MaxText {
		return s.Fail("the text of <%s> has more than %d bytes", s.open[s.starts[len(s.starts)-1].name:], MaxText)
	}
	s.text = append(s.text, text...)
	return nil
}

func (s *Scanner) startTag() error {
	cut, colon := readName(s.buf[s.pos+1:])
	end := cut + 1
	whole := s.pos+end < len(s.buf)
	if !whole || s.buf[s.pos+end] != '>' { // not a name alone, as most are
		var err error
		if end, err = s.tagEnd(end); err != nil {
			return err
		}
	}
	tag := s.buf[s.pos+1 : s.pos+end]
	if len(tag) > 0 && tag[len(tag)-1] == '/' {
		s.selfDone = true
		tag = tag[:len(tag)-1]
	}
	if !whole || cut > len(tag) {
		cut, colon = readName(tag)
	}
	name := tag[:cut]
	if len(name) == 0 || !isNameStart(name[0]) {
		return s.Fail("<%.20s is no element name", tag)
	}
	if s.ended {
		return s.Fail("a second root element <%.40s>", name)
	}
	if len(s.starts) >= maxDepth {
		return s.Fail("elements are nested more than %d deep", maxDepth)
	}
	s.starts = append(s.starts, element{len(s.open), len(s.open) + colon + 1})
	s.open = append(s.open, name...)
	s.name, s.attrs = name[colon+1:], tag[cut:]
	s.pos += end + 1
	return nil
}

// inName tells what a byte is in a name: most are nothing special.
var inName = func() (special [256]byte) {
	for c := range special {
		if c <= ' ' || c == '>' || c == '<' || c == '"' || c == '\'' {
			special[c] = endsName
		}
	}
	special[':'] = endsPrefix
	return special
}()

const (
	endsName   = 1 // rightly or not
	endsPrefix = 2
)

// readName is the length of the name that a tag begins with, and where its first colon is, -1 for none.
func readName(tag []byte) (cut, colon int) {
	colon = -1
	for i, c := range tag {
		if special := inName[c]; special == endsName {
			return i, colon
		} else if special == endsPrefix && colon < 0 {
			colon = i
		}
	}
	return len(tag), colon
}

// tagEnd finds the '>' that closes the tag at pos, counted from pos; quoted ones do not. The search begins at i.
func (s *Scanner) tagEnd(i int) (int, error) {
	quote := byte(0)
	for {
		for window := s.buf[s.pos:]; i < len(window); i++ {
			switch c := window[i]; {
			case quote != 0:
				if n := bytes.IndexByte(window[i:], quote); n >= 0 {
					i, quote = i+n, 0
				} else {
					i = len(window) - 1
				}
			case c == '>':
				return i, nil
			case c == '"' || c == '\'':
				quote = c
			case c == '<':
				return 0, s.Fail("'<' inside of a tag")
			}
		}
		if i > maxTag {
			return 0, s.Fail("a tag has more than %d bytes", maxTag)
		}
		if !s.fill() {
			return 0, s.Cut()
		}
	}
}

func (s *Scanner) endTag() error {
	if n := s.closing(s.pos); n > 0 {
		s.pos += n
		return s.pop()
	}
	for {
		i := bytes.IndexByte(s.buf[s.pos:], '>')
		if i < 0 {
			if len(s.buf)-s.pos > maxTag || !s.fill() {
				return s.Cut()
			}
			continue
		}
		name := s.buf[s.pos+2 : s.pos+i]
		if len(name) > 0 && name[len(name)-1] <= ' ' {
			name = bytes.TrimRight(name, " \t\r\n")
		}
		n := len(s.starts)
		if n == 0 {
			return s.Fail("</%.40s> closes nothing", name)
		}
		if open := s.open[s.starts[n-1].name:]; !bytes.Equal(open, name) {
			return s.Fail("</%.40s> where </%.40s> is wanted", name, open)
		}
		s.pos += i + 1
		return s.pop()
	}
}

// closing is the length of the end tag at a place of the buffer, where it is that of the innermost element and written
// without spaces; else 0.
func (s *Scanner) closing(at int) int {
	n := len(s.starts)
	if n == 0 {
		return 0
	}
	name := s.open[s.starts[n-1].name:]
	end := at + 2 + len(name)
	if end >= len(s.buf) || s.buf[at] != '<' || s.buf[at+1] != '/' || s.buf[end] != '>' || !bytes.Equal(s.buf[at+2:end], name) {
		return 0
	}
	return end + 1 - at
}

// pop closes the innermost element; its name stays readable in s.name until the next tag.
func (s *Scanner) pop() error {
	n := len(s.starts) - 1
	s.name = s.open[s.starts[n].local:]
	s.open = s.open[:s.starts[n].name]
	s.starts = s.starts[:n]
	s.ended = n == 0
	return nil
}

// declaration steps over a comment or a document type, and takes the text of a CDATA section.
func (s *Scanner) declaration(keep bool) error {
	s.need(9)
	window := s.buf[s.pos:]
	switch {
	case bytes.HasPrefix(window, []byte("<!--")):
		return s.skipPast("-->", 4, "comment")
	case bytes.HasPrefix(window, []byte("<![CDATA[")):
		return s.cdata(keep)
	case bytes.HasPrefix(window, []byte("<!DOCTYPE")) && len(s.starts) == 0 && !s.ended:
		for {
			i := bytes.IndexAny(s.buf[s.pos:], "[>")
			switch {
			case i >= 0 && s.buf[s.pos+i] == '[':
				return s.Fail("a document type with declarations of its own is not read")
			case i >= 0:
				s.pos += i + 1
				return nil
			case len(s.buf)-s.pos > maxTag || !s.fill():
				return s.Cut()
			}
		}
	}
	return s.Fail("%.20q is no comment, CDATA section or document type", window)
}

func (s *Scanner) skipPast(mark string, from int, what string) error {
	s.pos += from
	for {
		if i := bytes.Index(s.buf[s.pos:], []byte(mark)); i >= 0 {
			s.pos += i + len(mark)
			return nil
		}
		s.pos = max(s.pos, len(s.buf)-len(mark)+1)
		if !s.fill() {
			return s.Fail("a %s is not closed: %w", what, s.Cut())
		}
	}
}

var cdataEnd = []byte("]]>")

// cdata escapes what it takes, so that a text is unescaped once, whatever it came from.
func (s *Scanner) cdata(keep bool) error {
	s.pos += len("<![CDATA[")
	for {
		window := s.buf[s.pos:]
		i := bytes.Index(window, cdataEnd)
		n := i
		if i < 0 {
			n = max(0, len(window)-len(cdataEnd)+1)
		}
		text := window[:n]
		if keep {
			text = bytes.ReplaceAll(text, []byte("&"), []byte("&amp;"))
		}
		if err := s.take(text, keep); err != nil {
			return err
		}
		s.pos += n
		if i >= 0 {
			s.pos += len(cdataEnd)
			return nil
		}
		if !s.fill() {
			return s.Fail("a CDATA section is not closed: %w", s.Cut())
		}
	}
}

func local(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || c >= 0x80
}
