// Package markup reads the XML of SDP packages and of catalogs of them: as a stream, one package at a time, each as a
// tree of elements.
package markup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// MaxPackage is the largest package that is read, in bytes; the largest known has 0.2 MB.
	MaxPackage = 16 << 20

	chunk = 64 << 10
)

// The elements that a file can have as its root.
const (
	PackageElement = "SoftwareDistributionPackage"
	CatalogElement = "SystemsManagementCatalog"
)

var errCut = errors.New("the file is cut short; fetch it again")

// RootError says that a file is XML of another kind.
type RootError struct {
	Line int
	Name string // of its root element
}

func (e RootError) Error() string {
	return fmt.Sprintf("line %d: the root element is %.60q, where %s or %s is wanted: this is no SDP package and no catalog of them",
		e.Line, e.Name, PackageElement, CatalogElement)
}

// Splitter cuts a stream of XML into its packages, each as bytes with the start tags around it, so that one that is
// broken costs no other and only one is in memory.
type Splitter struct {
	r    io.Reader
	buf  []byte
	pos  int
	line int // line breaks before buf
	done bool
	head []byte // start tag of the catalog around the packages; empty: the file is one package
	name string // of the catalog element, as it is written
}

// Raw is one package as it was found.
type Raw struct {
	XML  []byte // valid until the next call
	Line int    // where it begins, from 1
}

// NewSplitter reads up to the first package. A stream that is no catalog and no package is an error, as is one that
// ends too early, then or later: "the file is cut short".
func NewSplitter(r io.Reader) (*Splitter, error) {
	s := &Splitter{r: r}
	if err := s.need(4); err != nil && !errors.Is(err, errCut) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(s.buf, []byte("\xef\xbb\xbf")):
		s.pos = 3
	case bytes.HasPrefix(s.buf, []byte("\xff\xfe")), bytes.HasPrefix(s.buf, []byte("\xfe\xff")):
		s.decode(unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM))
	case bytes.HasPrefix(s.buf, []byte("<\x00")):
		s.decode(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM))
	}
	return s, s.root()
}

func (s *Splitter) decode(from encoding.Encoding) {
	rest := io.MultiReader(bytes.NewReader(bytes.Clone(s.buf[s.pos:])), s.r)
	s.r, s.buf, s.pos, s.done = transform.NewReader(rest, from.NewDecoder()), nil, 0, false
}

// Around is the start tag of the catalog that the packages stand in, empty for a single package; for Parse.
func (s *Splitter) Around() []byte { return s.head }

// root reads up to the first start tag.
func (s *Splitter) root() error {
	for {
		markup, err := s.markup()
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(markup, []byte("<?xml")):
			if err := s.declared(markup); err != nil {
				return err
			}
		case markup[1] == '?' || markup[1] == '!':
		case localName(markup) == PackageElement:
			s.pos -= len(markup)
			return nil
		case localName(markup) == CatalogElement:
			s.head, s.name = bytes.Clone(markup), fullName(markup)
			if bytes.HasSuffix(markup, []byte("/>")) {
				s.name = "" // an empty catalog
			}
			return nil
		default:
			return RootError{Line: s.at(), Name: fullName(markup)}
		}
	}
}

// declared obeys an XML declaration that names an encoding.
func (s *Splitter) declared(declaration []byte) error {
	_, after, found := strings.Cut(string(declaration), "encoding")
	if !found {
		return nil
	}
	name := strings.ToLower(strings.Trim(strings.TrimLeft(after, "= \t\r\n"), "?> \t\r\n"))
	name = strings.Trim(name, `"'`)
	if i := strings.IndexAny(name, `"' `); i >= 0 {
		name = name[:i]
	}
	switch name {
	case "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be": // the byte order mark told already
		return nil
	case "windows-1252", "iso-8859-1", "latin1":
		s.decode(charmap.Windows1252)
		return nil
	}
	return fmt.Errorf("line %d: encoding %.40q is not read; save the file as UTF-8", s.at(), name)
}

// Next returns the next package, io.EOF after the last.
func (s *Splitter) Next() (Raw, error) {
	if s.name == "" && s.head != nil {
		return Raw{}, io.EOF
	}
	for {
		markup, err := s.markup()
		if err != nil {
			return Raw{}, err
		}
		switch {
		case bytes.HasPrefix(markup, []byte("</")):
			if string(bytes.TrimRight(markup[2:len(markup)-1], " \t\r\n")) == s.name {
				s.name = ""
				return Raw{}, io.EOF
			}
		case markup[1] != '?' && markup[1] != '!' && localName(markup) == PackageElement:
			return s.whole(markup)
		}
	}
}

// whole reads to the end of the package whose start tag was just read.
func (s *Splitter) whole(tag []byte) (Raw, error) {
	from, line := len(tag), s.at()
	if s.head == nil {
		s.head = []byte{} // nothing follows a root element
		defer func() { s.name = "" }()
	}
	closing := []byte("</" + fullName(tag))
	s.pos -= from // need keeps what is behind pos
	if bytes.HasSuffix(tag, []byte("/>")) {
		s.pos += from
		return Raw{XML: s.buf[s.pos-from : s.pos], Line: line}, nil
	}
	for {
		if i := bytes.Index(s.buf[s.pos+from:], closing); i >= 0 {
			from += i // where the end tag begins
			end := s.pos + from + len(closing)
			if j := bytes.IndexByte(s.buf[end:], '>'); j >= 0 {
				found := Raw{XML: s.buf[s.pos : end+j+1], Line: line}
				s.pos = end + j + 1
				return found, nil
			}
		} else {
			from = max(from, len(s.buf)-s.pos-len(closing)+1)
		}
		if len(s.buf)-s.pos > MaxPackage {
			return Raw{}, fmt.Errorf("line %d: a package of more than %d bytes", line, MaxPackage)
		}
		if err := s.fill(); err != nil {
			return Raw{}, fmt.Errorf("the package that begins in line %d does not end: %w", line, err)
		}
	}
}

// markup steps over text and returns the next tag, comment, declaration or CDATA section whole.
func (s *Splitter) markup() ([]byte, error) {
	for {
		if i := bytes.IndexByte(s.buf[s.pos:], '<'); i >= 0 {
			s.pos += i
			break
		}
		s.pos = len(s.buf)
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	if err := s.need(9); err != nil && !errors.Is(err, errCut) {
		return nil, err
	}
	closing, from := ">", 1
	for _, long := range [...][2]string{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if bytes.HasPrefix(s.buf[s.pos:], []byte(long[0])) {
			closing, from = long[1], len(long[0])
		}
	}
	for {
		if i := closes(s.buf[s.pos:], from, closing); i > 0 {
			s.pos += i
			return s.buf[s.pos-i : s.pos], nil
		}
		if len(s.buf)-s.pos > MaxPackage {
			return nil, fmt.Errorf("line %d: markup of more than %d bytes", s.at(), MaxPackage)
		}
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
}

// closes returns where markup that begins at 0 ends, 0 when its end is not here. Quoted '>' end no tag.
func closes(window []byte, from int, closing string) int {
	if closing != ">" {
		if i := bytes.Index(window[min(from, len(window)):], []byte(closing)); i >= 0 {
			return from + i + len(closing)
		}
		return 0
	}
	quote := byte(0)
	for i := from; i < len(window); i++ {
		switch c := window[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return 0
}

func (s *Splitter) need(n int) error {
	for len(s.buf)-s.pos < n {
		if err := s.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads more and drops what lies before pos. The end of the stream is errCut: whoever wants more has not seen
// the end of what it reads.
func (s *Splitter) fill() error {
	if s.done {
		return errCut
	}
	if s.pos > 0 {
		s.line += bytes.Count(s.buf[:s.pos], []byte("\n"))
		s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
		s.pos = 0
	}
	have := len(s.buf)
	if cap(s.buf)-have < chunk {
		s.buf = append(make([]byte, 0, 2*cap(s.buf)+2*chunk), s.buf...)
	}
	n, err := s.r.Read(s.buf[have:cap(s.buf)])
	s.buf = s.buf[:have+n]
	if errors.Is(err, io.EOF) {
		s.done = true
		err = nil
		if n == 0 {
			return errCut
		}
	}
	return err
}

// at is the line of pos.
func (s *Splitter) at() int { return s.line + bytes.Count(s.buf[:s.pos], []byte("\n")) + 1 }

// fullName is the name in a start tag, with its prefix.
func fullName(tag []byte) string {
	end := bytes.IndexAny(tag, " \t\r\n/>")
	if end < 1 {
		return ""
	}
	return string(tag[1:end])
}

func localName(tag []byte) string {
	name := fullName(tag)
	return name[strings.IndexByte(name, ':')+1:]
}
