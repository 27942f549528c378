package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/rule"
)

const (
	maxTargetValues = 500
	maxPattern      = 200
)

// Target says which computers a policy is for. A computer must satisfy every part that is given, and of a part with
// several values one of them. The zero Target is every computer.
//
// A part that this version does not know is remembered in Unknown: such a target matches nobody and is shown.
type Target struct {
	NeedsIt      bool     `json:"needs_it,omitempty"`      // the computer needs one of the updates
	Platforms    []string `json:"platforms,omitempty"`     // rule.System.Platform: "windows", "debian"
	Languages    []string `json:"languages,omitempty"`     // BCP 47; a bare primary tag matches all its regions
	ProductTypes []string `json:"product_types,omitempty"` // workstation, server (any), domaincontroller
	Names        []string `json:"names,omitempty"`         // computer names with * and ?, letter case ignored
	ExceptNames  []string `json:"except_names,omitempty"`  // computers that are left out, likewise
	Unknown      []string `json:"-"`
}

// Computer is what a target is held against.
type Computer struct {
	Name   string
	System rule.System
	Needs  bool // one of the policy's updates is applicable
}

// UnmarshalJSON reads a target and remembers the keys it does not know.
func (t *Target) UnmarshalJSON(data []byte) error {
	type plain Target
	var known plain
	if err := json.Unmarshal(data, &known); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	*t = Target(known)
	for key := range keys {
		if !slices.Contains(targetKeys, key) {
			t.Unknown = append(t.Unknown, key)
		}
	}
	slices.Sort(t.Unknown)
	return nil
}

var targetKeys = []string{"needs_it", "platforms", "languages", "product_types", "names", "except_names"}

// Match says whether the target means the computer. A fact that is not known satisfies no part that asks for it.
func (t *Target) Match(c Computer) bool {
	if len(t.Unknown) > 0 || t.NeedsIt && !c.Needs {
		return false
	}
	if len(t.Platforms) > 0 && !slices.ContainsFunc(t.Platforms, func(p string) bool { return strings.EqualFold(p, c.System.Platform) }) {
		return false
	}
	if len(t.Languages) > 0 && !runsOne(t.Languages, c.System.Languages) {
		return false
	}
	if len(t.ProductTypes) > 0 && !slices.ContainsFunc(t.ProductTypes, func(p string) bool { return isProductType(p, c.System.ProductType) }) {
		return false
	}
	named := func(pattern string) bool { return MatchName(pattern, c.Name) }
	if len(t.Names) > 0 && !slices.ContainsFunc(t.Names, named) {
		return false
	}
	return !slices.ContainsFunc(t.ExceptNames, named)
}

func runsOne(wanted, running []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool {
		return slices.ContainsFunc(running, func(r string) bool { return Speaks(r, w) })
	})
}

// Speaks says whether a computer that runs the language has what is wanted: "de-ch" has "de-ch" and "de".
func Speaks(running, wanted string) bool {
	running, wanted = strings.ToLower(running), strings.ToLower(wanted)
	return running == wanted || strings.HasPrefix(running, wanted+"-")
}

func isProductType(name string, number int) bool {
	switch strings.ToLower(name) {
	case "workstation":
		return number == 1
	case "domaincontroller":
		return number == 2
	case "server":
		return number == 2 || number == 3
	}
	return false
}

// MatchName matches a computer name with a pattern in which * stands for any text and ? for one character; letter
// case is ignored.
func MatchName(pattern, name string) bool {
	p, n := []rune(strings.ToLower(pattern)), []rune(strings.ToLower(name))
	pi, ni, star, mark := 0, 0, -1, 0
	for ni < len(n) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, ni
			pi++
		case pi < len(p) && (p[pi] == '?' || p[pi] == n[ni]):
			pi++
			ni++
		case star >= 0:
			mark++
			pi, ni = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// Validate says what is wrong with a target made here. Unknown parts are legal in targets that came from elsewhere.
func (t *Target) Validate() error {
	parts := []struct {
		name   string
		values []string
	}{
		{"platforms", t.Platforms},
		{"languages", t.Languages},
		{"product_types", t.ProductTypes},
		{"names", t.Names},
		{"except_names", t.ExceptNames},
	}
	for _, part := range parts {
		if len(part.values) > maxTargetValues {
			return fmt.Errorf("%w: target has %d %s, at most %d are allowed", ErrInvalid, len(part.values), part.name, maxTargetValues)
		}
		for _, value := range part.values {
			if value == "" || len(value) > maxPattern {
				return fmt.Errorf("%w: target's %s holds %.40q, want 1 to %d bytes", ErrInvalid, part.name, value, maxPattern)
			}
		}
	}
	for _, p := range t.ProductTypes {
		if !isProductType(p, 1) && !isProductType(p, 2) {
			return fmt.Errorf("%w: product type %.40q, want workstation, server or domaincontroller", ErrInvalid, p)
		}
	}
	return nil
}
