package importer

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the longest text of a warning, in bytes: a vendor's file has its say in it, not more.
const maxText = 1000

// plainText makes a text one line that a terminal shows as it is: what a vendor's file, a folder or a server says may
// have control bytes, which stand escaped here, and may have any length.
func plainText(text string) string {
	if len(text) <= maxText && strings.IndexFunc(text, odd) < 0 {
		return text
	}
	const more = "..."
	var out strings.Builder
	fits := 0 // so much stays where there is more than may be
	for rest := text; rest != "" && out.Len() <= maxText; {
		r, size := utf8.DecodeRuneInString(rest)
		one := rest[:size]
		if odd(r) {
			one = strconv.QuoteToASCII(one)
			one = one[1 : len(one)-1]
		}
		if out.WriteString(one); out.Len() <= maxText-len(more) {
			fits = out.Len()
		}
		rest = rest[size:]
	}
	if out.Len() > maxText {
		return out.String()[:fits] + more
	}
	return out.String()
}

func odd(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// plain makes a warning's texts plain.
func (w Warning) plain() Warning {
	w.File, w.Element, w.Text = plainText(w.File), plainText(w.Element), plainText(w.Text)
	return w
}

// plainError is an error with a plain text.
type plainError struct{ error }

func (e plainError) Error() string { return plainText(e.error.Error()) }

func (e plainError) Unwrap() error { return e.error }
