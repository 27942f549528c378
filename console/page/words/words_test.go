package words_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"thatch/console/page/words"
)

// Where texts of pages stand: calls of t and count in templates, T and Count in code, and the fields of declarations.
var (
	inTemplates = regexp.MustCompile(`\bt ("(?:[^"\\]|\\.)*")|\bcount ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")`)
	inCode      = regexp.MustCompile(`\.T\(("(?:[^"\\]|\\.)*")|\.Count\(("(?:[^"\\]|\\.)*"), ("(?:[^"\\]|\\.)*")|\b(?:Title|Text|Empty|Confirm):\s*("(?:[^"\\]|\\.)*")`)
)

// TestEveryTextHasItsGerman finds the texts of all pages in their sources.
func TestEveryTextHasItsGerman(t *testing.T) {
	german := words.For("de")
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "pagetest") {
			return err
		}
		pattern := map[string]*regexp.Regexp{".html": inTemplates, ".go": inCode}[filepath.Ext(path)]
		if pattern == nil {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range pattern.FindAllStringSubmatch(string(source), -1) {
			for _, quoted := range match[1:] {
				if text, err := strconv.Unquote(quoted); err == nil && text != "" && !found[text] {
					found[text] = true
					if !german.Has(text) {
						t.Errorf("%s: there is no German for %q", path, text)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 50 {
		t.Errorf("only %d texts were found: the patterns fit no longer", len(found))
	}
}

func TestOneTextEach(t *testing.T) {
	for _, text := range words.For("de").Disputed() {
		t.Error(text)
	}
}

// TestArgumentsAgree: a translation that takes other arguments than its English text would show them as errors.
func TestArgumentsAgree(t *testing.T) {
	verbs := regexp.MustCompile(`%(?:\[\d\])?[a-z]`)
	words.For("de").Each(func(english, german string) {
		if a, b := len(verbs.FindAllString(english, -1)), len(verbs.FindAllString(german, -1)); a != b {
			t.Errorf("%q takes %d arguments, %q %d", english, a, german, b)
		}
	})
}

func TestForms(t *testing.T) {
	english, german := words.For("fr-FR,en;q=0.8"), words.For("DE-at, en")
	for _, c := range []struct{ got, want string }{
		{english.Number(0), "0"},
		{english.Number(999), "999"},
		{english.Number(-1234567), "−1,234,567"},
		{german.Number(1000), "1.000"},
		{german.Decimal(99.95, 1), "100,0"},
		{german.Bytes(999), "999 B"},
		{german.Bytes(1500), "1,5 kB"},
		{english.Bytes(999_999), "1000 kB"},
		{english.Bytes(12_000_000_000_000_000), "12000 TB"},
		{english.Count("1 day", "%s days", 1), "1 day"},
		{english.Count("1 day", "%s days", 1200), "1,200 days"},
		{german.T("no such text %d", 5), "no such text 5"},
		{words.For("").Language, "en"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
