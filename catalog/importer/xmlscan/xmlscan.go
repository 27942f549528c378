// Package xmlscan reads XML as a stream, fast: start and end tags by their local names, and the text of those elements
// that its caller asks for. It is made for vendors' catalogs of many megabytes of which little is wanted.
package xmlscan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

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
	starts   []int // where each open element's name begins in open
	attrs    []byte
	name     []byte
	ended    bool // the root was closed
	selfDone bool // the start tag returned last was <x/>: its end comes next
	text     []byte
	hadBOM   bool
}

// Event is what Next returns.
type Event int

// The events. Finished comes once the root was closed and nothing but white space followed.
const (
	Start Event = iota
	End
	Finished
)

// New makes a scanner of a stream.
func New(r io.Reader) *Scanner {
	s := &Scanner{r: r, buf: make([]byte, 0, bufferSize)}
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
		return s.Fail("the document ends inside <%s>; it is cut short, fetch it again", s.open[s.starts[n-1]:])
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
		return s.Fail("the text of <%s> has more than %d bytes", s.open[s.starts[len(s.starts)-1]:], MaxText)
	}
	s.text = append(s.text, text...)
	return nil
}

func (s *Scanner) startTag() error {
	end, err := s.tagEnd()
	if err != nil {
		return err
	}
	tag := s.buf[s.pos+1 : s.pos+end]
	if len(tag) > 0 && tag[len(tag)-1] == '/' {
		s.selfDone = true
		tag = tag[:len(tag)-1]
	}
	cut := 0
	for cut < len(tag) && tag[cut] > ' ' {
		cut++
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
	s.starts = append(s.starts, len(s.open))
	s.open = append(s.open, name...)
	s.name, s.attrs = local(name), tag[cut:]
	s.pos += end + 1
	return nil
}

// tagEnd finds the '>' that closes the tag at pos, counted from pos; quoted ones do not.
func (s *Scanner) tagEnd() (int, error) {
	i, quote := 1, byte(0)
	for {
		for window := s.buf[s.pos:]; i < len(window); i++ {
			switch c := window[i]; {
			case quote != 0:
				if c == quote {
					quote = 0
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
		if open := s.open[s.starts[n-1]:]; !bytes.Equal(open, name) {
			return s.Fail("</%.40s> where </%.40s> is wanted", name, open)
		}
		s.pos += i + 1
		return s.pop()
	}
}

// pop closes the innermost element; its name stays readable in s.name until the next tag.
func (s *Scanner) pop() error {
	n := len(s.starts) - 1
	s.name = local(s.open[s.starts[n]:])
	s.open = s.open[:s.starts[n]]
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

// Leaf reads to the end of the element just started and returns its own text, unescaped and trimmed; elements inside
// are stepped over. The bytes are valid until the next call.
func (s *Scanner) Leaf() ([]byte, error) {
	s.text = s.text[:0]
	depth := len(s.starts)
	for {
		ev, err := s.next(len(s.starts) == depth)
		if err != nil {
			return nil, err
		}
		if ev == End && len(s.starts) < depth {
			return s.unescaped(s.text)
		}
	}
}

// Skip reads to the end of the element just started.
func (s *Scanner) Skip() error {
	for depth := len(s.starts); ; {
		ev, err := s.next(false)
		if err != nil {
			return err
		}
		if ev == End && len(s.starts) < depth {
			return nil
		}
	}
}

// Attr returns an attribute of the start tag just read, by local name; absent ones are empty.
func (s *Scanner) Attr(name string) (string, error) {
	rest := s.attrs
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return "", nil
		}
		key := bytes.TrimRight(rest[:eq], " \t\r\n")
		rest = bytes.TrimLeft(rest[eq+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return "", s.Fail("attribute %.40s has no quoted value", key)
		}
		closing := bytes.IndexByte(rest[1:], rest[0])
		if closing < 0 {
			return "", s.Fail("attribute %.40s has no closing quote", key)
		}
		if string(local(key)) == name {
			value, err := s.unescaped(bytes.Clone(rest[1 : closing+1]))
			return string(value), err
		}
		rest = rest[closing+2:]
	}
}

// unescaped resolves entities in place and trims.
func (s *Scanner) unescaped(text []byte) ([]byte, error) {
	at := bytes.IndexByte(text, '&')
	if at < 0 {
		return bytes.TrimSpace(text), nil
	}
	out := text[:at]
	for rest := text[at:]; len(rest) > 0; {
		if rest[0] != '&' {
			n := bytes.IndexByte(rest, '&')
			if n < 0 {
				n = len(rest)
			}
			out = append(out, rest[:n]...)
			rest = rest[n:]
			continue
		}
		semicolon := bytes.IndexByte(rest[:min(len(rest), 12)], ';')
		if semicolon < 0 {
			return nil, s.Fail("'&' without a name and a semicolon: %.20q", rest)
		}
		r, ok := entity(string(rest[1:semicolon]))
		if !ok {
			return nil, s.Fail("the entity %s is not known", rest[:semicolon+1])
		}
		rest = rest[semicolon+1:]
		out = utf8.AppendRune(out, r) // never longer than its escape
	}
	return bytes.TrimSpace(out), nil
}

func entity(name string) (rune, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	number, ok := strings.CutPrefix(name, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(number, "x"); isHex {
		number, base = hex, 16
	}
	code, err := strconv.ParseUint(number, base, 21)
	if !ok || err != nil || !utf8.ValidRune(rune(code)) || code == 0 {
		return 0, false
	}
	return rune(code), true
}

func local(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || c >= 0x80
}
