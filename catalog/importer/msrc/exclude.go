package msrc

import (
	"slices"
	"strings"
)

// NoExclusions, given alone as Request.Exclude, leaves no product family out.
const NoExclusions = "none"

// defaultExclusions are left out where a request names none: their fixes are packages of a Linux distribution, which
// its own feeds describe better.
var defaultExclusions = []string{"Mariner", "Azure Linux"}

// exclusion is a product family that is left out. Where a document gives a product no family, its name decides; that
// of a Linux package decides whatever the family.
type exclusion struct {
	family string // lower case
	always bool
}

type exclusions []exclusion

func newExclusions(families []string) exclusions {
	if len(families) == 1 && strings.EqualFold(families[0], NoExclusions) {
		return nil
	}
	if len(families) == 0 {
		families = defaultExclusions
	}
	var all exclusions
	for _, f := range families {
		if f = strings.ToLower(strings.TrimSpace(f)); f != "" {
			isDefault := slices.ContainsFunc(defaultExclusions, func(d string) bool { return strings.EqualFold(d, f) })
			all = append(all, exclusion{f, isDefault})
		}
	}
	return all
}

func (e exclusions) match(family, name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(e, func(x exclusion) bool {
		return strings.EqualFold(family, x.family) || (family == "" || x.always) && hasWords(name, x.family)
	})
}

// hasWords says whether words stand in a text where they are no part of longer ones.
func hasWords(text, words string) bool {
	for start := 0; ; {
		at := strings.Index(text[start:], words)
		if at < 0 {
			return false
		}
		at += start
		if atEdge(text, at) && atEdge(text, at+len(words)) {
			return true
		}
		start = at + 1
	}
}

// atEdge says whether a word begins or ends at a place of a text.
func atEdge(text string, at int) bool {
	return (at > 0 && isWordByte(text[at-1])) != (at < len(text) && isWordByte(text[at]))
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z'
}

// String lists the families in one order, for fingerprints.
func (e exclusions) String() string {
	var families []string
	for _, x := range e {
		families = append(families, x.family)
	}
	slices.Sort(families)
	return strings.Join(families, ",")
}
