package wql

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is the right side of LIKE: % any characters, _ any one, [abc] [a-c] one of these, [^abc] one of no these.
// Case does not matter.
type pattern struct {
	// within is the text between two % when it has no more than _ in it, which is how catalogs write nearly all of
	// theirs: they forget that _ stands for any character. It is cut round its longest piece without one.
	within              bool
	before, key, behind string
	atoms               []atom
}

type atom struct {
	many  bool // %
	any   bool // _
	not   bool // [^
	runes []rune
	spans [][2]rune
}

func newPattern(text string) (*pattern, error) {
	text = strings.ToLower(text)
	p := &pattern{}
	if inner, ok := between(text); ok {
		p.within = true
		p.before, p.key, p.behind = cut(inner)
		return p, nil
	}
	for i := 0; i < len(text); {
		switch text[i] {
		case '%':
			if n := len(p.atoms); n == 0 || !p.atoms[n-1].many {
				p.atoms = append(p.atoms, atom{many: true})
			}
			i++
		case '_':
			p.atoms = append(p.atoms, atom{any: true})
			i++
		case '[':
			a, length, err := newSet(text[i:])
			if err != nil {
				return nil, err
			}
			p.atoms = append(p.atoms, a)
			i += length
		default:
			r, n := utf8.DecodeRuneInString(text[i:])
			p.atoms = append(p.atoms, atom{runes: []rune{r}})
			i += n
		}
	}
	return p, nil
}

// between returns the text between % and % if only _ is special in it.
func between(text string) (inner string, ok bool) {
	if len(text) < 2 || text[0] != '%' || text[len(text)-1] != '%' {
		return "", false
	}
	inner = text[1 : len(text)-1]
	return inner, !strings.ContainsAny(inner, "%[")
}

// cut finds the longest piece between two _.
func cut(inner string) (before, key, behind string) {
	from, to := 0, 0
	for i := 0; i <= len(inner); {
		n := strings.IndexByte(inner[i:], '_')
		if n < 0 {
			n = len(inner) - i
		}
		if n > to-from {
			from, to = i, i+n
		}
		i += n + 1
	}
	return inner[:from], inner[from:to], inner[to:]
}

// newSet reads [...]. A closing bracket that comes first stands for itself, as does a dash at either end.
func newSet(text string) (a atom, length int, err error) {
	runes := []rune(text)
	i := 1
	if i < len(runes) && (runes[i] == '^' || runes[i] == '!') {
		a.not = true
		i++
	}
	first := i
	for ; i < len(runes) && (runes[i] != ']' || i == first); i++ {
		if i+2 < len(runes) && runes[i+1] == '-' && runes[i+2] != ']' {
			a.spans = append(a.spans, [2]rune{runes[i], runes[i+2]})
			i += 2
			continue
		}
		a.runes = append(a.runes, runes[i])
	}
	if i >= len(runes) {
		return a, 0, errors.New("[ without ]")
	}
	return a, len(string(runes[:i+1])), nil
}

func (a *atom) takes(r rune) bool {
	if a.any {
		return true
	}
	has := slices.Contains(a.runes, r) || slices.ContainsFunc(a.spans, func(s [2]rune) bool { return s[0] <= r && r <= s[1] })
	return has != a.not
}

// matches takes a text in lower case. It goes back to the last % alone, so its time is at most the product of lengths.
func (p *pattern) matches(lower string) bool {
	if p.within {
		return p.isWithin(lower)
	}
	at, resume, again := 0, -1, 0
	for i := 0; i < len(lower); {
		r, n := utf8.DecodeRuneInString(lower[i:])
		switch {
		case at < len(p.atoms) && p.atoms[at].many:
			at++
			resume, again = at, i
		case at < len(p.atoms) && p.atoms[at].takes(r):
			at++
			i += n
		case resume >= 0:
			_, n = utf8.DecodeRuneInString(lower[again:])
			again += n
			at, i = resume, again
		default:
			return false
		}
	}
	for at < len(p.atoms) && p.atoms[at].many {
		at++
	}
	return at == len(p.atoms)
}

// isWithin looks in a text or in a column of texts; _ does not match what separates these.
func (p *pattern) isWithin(lower string) bool {
	for at := 0; at <= len(lower); at++ {
		found := strings.Index(lower[at:], p.key)
		if found < 0 {
			return false
		}
		at += found
		if endsWith(lower[:at], p.before) && beginsWith(lower[at+len(p.key):], p.behind) {
			return true
		}
	}
	return false
}

func beginsWith(text, pattern string) bool {
	for pattern != "" {
		want, n := utf8.DecodeRuneInString(pattern)
		have, m := utf8.DecodeRuneInString(text)
		if m == 0 || strings.HasPrefix(text, separator) || want != '_' && want != have {
			return false
		}
		pattern, text = pattern[n:], text[m:]
	}
	return true
}

func endsWith(text, pattern string) bool {
	for pattern != "" {
		want, n := utf8.DecodeLastRuneInString(pattern)
		have, m := utf8.DecodeLastRuneInString(text)
		if m == 0 || strings.HasSuffix(text, separator) || want != '_' && want != have {
			return false
		}
		pattern, text = pattern[:len(pattern)-n], text[:len(text)-m]
	}
	return true
}
