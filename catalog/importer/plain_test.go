package importer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPlainText(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"as it is: “quoted” ü \\ \" 漢":  "as it is: “quoted” ü \\ \" 漢",
		"\x1b[2Jgone":                   `\x1b[2Jgone`,
		"line\r\nline\tx":               `line\r\nline\tx`,
		"c1 \u009b31m, bidi \u202egnp.": `c1 \u009b31m, bidi \u202egnp.`,
		"broken \xff\xfe, \ufffd":       `broken \xff\xfe, \ufffd`,
		"\x00\x7f":                      `\x00\x7f`,
		strings.Repeat("ü", 600):        strings.Repeat("ü", 498) + "...",
	} {
		if got := plainText(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// Whatever is said, a terminal is told nothing but letters, and what is plain stays as it is.
func TestPlainTextOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := plainText(string(rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "text")))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || len(got) > maxText {
			t.Fatalf("%q", got)
		}
		if plainText(got) != got {
			t.Fatalf("%q changes once more", got)
		}
	})
}

func TestPlainErrorStaysWhatItIs(t *testing.T) {
	err := error(plainError{errors.Join(io.ErrUnexpectedEOF, errors.New("\x1b"))})
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != `unexpected EOF\n\x1b` {
		t.Errorf("%v", err)
	}
}
