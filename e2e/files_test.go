package e2e_test

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"thatch/ringtest"
)

// cell is what the browser shows of one value of a row.
type cell struct{ Title, Text, Class, Moment string }

// shownRows are the titles of the columns of a list and all its rows, page after page.
func shownRows(b *browser) (titles []string, rows [][]cell) {
	b.t.Helper()
	titles = b.texts("table.list thead th:not(.pick)")
	for {
		rows = append(rows, ask(b, chromedp.Evaluate[[][]cell](`[...document.querySelectorAll("table.list tbody tr:not(.group)")].map(tr =>
			[...tr.querySelectorAll("td:not(.pick)")].map(td => ({
				Title: td.dataset.label, Text: td.innerText.trim(), Class: td.className, Moment: td.querySelector("time")?.dateTime ?? "" })))`))...)
		if !b.is(has(`a[rel="next"]`)) {
			return titles, rows
		}
		mouse{b}.press(`a[rel="next"]`)
	}
}

// file fetches what a link of the page leads to.
func (b *browser) file(link string) string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string](`fetch(`+has(link)+`.href).then(answer => answer.text())`, chromedp.EvalAwaitPromise))
}

// says whether a value of a file says the same as its cell: files carry values as tools want them, cells as people do.
func (c cell) says(value string) bool {
	switch class, _, _ := strings.Cut(c.Class, " "); {
	case c.Moment != "":
		return c.Moment == value
	case class == "flag":
		return (c.Text == "yes") == (value == "true")
	case class == "time":
		return strings.TrimSuffix(c.Text, "–") == value[:min(len(value), len("2006-01-02"))]
	case class == "number":
		return strings.Trim(strings.ReplaceAll(c.Text, ",", ""), " %–") == strings.TrimSuffix(value, ".0")
	case class == "word" && value == "":
		return c.Text == "Unspecified" || c.Text == ""
	}
	return c.Text == value
}

// TestFilesAreWhatIsShown holds the file of a list against its pages as the browser shows them: the same columns, the same
// rows, in the same order.
func TestFilesAreWhatIsShown(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	s := newSite(t, "de,en,fr")
	s.importText(polyglotCatalog(90, "de", "en"))
	s.must(nil, "operators", "create", "vera", "--scope", "viewer")
	for i := range 7 {
		newAgent(t, s, fmt.Sprintf("PC-%02d", (i*5)%7), []string{"berlin", "paris", "=rome"}[i%3], "Ledger").run("once")
	}
	b := openBrowser(t)
	b.size(1440, 900)
	b.enter(s, "vera")
	for path, want := range map[string]int{
		"/bulletins?limit=25&sort=bulletin":                                                 30,
		"/bulletins?limit=25&sort=-bulletin&q=L1":                                           11,
		"/bulletins?grouped=severity&columns=title,bulletin,updates,vendor,source":          30,
		"/computers?limit=25&sort=-computer":                                                7,
		"/computers?grouped=group&columns=computer,group,languages,build,simulated,missing": 7,
		"/computers?group=!berlin&sort=-computer&columns=group,computer,last_seen,percent":  4,
	} {
		b.open(s.at(path))
		table, err := csv.NewReader(strings.NewReader(b.file(`.exports a[href*="format=csv"]`))).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		titles, rows := shownRows(b)
		if len(rows) != want || len(table) != want+1 {
			t.Errorf("%s shows %d rows, its file has %d, want %d", path, len(rows), len(table)-1, want)
			continue
		}
		if !slices.Equal(titles, table[0]) {
			t.Errorf("%s shows the columns %q, its file has %q", path, titles, table[0])
			continue
		}
		for i, row := range rows {
			for c, cell := range row {
				value := strings.TrimPrefix(table[i+1][c], "'") // a spreadsheet would run it
				if !cell.says(value) {
					t.Errorf("%s, row %d, %s: shown %q (%s), in the file %q", path, i+1, titles[c], cell.Text, cell.Class, value)
				}
			}
		}
	}
}
