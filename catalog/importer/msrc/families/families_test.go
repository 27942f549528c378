package families

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// Words are looked for without a regular expression, and found where one would find them.
func TestWordsStandAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SampledFrom([]string{"mariner", "azure linux", ".net", "c++", "a"}).Draw(t, "words")
		name := rapid.StringMatching(`([Aa] ?|-|_|1|ä|[Mm]ariner|Azure[ _]LINUX|\.NET|C\+\+){0,6}`).Draw(t, "name")
		want := regexp.MustCompile(`(?i)\b` + regexp.QuoteMeta(words) + `\b`).MatchString(name)
		if got := (Exclusions{{family: words}}).Match("", name); got != want {
			t.Fatalf("%q has the words %q: %t, want %t", name, words, got, want)
		}
	})
}

func TestFamilies(t *testing.T) {
	for _, c := range []struct {
		exclude      []string
		family, name string
		want         bool
	}{
		{nil, "Mariner", "azl3 kernel 6.6", true},
		{nil, "", "CBL Mariner 2.0 x64", true},
		{nil, "Azure", "CBL Mariner 2.0 x64", true},
		{nil, "", "Submariner 1", false},
		{nil, "Windows", "Windows 10", false},
		{[]string{None}, "Mariner", "CBL Mariner 2.0 x64", false},
		{[]string{" Browser "}, "browser", "Microsoft Edge", true},
		{[]string{"browser"}, "Windows", "a browser", false},
		{[]string{"browser"}, "", "a Browser", true},
		{[]string{"browser"}, "Mariner", "CBL Mariner 2.0 x64", false},
	} {
		if got := Exclude(c.exclude).Match(c.family, c.name); got != c.want {
			t.Errorf("%q leaves out %s of family %q: %t", c.exclude, c.name, c.family, got)
		}
	}
	if got := Exclude([]string{"b", " A", ""}).String(); got != "a,b" {
		t.Errorf("families %q", got)
	}
}
