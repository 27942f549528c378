package words_test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"thatch/console/page/words"
)

// TestWhatIsSaidIsFoundAgain fills every format, and expects its own German with the same arguments: no other format takes it
// for its own, and a name is never translated.
func TestWhatIsSaidIsFoundAgain(t *testing.T) {
	german := words.For("de")
	verbs := regexp.MustCompile(`%(?:\[(\d)\])?[#+.0-9]*([a-zA-Z%])`)
	filled := func(format string, name func(n int, verb byte) string) string {
		n := 0
		return verbs.ReplaceAllStringFunc(format, func(verb string) string {
			if m := verbs.FindStringSubmatch(verb); m[1] != "" {
				n, _ = strconv.Atoi(m[1])
			} else {
				n++
			}
			return name(n, verb[len(verb)-1])
		})
	}
	german.EachSaid(func(format, text string) {
		said := german.Said(filled(format, func(n int, verb byte) string {
			switch verb {
			case 'q':
				return fmt.Sprintf("%q", fmt.Sprintf("bulletin %d", n))
			case 'd':
				return fmt.Sprint(7000 + n)
			}
			return fmt.Sprintf("x%dx", n)
		}))
		want := filled(text, func(n int, verb byte) string {
			switch verb {
			case 'q':
				return fmt.Sprintf("„bulletin %d“", n)
			case 'd':
				return fmt.Sprint(7000 + n)
			}
			return fmt.Sprintf("x%dx", n)
		})
		if said != want {
			t.Errorf("%q\n says %q\nnot   %q", format, said, want)
		}
	})
}

func TestSaid(t *testing.T) {
	german, english := words.For("de"), words.For("en")
	for _, c := range []struct{ english, german string }{
		{"", ""},
		{"nothing that anybody ever said: 5", "nothing that anybody ever said: 5"},
		{`invalid: there is an operator "bulletin" already`, "einen Bediener „bulletin“ gibt es schon"},
		{`bulletin "KB1: \"x\"": not found`, "Bulletin „KB1: \"x\"“ gibt es hier nicht"},
		{`change policy May: it is paused: conflict: changed meanwhile`, "Änderung der Richtlinie May: sie ist angehalten"},
		{
			"payloads are awaited from parent London: 3 of 7 files, 120 of 400 MB; the link may be used again in 5m0s",
			"Paketdateien sind erwartet von der übergeordneten Site London: 3 von 7 Dateien, 120 von 400 MB; die Verbindung darf in 5m0s wieder benutzt werden",
		},
		{"saturday, sunday at 20:00 for 10h, each computer's own time", "Samstag, Sonntag um 20:00 für 10h, nach der Uhr jedes Computers"},
		{"2 days after the second tuesday of the month at 20:00 for 4h, Europe/Berlin", "2 Tage nach: zweiter Dienstag des Monats um 20:00 für 4h, Europe/Berlin"},
		{"one, two, done", "one, two, done"},
		{"open x: no such file; the session ended", "open x: no such file; die Sitzung endete"},
		{
			"not allowed: this is about the whole site, and gero may act on a part of it alone (groups berlin)",
			"nicht erlaubt: dies betrifft die ganze Site, und gero darf nur für einen Teil von ihr handeln (Gruppen berlin)",
		},
	} {
		if got := german.Said(c.english); got != c.german {
			t.Errorf("%q\nsays %q\nnot  %q", c.english, got, c.german)
		}
		if got := english.Said(c.english); got != c.english {
			t.Errorf("in English %q says %q", c.english, got)
		}
	}
}

// FuzzSaid: whatever a vendor or another site wrote may stand in such a text.
func FuzzSaid(f *testing.F) {
	f.Add(`package "x": not found; file y: z: %!s(MISSING)`)
	f.Fuzz(func(t *testing.T, text string) { words.For("de").Said(text) })
}
