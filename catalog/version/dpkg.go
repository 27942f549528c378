package version

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Dpkg is a version of a Debian package: [epoch:]upstream[-revision].
type Dpkg struct {
	Epoch    int
	Upstream string
	Revision string
}

// ParseDpkg reads a version by the rules of the Debian policy manual, section 5.6.12; white space around it is left
// out.
func ParseDpkg(text string) (Dpkg, error) {
	refuse := func(why string) (Dpkg, error) {
		return Dpkg{}, fmt.Errorf("version %q is not one of Debian: %s", clip(text), why)
	}
	rest := strings.TrimSpace(text)
	if len(rest) > maxText {
		return refuse("longer than 1000 bytes")
	}
	var v Dpkg
	if epoch, after, has := strings.Cut(rest, ":"); has {
		n, err := strconv.ParseUint(epoch, 10, 31)
		if err != nil {
			return refuse("the epoch is not a number")
		}
		v.Epoch, rest = int(n), after
	}
	v.Upstream = rest
	if dash := strings.LastIndexByte(rest, '-'); dash >= 0 {
		v.Upstream, v.Revision = rest[:dash], rest[dash+1:]
		if v.Revision == "" {
			return refuse("nothing follows the last dash")
		}
	}
	if v.Upstream == "" || !isDigit(v.Upstream[0]) {
		return refuse("the upstream version does not begin with a digit")
	}
	if !made(v.Upstream, ".-+~:") || !made(v.Revision, ".+~") {
		return refuse("a character that versions cannot have")
	}
	return v, nil
}

// made says whether text has letters, digits and the extra characters alone.
func made(text, extra string) bool {
	for i := range len(text) {
		if c := text[i]; !isDigit(c) && !isLetter(c) && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// Compare orders by epoch, upstream version and revision; a tilde sorts before everything, even the end.
func (v Dpkg) Compare(other Dpkg) int {
	return cmp.Or(cmp.Compare(v.Epoch, other.Epoch), debian(v.Upstream, other.Upstream), debian(v.Revision, other.Revision))
}

// CompareDpkg compares two texts as ParseDpkg reads them.
func CompareDpkg(a, b string) (int, error) {
	va, err := ParseDpkg(a)
	if err != nil {
		return 0, err
	}
	vb, err := ParseDpkg(b)
	if err != nil {
		return 0, err
	}
	return va.Compare(vb), nil
}

// debian compares alternating parts without and with digits.
func debian(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			if c := cmp.Compare(weight(a), weight(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		var na, nb string
		na, a = digits(a)
		nb, b = digits(b)
		if c := number(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

// weight is the place of a text's first character: tilde, end or digit, letters, the rest.
func weight(text string) int {
	switch {
	case text == "" || isDigit(text[0]):
		return 0
	case text[0] == '~':
		return -1
	case isLetter(text[0]):
		return int(text[0])
	}
	return int(text[0]) + 256
}

// digits splits a text behind its leading digits.
func digits(text string) (number, rest string) {
	i := 0
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	return text[:i], text[i:]
}

// number compares digits of any length; none is zero.
func number(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
