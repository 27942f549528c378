package identity

import (
	"encoding/json"
	"slices"
	"strings"

	"thatch/node/store"
)

const (
	maxPart     = 200 // groups or sites of a part
	maxPartName = 200 // bytes
)

// Part is what of a site somebody may act on: computers of some groups, and some sites with all below them. The zero
// Part is the whole site.
type Part struct {
	Groups []string `json:"groups,omitempty"` // of this site's computers
	Sites  []string `json:"sites,omitempty"`  // ids; this site's own means all its computers
}

// Whole says that nothing is left out.
func (p Part) Whole() bool { return len(p.Groups)+len(p.Sites) == 0 }

// Check says what is wrong with a part that a person named.
func (p Part) Check() error {
	for kind, names := range map[string][]string{"groups": p.Groups, "sites": p.Sites} {
		if len(names) > maxPart {
			return store.Invalid("a part of the site names at most %d %s, this one %d", maxPart, kind, len(names))
		}
		for i, name := range names {
			if name == "" || len(name) > maxPartName || slices.Contains(names[:i], name) {
				return store.Invalid("part of the site: %s: %.40q is empty, too long, or named twice", kind, name)
			}
		}
	}
	return nil
}

// Text is the part as tables keep it: JSON, "" the whole site.
func (p Part) Text() string {
	if p.Whole() {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic("identity: a part of two lists of texts has no JSON: " + err.Error())
	}
	return string(text)
}

// nowhere is a part that holds nothing: a text that cannot be read must not give the whole site.
var nowhere = Part{Sites: []string{"-"}}

// ParsePart reads what Text wrote.
func ParsePart(text string) Part {
	var p Part
	if text == "" {
		return p
	}
	if json.Unmarshal([]byte(text), &p) != nil || p.Whole() {
		return nowhere
	}
	return p
}

// String tells people what the part is.
func (p Part) String() string {
	var words []string
	if len(p.Groups) > 0 {
		words = append(words, "groups "+strings.Join(p.Groups, ", "))
	}
	if len(p.Sites) > 0 {
		words = append(words, "sites "+strings.Join(p.Sites, ", "))
	}
	if len(words) == 0 {
		return "the whole site"
	}
	return strings.Join(words, "; ")
}
