// Package words is the message catalog of the pages: texts are written in English where they are used, and each other
// language has files that give its text for the English one. What is missing there is shown in English.
package words

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed */*.json
var files embed.FS

// Languages are those that pages are written in, English first.
var Languages = []string{"en", "de"}

// Catalog is the texts of one language.
type Catalog struct {
	Language string
	texts    map[string]string
	said     map[string]string // what the node says, by its format
	sayings  sayings           // the formats of it that take arguments
	disputed []string          // what two files give two texts for; a test allows none
}

// catalogs are read when a page first wants one: every command links this package, and few show a page.
var catalogs = sync.OnceValue(load)

func load() map[string]*Catalog {
	all := map[string]*Catalog{}
	for _, language := range Languages {
		c := &Catalog{Language: language, texts: map[string]string{}, said: map[string]string{}, sayings: sayings{}}
		all[language] = c
		entries, err := fs.ReadDir(files, language)
		if err != nil {
			continue // English needs none
		}
		for _, entry := range entries {
			if err := c.read(path.Join(language, entry.Name())); err != nil {
				panic(err) // embedded: a test reads them too
			}
		}
		c.sayings = sayingsOf(c.said)
	}
	return all
}

func (c *Catalog) read(name string) error {
	raw, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	var texts map[string]string
	if err := json.Unmarshal(raw, &texts); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	own := c.texts
	if strings.HasPrefix(path.Base(name), "said-") {
		own = c.said
	}
	for english, text := range texts {
		if former, known := own[english]; known && former != text {
			c.disputed = append(c.disputed, fmt.Sprintf("%s: %q is %q here and %q in another file", name, english, text, former))
			continue
		}
		own[english] = text
	}
	return nil
}

// For is the catalog of a language tag, or of the first that fits of an Accept-Language header; English otherwise.
func For(tags string) *Catalog {
	for tag := range strings.SplitSeq(tags, ",") {
		tag, _, _ = strings.Cut(strings.TrimSpace(strings.ToLower(tag)), ";")
		tag, _, _ = strings.Cut(tag, "-")
		if c, ok := catalogs()[tag]; ok {
			return c
		}
	}
	return catalogs()["en"]
}

// T is the text of an English one; args fill it as fmt.Sprintf does.
func (c *Catalog) T(english string, args ...any) string {
	text, ok := c.texts[english]
	if !ok {
		text = english
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// Count is the text for a number of things: one where it is 1, many otherwise, which is given the number.
func (c *Catalog) Count(one, many string, n int) string {
	if n == 1 {
		return c.T(one)
	}
	return c.T(many, c.Number(int64(n)))
}

// Has says whether the language has a text of its own for an English one of pages, or for a format of what the node says.
func (c *Catalog) Has(english string) bool {
	_, page := c.texts[english]
	_, node := c.said[english]
	return page || node || c.Language == "en"
}

// Number writes a whole number with the language's separator of thousands.
func (c *Catalog) Number(n int64) string {
	separator := ","
	if c.Language == "de" {
		separator = "."
	}
	text := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, text = "−", text[1:]
	}
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + separator + text[at:]
	}
	return sign + text
}

// Decimal writes a number with that many decimals.
func (c *Catalog) Decimal(x float64, decimals int) string {
	text := fmt.Sprintf("%.*f", decimals, x)
	if c.Language == "de" {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}

// Bytes writes a size in the unit that fits, of 1,000 each.
func (c *Catalog) Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	size := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		size /= 1000
		switch {
		case size < 10:
			return c.Decimal(size, 1) + " " + unit
		case size < 1000 || unit == "TB":
			return c.Decimal(size, 0) + " " + unit
		}
	}
	return ""
}

// Each calls a function with every English text of pages, and the language's own.
func (c *Catalog) Each(call func(english, text string)) {
	for english, text := range c.texts {
		call(english, text)
	}
}

// Disputed says which English texts two files give two texts for.
func (c *Catalog) Disputed() []string { return c.disputed }
