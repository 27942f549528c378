// Package version orders version numbers: dotted numbers as of Windows and Windows Installer, Debian's, and RPM's. For
// every order there is a parsed value with Compare, and a comparison of two texts. Compare answers -1, 0 or 1.
package version

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// MaxParts is the number of parts that a dotted version may have.
const MaxParts = 8

// maxText bounds texts in bytes; longer ones are refused.
const maxText = 1000

// Dotted is a version of numbers between dots. Parts that are not written are zero, so 6.3 equals 6.3.0.0; values with
// equal numbers are equal under ==.
type Dotted [MaxParts]uint64

// ParseDotted reads one to eight decimal numbers with dots between, such as 10.0.17763.316; white space around them is
// left out. Anything else is an error: letters, empty parts, signs, numbers of more than 64 bits.
func ParseDotted(text string) (Dotted, error) {
	var d Dotted
	part, digits := 0, 0
	trimmed := strings.TrimSpace(text)
	for i := range len(trimmed) {
		switch c := trimmed[i]; {
		case c == '.' && digits > 0 && part < MaxParts-1:
			part, digits = part+1, 0
		case c >= '0' && c <= '9':
			next := d[part]*10 + uint64(c-'0')
			if d[part] > (1<<64-1)/10 || next < d[part] {
				return Dotted{}, fmt.Errorf("version %q: part %d is too large", clip(text), part+1)
			}
			d[part], digits = next, digits+1
		default:
			return Dotted{}, notDotted(text)
		}
	}
	if digits == 0 {
		return Dotted{}, notDotted(text)
	}
	return d, nil
}

func notDotted(text string) error {
	return fmt.Errorf("version %q: not one to %d numbers with dots between", clip(text), MaxParts)
}

// DottedOf makes a version of the four 16-bit parts of a file's version resource.
func DottedOf(parts [4]uint16) Dotted {
	var d Dotted
	for i, p := range parts {
		d[i] = uint64(p)
	}
	return d
}

// Compare orders by the first part that differs.
func (d Dotted) Compare(other Dotted) int {
	for i := range d {
		if c := cmp.Compare(d[i], other[i]); c != 0 {
			return c
		}
	}
	return 0
}

// String writes the parts up to the last that is not zero, at least four.
func (d Dotted) String() string {
	last := MaxParts - 1
	for last > 3 && d[last] == 0 {
		last--
	}
	var out []byte
	for i := range last + 1 {
		if i > 0 {
			out = append(out, '.')
		}
		out = strconv.AppendUint(out, d[i], 10)
	}
	return string(out)
}

// CompareDotted compares two texts as ParseDotted reads them. It allocates nothing unless one is refused.
func CompareDotted(a, b string) (int, error) {
	va, err := ParseDotted(a)
	if err != nil {
		return 0, err
	}
	vb, err := ParseDotted(b)
	if err != nil {
		return 0, err
	}
	return va.Compare(vb), nil
}

// clip shortens what goes into errors.
func clip(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "..."
	}
	return text
}
