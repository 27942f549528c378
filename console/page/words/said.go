package words

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// What the node says (errors, reasons, alarms, logs of runs) is English wherever it is kept, sent and logged: a site may be
// told of it by another one, of another version. A page finds the format that made a text again, among those that files
// said-*.json of a language give, and says it anew with what the text was filled with. What no format fits stays English.

// saying is a format of the node's with what it is in the catalog's language.
type saying struct {
	pattern string                // of the English text, with a group for each argument
	format  func() *regexp.Regexp // the pattern, compiled when a text first might fit: there are many, and most never do
	literal string                // the longest part that stands in every text of it
	weight  int                   // bytes of all such parts
	verbs   []byte                // of the English format, in turn: 'q', 'd', 's'
	text    string
}

// sayings are the formats that texts are held against, by the first word of those that begin with one.
type sayings map[string][]*saying

// maxSaid is the longest text that is looked at, in bytes; maxDepth how often a text is taken apart.
const (
	maxSaid  = 4096
	maxDepth = 12
)

var verb = regexp.MustCompile(`%(?:\[(\d)\])?[#+.0-9]*([a-zA-Z%])`)

// sayingsOf makes them of formats and their texts; those that say most come first.
func sayingsOf(texts map[string]string) sayings {
	s := sayings{}
	for english, text := range texts {
		if strings.Contains(english, "%") {
			s.add(english, text)
		}
	}
	for _, list := range s {
		slices.SortFunc(list, func(a, b *saying) int {
			return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.pattern, b.pattern))
		})
	}
	return s
}

func (s sayings) add(english, text string) {
	one := &saying{text: text}
	pattern, at := `(?s)^`, 0
	literal := func(part string) {
		pattern += regexp.QuoteMeta(part)
		one.weight += len(part)
		if len(part) > len(one.literal) {
			one.literal = part
		}
	}
	for _, m := range verb.FindAllStringSubmatchIndex(english, -1) {
		literal(english[at:m[0]])
		at = m[1]
		switch letter := english[m[4]]; letter {
		case '%':
			literal("%")
		case 'q':
			pattern += `("(?:[^"\\]|\\.)*"|\[[^\]]*\])`
			one.verbs = append(one.verbs, 'q')
		case 'd':
			pattern += `(-?\d+)`
			one.verbs = append(one.verbs, 'd')
		default:
			pattern += `(.*?)`
			one.verbs = append(one.verbs, 's')
		}
	}
	literal(english[at:])
	one.pattern = pattern + `$`
	one.format = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(one.pattern) })
	first := ""
	if word, _, more := strings.Cut(english, " "); more && !strings.Contains(word, "%") {
		first = word
	}
	s[first] = append(s[first], one)
}

// Said is what the node said, in this language.
func (c *Catalog) Said(text string) string {
	if len(text) > maxSaid {
		return text
	}
	said, _ := c.again(text, 0)
	return said
}

func (c *Catalog) again(text string, depth int) (string, bool) {
	if own, ok := c.said[text]; ok {
		return own, true
	}
	if depth > maxDepth || len(c.sayings) == 0 || len(text) < 3 {
		return text, false
	}
	first, _, _ := strings.Cut(text, " ")
	for _, list := range [][]*saying{c.sayings[first], c.sayings[""]} {
		for _, one := range list {
			if !strings.Contains(text, one.literal) {
				continue
			}
			if args := one.format().FindStringSubmatch(text); args != nil {
				return c.fill(one, args[1:], depth), true
			}
		}
	}
	for _, between := range []string{"\n", "; ", ": "} {
		if left, right, more := strings.Cut(text, between); more {
			left, one := c.again(left, depth+1)
			right, two := c.again(right, depth+1)
			return left + between + right, one || two
		}
	}
	if left, right, more := strings.Cut(text, ", "); more { // a list of words
		left, one := c.again(left, depth+1)
		right, two := c.again(right, depth+1)
		if one && two {
			return left + ", " + right, true
		}
	}
	return text, false
}

// fill puts arguments into a text: names as they are, in the language's quotation marks; what may be a text of the node's
// itself, in this language.
func (c *Catalog) fill(one *saying, args []string, depth int) string {
	next := 0
	return verb.ReplaceAllStringFunc(one.text, func(v string) string {
		m := verb.FindStringSubmatch(v)
		if m[2] == "%" {
			return "%"
		}
		at := next
		if m[1] != "" {
			at = int(m[1][0] - '1')
		}
		next = at + 1
		arg := args[at]
		switch one.verbs[at] {
		case 'q':
			if plain, err := strconv.Unquote(arg); err == nil && m[2] == "q" {
				return "„" + plain + "“"
			}
		case 's':
			arg, _ = c.again(arg, depth+1)
		}
		return arg
	})
}

// EachSaid calls a function with every format of what the node says, and the language's own.
func (c *Catalog) EachSaid(call func(format, text string)) {
	for format, text := range c.said {
		call(format, text)
	}
}
