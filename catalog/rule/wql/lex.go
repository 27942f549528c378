package wql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a query.
const (
	MaxText  = 256 << 10 // bytes
	MaxDepth = 100       // parentheses and NOTs within each other
)

// word is a token: a name, a quoted text, a number, or a sign.
type word struct {
	kind wordKind
	text string // of a quoted text: what it stands for
	at   int    // byte in the query
}

type wordKind int

const (
	end wordKind = iota
	name
	quoted
	number
	sign
)

// is compares a name or a sign with what the grammar expects, without regard to case.
func (w word) is(text string) bool {
	return (w.kind == name || w.kind == sign) && strings.EqualFold(w.text, text)
}

func (w word) String() string {
	if w.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q at byte %d", w.text, w.at)
}

// split cuts a query into words, ending with one of kind end.
func split(query string) ([]word, error) {
	if len(query) > MaxText {
		return nil, fmt.Errorf("query of %d bytes: at most %d are read", len(query), MaxText)
	}
	if !utf8.ValidString(query) {
		return nil, fmt.Errorf("query is not UTF-8")
	}
	var words []word
	for at := 0; at < len(query); {
		c := query[at]
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			at++
			continue
		case c == '\'' || c == '"':
			text, after, err := unquote(query, at)
			if err != nil {
				return nil, err
			}
			words = append(words, word{quoted, text, at})
			at = after
			continue
		}
		n, kind := measure(query[at:])
		if n == 0 {
			return nil, fmt.Errorf("%q at byte %d belongs to nothing", query[at:at+1], at)
		}
		words = append(words, word{kind, query[at : at+n], at})
		at += n
	}
	return append(words, word{kind: end, at: len(query)}), nil
}

// measure returns the length and kind of the name, number or sign that a text begins with.
func measure(text string) (length int, kind wordKind) {
	for _, two := range []string{"<=", ">=", "<>", "!="} {
		if strings.HasPrefix(text, two) {
			return 2, sign
		}
	}
	if strings.IndexByte("()=<>,*", text[0]) >= 0 {
		return 1, sign
	}
	kind = name
	if isDigit(text[0]) || text[0] == '-' || text[0] == '+' || text[0] == '.' {
		kind = number
	} else if !isNameByte(text[0]) {
		return 0, end
	}
	length = 1
	for length < len(text) && (isNameByte(text[length]) || text[length] == '.' ||
		kind == number && (text[length] == '-' || text[length] == '+') && (text[length-1] == 'e' || text[length-1] == 'E')) {
		length++
	}
	return length, kind
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isNameByte takes bytes above ASCII as letters: names of classes may have them.
func isNameByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

// unquote reads a text in single or double quotes, where a backslash takes the next character as it is.
func unquote(query string, at int) (text string, after int, err error) {
	var out strings.Builder
	for i := at + 1; i < len(query); i++ {
		switch c := query[i]; {
		case c == query[at]:
			return out.String(), i + 1, nil
		case c == '\\' && i+1 < len(query):
			i++
			out.WriteByte(query[i])
		default:
			out.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("the quote at byte %d is not closed", at)
}
