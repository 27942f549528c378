package msrc

import "strings"

// NoExclusions, given alone as Request.Exclude, leaves no product family out.
const NoExclusions = "none"

// defaultExclusions are left out where a request names none: their fixes are packages of a Linux distribution, which
// its own feeds describe better.
var defaultExclusions = []string{"Mariner", "Azure Linux"}

// exclusions are product families, lower case. Where a document gives a product no family, its name decides.
type exclusions []string

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
			all = append(all, f)
		}
	}
	return all
}

func (e exclusions) match(family, name string) bool {
	family, name = strings.ToLower(family), strings.ToLower(name)
	for _, f := range e {
		if family == f || hasWords(name, f) && (family == "" || f == "azure linux" || f == "mariner") {
			return true
		}
	}
	return false
}

// hasWords says whether words occur in text, not as part of longer ones.
func hasWords(text, words string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], words)
		if i < 0 {
			return false
		}
		i += from
		before := i == 0 || !isWord(text[i-1])
		after := i+len(words) == len(text) || !isWord(text[i+len(words)])
		if before && after {
			return true
		}
		from = i + 1
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}
