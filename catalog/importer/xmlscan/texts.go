package xmlscan

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// simple reads to the end of the element just started, where that holds nothing but a text and is in the buffer whole;
// else it reads nothing. The text is part of the buffer.
func (s *Scanner) simple() (text []byte, ok bool) {
	if s.selfDone {
		return nil, false
	}
	length := bytes.IndexByte(s.buf[s.pos:], '<')
	if length < 0 || length > MaxText {
		return nil, false
	}
	end := s.closing(s.pos + length)
	if end == 0 {
		return nil, false
	}
	text = s.buf[s.pos : s.pos+length]
	s.pos += length + end
	return text, s.pop() == nil
}

// Leaf reads to the end of the element just started and returns its own text, unescaped and trimmed; elements inside
// are stepped over. The bytes are valid until the next call.
func (s *Scanner) Leaf() ([]byte, error) {
	s.text = s.text[:0]
	if text, ok := s.simple(); ok {
		if bytes.IndexByte(text, '&') < 0 {
			return bytes.TrimSpace(text), nil
		}
		s.text = append(s.text, text...)
		return s.unescaped(s.text)
	}
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
		if _, ok := s.simple(); ok {
			if len(s.starts) < depth {
				return nil
			}
		}
		ev, err := s.next(false)
		if err != nil {
			return err
		}
		if ev == End && len(s.starts) < depth {
			return nil
		}
	}
}

// Attr returns an attribute of the start tag just read, by local name; absent ones are empty. The bytes are valid until
// the next call.
func (s *Scanner) Attr(name string) ([]byte, error) {
	rest := s.attrs
	for {
		rest = trimLeft(rest)
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return nil, nil
		}
		key := bytes.TrimRight(rest[:eq], " \t\r\n")
		rest = trimLeft(rest[eq+1:])
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return nil, s.Fail("attribute %.40s has no quoted value", key)
		}
		closing := bytes.IndexByte(rest[1:], rest[0])
		if closing < 0 {
			return nil, s.Fail("attribute %.40s has no closing quote", key)
		}
		if string(local(key)) == name {
			value := rest[1 : closing+1]
			if bytes.IndexByte(value, '&') >= 0 {
				value = bytes.Clone(value) // it may be asked for again
			}
			return s.unescaped(value)
		}
		rest = rest[closing+2:]
	}
}

func trimLeft(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n') {
		text = text[1:]
	}
	return text
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
