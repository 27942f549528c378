// Package families says which product families of Microsoft's documents are left out.
package families

import (
	"slices"
	"strings"
)

// None, given alone, leaves no product family out.
const None = "none"

// defaultExclusions are left out where a request names none: their fixes are packages of a Linux distribution, which
// its own feeds describe better.
var defaultExclusions = []string{"Mariner", "Azure Linux"}

// exclusion is a product family that is left out. Where a document gives a product no family, its name decides; that
// of a Linux package decides whatever the family.
type exclusion struct {
	family string // lower case
	always bool
}

// Exclusions are product families that are left out.
type Exclusions []exclusion

// Exclude reads names of families; none at all stand for the defaults.
func Exclude(families []string) Exclusions {
	if len(families) == 1 && strings.EqualFold(families[0], None) {
		return nil
	}
	if len(families) == 0 {
		families = defaultExclusions
	}
	var all Exclusions
	for _, f := range families {
		if f = strings.ToLower(strings.TrimSpace(f)); f != "" {
			isDefault := slices.ContainsFunc(defaultExclusions, func(d string) bool { return strings.EqualFold(d, f) })
			all = append(all, exclusion{f, isDefault})
		}
	}
	return all
}

// Match says whether a product is left out.
func (e Exclusions) Match(family, name string) bool {
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
func (e Exclusions) String() string {
	var families []string
	for _, x := range e {
		families = append(families, x.family)
	}
	slices.Sort(families)
	return strings.Join(families, ",")
}
