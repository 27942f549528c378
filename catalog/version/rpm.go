package version

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// RPM is the epoch, version and release of an RPM package.
type RPM struct {
	Epoch   int
	Version string
	Release string
}

// ParseRPM reads [epoch:]version[-release]; white space around it is left out.
func ParseRPM(text string) (RPM, error) {
	refuse := func(why string) (RPM, error) {
		return RPM{}, fmt.Errorf("version %q is not one of RPM: %s", clip(text), why)
	}
	rest := strings.TrimSpace(text)
	if len(rest) > maxText {
		return refuse("longer than 1000 bytes")
	}
	var v RPM
	if epoch, after, has := strings.Cut(rest, ":"); has {
		n, err := strconv.ParseUint(epoch, 10, 31)
		if err != nil {
			return refuse("the epoch is not a number")
		}
		v.Epoch, rest = int(n), after
	}
	v.Version = rest
	if dash := strings.LastIndexByte(rest, '-'); dash >= 0 {
		v.Version, v.Release = rest[:dash], rest[dash+1:]
	}
	const extra = "._+~^"
	if v.Version == "" || !made(v.Version, extra) || !made(v.Release, extra) {
		return refuse("not letters, digits and . _ + ~ ^ with one dash before the release")
	}
	return v, nil
}

// Compare orders by epoch, version and release. A release that is not given sorts before any that is, so that this is
// an order; who wants to ignore releases compares Version alone.
func (v RPM) Compare(other RPM) int {
	return cmp.Or(cmp.Compare(v.Epoch, other.Epoch), Segments(v.Version, other.Version), Segments(v.Release, other.Release))
}

// CompareRPM compares two texts as ParseRPM reads them.
func CompareRPM(a, b string) (int, error) {
	va, err := ParseRPM(a)
	if err != nil {
		return 0, err
	}
	vb, err := ParseRPM(b)
	if err != nil {
		return 0, err
	}
	return va.Compare(vb), nil
}

// Segments compares two versions or two releases as rpm's rpmvercmp does: runs of letters and runs of digits one by
// one, everything between them ignored; digits are newer than letters, a tilde is older than the end, and a caret is
// newer than the end but older than anything else.
func Segments(a, b string) int {
	for {
		a, b = skip(a), skip(b)
		ka, kb := rank(a), rank(b)
		if ka != kb {
			return cmp.Compare(ka, kb)
		}
		var sa, sb string
		switch ka {
		case end:
			return 0
		case tilde, caret:
			a, b = a[1:], b[1:]
			continue
		case letters:
			sa, a = run(a, isLetter)
			sb, b = run(b, isLetter)
			if c := cmp.Compare(sa, sb); c != 0 {
				return c
			}
		case numbers:
			sa, a = digits(a)
			sb, b = digits(b)
			if c := number(sa, sb); c != 0 {
				return c
			}
		}
	}
}

// What a text may begin with, oldest first.
const (
	tilde = iota
	end
	caret
	letters
	numbers
)

func rank(text string) int {
	switch {
	case text == "":
		return end
	case text[0] == '~':
		return tilde
	case text[0] == '^':
		return caret
	case isDigit(text[0]):
		return numbers
	}
	return letters
}

// skip leaves out what separates segments.
func skip(text string) string {
	for text != "" && !isDigit(text[0]) && !isLetter(text[0]) && text[0] != '~' && text[0] != '^' {
		text = text[1:]
	}
	return text
}

func run(text string, is func(byte) bool) (segment, rest string) {
	i := 0
	for i < len(text) && is(text[i]) {
		i++
	}
	return text[:i], text[i:]
}
