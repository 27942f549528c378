package recorded_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts/recorded"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/evaluate"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/msrc"
	"thatch/catalog/supersedence"
	"thatch/ringtest"
)

// imported is a catalog in memory.
type imported struct {
	graph   *supersedence.Graph
	updates map[string]*catalog.Update
}

func (c *imported) all() iter.Seq2[string, *catalog.Update] {
	return func(yield func(string, *catalog.Update) bool) {
		for id, u := range c.updates {
			if !yield(id, u) {
				return
			}
		}
	}
}

// catalogs are those imported already: no test changes one.
var catalogs = make(map[string]*imported)

func importAll(t testing.TB, from string) *imported {
	t.Helper()
	if c := catalogs[from]; c != nil {
		return c
	}
	c := importNow(t, from)
	catalogs[from] = c
	return c
}

func importNow(t testing.TB, from string) *imported {
	t.Helper()
	var sink importertest.Memory
	if _, err := importer.Run(context.Background(), &msrc.Source{}, &sink, importer.Request{From: from}, nil); err != nil {
		t.Fatal(err)
	}
	c := &imported{supersedence.NewGraph(), make(map[string]*catalog.Update)}
	for _, d := range sink.Documents() {
		switch d.Kind {
		case document.Bulletin:
			b, err := catalog.Decode[catalog.Bulletin](d.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.graph.AddBulletin(d.ID, &b)
		case document.Update:
			u, err := catalog.Decode[catalog.Update](d.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.graph.AddUpdate(d.ID, &u)
			c.updates[d.ID] = &u
		}
	}
	return c
}

func (c *imported) evaluate(t testing.TB, host, hotfixes []byte, asOf string, all bool) evaluate.Result {
	t.Helper()
	h, err := recorded.Read(host, hotfixes)
	if err != nil {
		t.Fatal(err)
	}
	var day time.Time
	if asOf != "" {
		if day, err = time.Parse(time.DateOnly, asOf); err != nil {
			t.Fatal(err)
		}
	}
	return evaluate.Evaluate(&h.Facts, c.all(), c.graph, c.graph.View(day), all)
}

// kbsOf lists what is missing as "KB4487017 on 11498", sorted.
func kbsOf(r evaluate.Result) []string {
	var all []string
	for _, m := range r.Missing {
		all = append(all, m.KB+" on "+m.Update[strings.LastIndexByte(m.Update, '/')+1:])
	}
	slices.Sort(all)
	return all
}

func untold(r evaluate.Result, kb string) string {
	for _, u := range r.Unknown {
		if slices.Contains(u.KBs, kb) {
			return u.Reason
		}
	}
	return ""
}

// The made-up catalog of testdata/catalog against computers of the time.
func TestHostsAgainstASmallCatalog(t *testing.T) {
	c := importAll(t, "testdata/catalog")
	client := tongues["english 10"]
	client.version, client.product = "10.0.17134", ""
	server := tongues["japanese 2019"]
	seven := tongues["italian 7"]
	seven.pc = "x64-based PC"
	for _, h := range []struct {
		what    string
		host    tongue
		kbs     string
		asOf    string
		missing string
		unknown string // a KB that cannot be told
		because string
	}{
		{"bare client", client, "", "2019-03-06", "KB4487017 on 11498, KB4487038 on 10384-11498", "KB4462177", "Office"},
		{"the revised file names March, which is known by then", client, "", "", "KB4487038 on 10384-11498, KB4489868 on 11498", "", ""},
		{"a month behind", client, "4480966 4480979", "2019-03-06", "KB4487017 on 11498, KB4487038 on 10384-11498", "", ""},
		{"as of January", client, "", "2019-01-31", "KB4480966 on 11498, KB4480979 on 10384-11498", "KB4480966", "registry"},
		{"up to date", client, "4487017 4487038", "2019-03-06", "", "", ""},
		{"newer than the day", client, "4489868 4487038", "", "", "", ""},
		{"a preview that nobody knows", client, "4487029 4487038", "2019-03-06", "", "KB4487017", "KB4487029"},
		{"an old one that nobody knows", client, "4457128", "2019-03-06", "KB4487017 on 11498, KB4487038 on 10384-11498", "", ""},
		{"server", server, "4480116", "2019-03-06", "KB4487044 on 11571", "", ""},
		{"before anything", server, "", "2018-12-31", "", "", ""},
		{"rollups", seven, "4480970", "2019-03-06", "KB4486563 on 10048", "", ""},
		{"security only, one month behind", seven, "4480960", "2019-03-06", "KB4486563 on 10048, KB4486564 on 10048", "", ""},
		{"security only, whole", seven, "4480960 4486564", "2019-03-06", "", "", ""},
		{"neither", seven, "", "2019-03-06", "KB4486563 on 10048", "", ""},
	} {
		r := c.evaluate(t, []byte(h.host.write(strings.Fields(h.kbs))), nil, h.asOf, false)
		if got := strings.Join(kbsOf(r), ", "); got != h.missing {
			t.Errorf("%s: missing %q, want %q", h.what, got, h.missing)
		}
		if h.unknown != "" && !strings.Contains(untold(r, h.unknown), h.because) {
			t.Errorf("%s: %s cannot be told because %q, want %q", h.what, h.unknown, untold(r, h.unknown), h.because)
		}
		if !r.Host.Recognised || r.Host.Product == "" || r.Host.Language == "" {
			t.Errorf("%s: host %+v", h.what, r.Host)
		}
		for _, m := range r.Missing {
			if m.Reason == "" || m.Severity == "" || m.Bulletin != "msrc/"+m.KB || m.Superseded {
				t.Errorf("%s: %+v", h.what, m)
			}
		}
	}
}

func TestSupersededOnesOnlyWithAll(t *testing.T) {
	c := importAll(t, "testdata/catalog")
	client := tongues["english 10"]
	client.version = "10.0.17134"
	few := c.evaluate(t, []byte(client.write(nil)), nil, "2019-03-06", false)
	all := c.evaluate(t, []byte(client.write(nil)), nil, "2019-03-06", true)
	if len(few.Missing) != 2 || few.Superseded != 2 || len(all.Missing) != 4 {
		t.Fatalf("%d missing and %d left out, %d with all", len(few.Missing), few.Superseded, len(all.Missing))
	}
	for _, m := range all.Missing {
		switch m.KB {
		case "KB4480966":
			if !m.Superseded || m.By != "KB4487017" {
				t.Errorf("%+v", m)
			}
		case "KB4487017":
			if m.Superseded || !m.Exploited || m.Severity != catalog.Critical {
				t.Errorf("%+v", m)
			}
		}
	}
}

// Windows 7 on the path of Security Only, all of them and none for Internet Explorer: that is what it misses, by either
// way.
func TestSecurityOnlyAndInternetExplorer(t *testing.T) {
	c := importAll(t, ringtest.Data(t, "msrc"))
	seven := tongues["italian 7"]
	seven.pc = "x64-based PC"
	r := c.evaluate(t, []byte(seven.write(strings.Fields("4012212 4467106 4471328 4480960 4486564"))), nil, "2019-03-06", false)
	if got := kbsOf(r); !slices.Equal(got, []string{"KB4486474 on 10486-10048", "KB4486563 on 10486-10048"}) {
		t.Errorf("missing %v", got)
	}
	r = c.evaluate(t, []byte(seven.write(strings.Fields("4012212 4467106 4471328 4480960 4486564 4486474"))), nil, "2019-03-06", false)
	if got := kbsOf(r); len(got) != 0 {
		t.Errorf("with Internet Explorer's: missing %v", got)
	}
}

// Whoever installs what is missing is missing nothing more: by the shown updates, and on Windows before 10 by Security
// Only updates and what they leave open.
func TestNobodyIsForEverMissing(t *testing.T) {
	dir, c := ringtest.Data(t, "hosts"), importAll(t, ringtest.Data(t, "msrc"))
	names, err := filepath.Glob(filepath.Join(dir, "*_systeminfo.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no hosts: %v", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, asOf := range []string{"", "2019-03-06", "2022-02-01"} {
			for path, wanted := range map[string]func(*catalog.Update) bool{
				"all":           func(*catalog.Update) bool { return true },
				"rollups":       func(u *catalog.Update) bool { return u.Class != "securityonly" && u.Class != "iecumulative" },
				"security only": func(u *catalog.Update) bool { return u.Class != "monthlyrollup" },
			} {
				h, err := recorded.Read(raw, nil)
				if err != nil {
					t.Fatal(err)
				}
				day, _ := time.Parse(time.DateOnly, asOf)
				view := c.graph.View(day)
				first := evaluate.Evaluate(&h.Facts, c.all(), c.graph, view, path != "all")
				for _, m := range first.Missing {
					if u := c.updates[m.Update]; wanted(u) {
						h.Facts.Hotfixes.KBs = append(h.Facts.Hotfixes.KBs, u.KB)
					}
				}
				slices.Sort(h.Facts.Hotfixes.KBs)
				h.Facts.Hotfixes.KBs = slices.Compact(h.Facts.Hotfixes.KBs)
				again := evaluate.Evaluate(&h.Facts, c.all(), c.graph, view, true)
				again.Missing = slices.DeleteFunc(again.Missing, func(m evaluate.Missing) bool {
					return path == "security only" && c.updates[m.Update].Class == "monthlyrollup" && c.graph.Month(c.updates[m.Update].KB) >= supersedence.MonthOf("2022-Feb") // that path ends
				})
				if len(again.Missing) > 0 {
					t.Errorf("%s as of %q, %s: still missing %v", filepath.Base(name), asOf, path, kbsOf(again))
				}
			}
		}
	}
}

// hotfixesOf reads the numbers of a recording the dumb way.
var hotfixesOf = regexp.MustCompile(`\[\d+\]: KB(\d+)`)

// Every recorded host is recognised, and what it misses is nothing that it lists itself, nor what a listed one supersedes.
func TestRealHostsAgainstRealFiles(t *testing.T) {
	dir, c := ringtest.Data(t, "hosts"), importAll(t, ringtest.Data(t, "msrc"))
	names, err := filepath.Glob(filepath.Join(dir, "*_systeminfo.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no hosts: %v", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, asOf := range []string{"", "2019-03-06"} {
			began := time.Now()
			r := c.evaluate(t, raw, nil, asOf, true)
			what := fmt.Sprintf("%s as of %q", filepath.Base(name), asOf)
			if !r.Host.Recognised || r.Host.Language == "" || r.Host.Build == "" {
				t.Errorf("%s: %+v", what, r.Host)
			}
			has := make(map[string]bool)
			for _, found := range hotfixesOf.FindAllStringSubmatch(string(raw), -1) {
				has[found[1]] = true
			}
			for _, m := range r.Missing {
				u := c.updates[m.Update]
				if has[u.KB] || m.Reason == "" || u.Product.Name != m.Product {
					t.Errorf("%s: %+v is refuted by its hotfixes", what, m)
				}
				for _, other := range c.updates {
					if has[other.KB] && other.Product.ID == u.Product.ID && slices.Contains(other.Supersedes, m.Update) {
						t.Errorf("%s: %s is superseded by KB%s, which is installed", what, m.KB, other.KB)
					}
				}
			}
			for _, u := range r.Unknown {
				if u.Reason == "" || len(u.Updates) == 0 {
					t.Errorf("%s: %+v", what, u)
				}
			}
			shown := c.evaluate(t, raw, nil, asOf, false)
			t.Logf("%s: %s: missing %d (%d with superseded), unknown %d groups; %v", what, r.Host.Product, len(shown.Missing), len(r.Missing), len(shown.Unknown), time.Since(began))
		}
	}
}

// Where an administrator kept the list of pending updates, those that the vendor's files know are found, and no others
// of Windows but a preview, which is not offered by itself.
func TestPendingUpdatesAreFound(t *testing.T) {
	dir, c := ringtest.Data(t, "hosts"), importAll(t, ringtest.Data(t, "msrc"))
	const host = "10_1803_x64_proforworkstations_en-us_B_20190306_"
	read := func(what string) []byte {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, host+what+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for _, list := range [][]byte{nil, read("qfe")} {
		r := c.evaluate(t, read("systeminfo"), list, "2019-03-06", false)
		missing := make(map[string]bool)
		for _, m := range r.Missing {
			missing[m.KB] = true
		}
		known := make(map[string]bool)
		for _, u := range c.updates {
			known["KB"+u.KB] = true
		}
		pending := 0
		for _, kb := range regexp.MustCompile(`(?m)^KB\d+`).FindAllString(string(read("updates")), -1) {
			if !known[kb] {
				continue
			}
			pending++
			if !missing[kb] {
				t.Errorf("%s is pending and not found; found %v", kb, missing)
			}
		}
		if pending != 2 || !missing["KB4487017"] || !missing["KB4487038"] {
			t.Errorf("%d pending ones are known; found %v", pending, missing)
		}
		if len(missing) > 4 { // beside them the servicing stack update and a preview of that month
			t.Errorf("too much is missing: %v", missing)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	c := importAll(b, ringtest.Data(b, "msrc"))
	raw := []byte(tongues["english 10"].write([]string{"5031356"}))
	h, err := recorded.Read(raw, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		evaluate.Evaluate(&h.Facts, c.all(), c.graph, c.graph.View(time.Time{}), false)
	}
	b.ReportMetric(float64(len(c.updates)), "updates")
}
