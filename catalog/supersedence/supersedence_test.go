package supersedence_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
)

const (
	windows10 = "Windows 10 Version 1803 for x64-based Systems"
	windows7  = "Windows 7 for x64-based Systems Service Pack 1"
	server25  = "Windows Server 2025"
)

// names of the products of the tests, by id.
var names = map[string]string{
	"10": windows10, "7": windows7, "25": server25,
	"384-10": "Adobe Flash Player on " + windows10, "724-10": "Microsoft Edge (EdgeHTML-based) on " + windows10,
	"486-7": "Internet Explorer 11 on " + windows7, "636-7": "Microsoft .NET Framework 4.5.2 on " + windows7,
}

// line is one KB on one product: "KB product class months->CVEs > superseded".
type line struct {
	kb, product, class string
	cves               string // letters
	supersedes         string // KBs with spaces
	build              string
}

// library makes a graph of lines, and which files name each KB for how many vulnerabilities.
func library(lines []line, named map[string]string) *supersedence.Graph {
	g := supersedence.NewGraph()
	fill(g, lines, named)
	return g
}

func fill(g *supersedence.Graph, lines []line, named map[string]string) {
	for _, l := range lines {
		g.AddUpdate(id(l.kb, l.product), l.update())
	}
	for kb, files := range named {
		g.AddBulletin("msrc/KB"+kb, namedBy(kb, files))
	}
}

func id(kb, product string) string { return "msrc/KB" + kb + "/" + product }

func (l line) update() *catalog.Update {
	u := &catalog.Update{KB: l.kb, Bulletin: "msrc/KB" + l.kb, Nature: catalog.Nature{Class: l.class, FixedBuild: l.build}, Product: catalog.Product{ID: l.product, Name: names[l.product]}}
	for _, c := range l.cves {
		u.CVEs = append(u.CVEs, fmt.Sprintf("CVE-2019-%04d", c))
	}
	for _, other := range strings.Fields(l.supersedes) {
		u.Supersedes = append(u.Supersedes, id(other, l.product))
	}
	return u
}

// namedBy reads "2019-Feb:28 2019-Jan:1".
func namedBy(kb, files string) *catalog.Bulletin {
	b := &catalog.Bulletin{Name: "KB" + kb}
	for _, f := range strings.Fields(files) {
		file, n, _ := strings.Cut(f, ":")
		count := 0
		fmt.Sscan(n, &count)
		b.Named = append(b.Named, catalog.NamedBy{File: file, CVEs: count})
	}
	return b
}

func TestMonthFrom(t *testing.T) {
	for files, want := range map[string]string{
		"2019-Feb:28 2019-Jan:1": "2019-02",
		"2019-Feb:3 2019-Jan:3":  "2019-01",
		"2019-Jan:3 2018-Dec:3":  "2018-12",
		"2016-Oct-OOB:1":         "2016-10",
		"2017-May-B:2 x:9":       "2017-05",
		"2020-Apr:0":             "2020-04",
		"nonsense:7":             "",
		"":                       "",
	} {
		if got := supersedence.MonthFrom(namedBy("1", files).Named).String(); got != want {
			t.Errorf("%q: %q, want %q", files, got, want)
		}
	}
}

func TestPatchTuesday(t *testing.T) {
	for month, want := range map[string]string{
		"2019-Feb": "2019-02-12", "2019-Mar": "2019-03-12", "2020-Apr": "2020-04-14", "2024-Oct": "2024-10-08", "2026-Sep": "2026-09-08", "2017-Aug": "2017-08-08",
	} {
		if got := supersedence.MonthOf(month).Released().Format(time.DateOnly); got != want {
			t.Errorf("%s: %s, want %s", month, got, want)
		}
	}
}

// The months of early 2019, as the vendor's files have them; March and April are named by a revised February alone.
var (
	lines2019 = []line{
		{kb: "4471324", product: "10", class: "securityupdate", cves: "abcd", supersedes: "4467702"},
		{kb: "4480966", product: "10", class: "securityupdate", cves: "efghi", supersedes: "4471324"},
		{kb: "4487017", product: "10", class: "securityupdate", cves: "jklmno", supersedes: "4480966"},
		{kb: "4489868", product: "10", class: "securityupdate", cves: "p", supersedes: "4487017"},
		{kb: "4493464", product: "10", class: "securityupdate", cves: "qr", supersedes: "4489868"},
		{kb: "4487029", product: "10", class: "update", cves: "s"},
		{kb: "4465663", product: "10", class: "servicingstackupdate", cves: "z", supersedes: "4456655"},
		{kb: "4480979", product: "384-10", class: "securityupdate", cves: "t", supersedes: "4471331"},
		{kb: "4487038", product: "384-10", class: "securityupdate", cves: "u", supersedes: "4480979"},
		{kb: "4480966", product: "724-10", class: "securityupdate", cves: "v", supersedes: "4471324"},
		{kb: "4550922", product: "10", class: "securityupdate", cves: "wxyABC", supersedes: "4540689"},
	}
	named2019 = map[string]string{
		"4471324": "2018-Dec:4", "4480966": "2019-Jan:6", "4487017": "2019-Feb:6 2019-Jan:1", "4489868": "2019-Feb:1", "4493464": "2019-Feb:2",
		"4487029": "2019-Feb:1", "4465663": "2018-Nov:1", "4480979": "2019-Jan:1", "4487038": "2019-Feb:1", "4550922": "2020-Apr:6",
	}
	lines7 = []line{
		{kb: "4471318", product: "7", class: "monthlyrollup", cves: "ab", supersedes: "4467107"},
		{kb: "4471328", product: "7", class: "securityonly", cves: "ab"},
		{kb: "4470199", product: "486-7", class: "iecumulative", cves: "c", supersedes: "4466536"},
		{kb: "4471318", product: "486-7", class: "monthlyrollup", cves: "c", supersedes: "4467107"},
		{kb: "4480970", product: "7", class: "monthlyrollup", cves: "de", supersedes: "4471318"},
		{kb: "4480960", product: "7", class: "securityonly", cves: "de"},
		{kb: "4480965", product: "486-7", class: "iecumulative", cves: "f", supersedes: "4470199"},
		{kb: "4480970", product: "486-7", class: "monthlyrollup", cves: "f", supersedes: "4471318"},
		{kb: "4486563", product: "7", class: "monthlyrollup", cves: "gh", supersedes: "4480970"},
		{kb: "4486564", product: "7", class: "securityonly", cves: "gh"},
		{kb: "5006743", product: "7", class: "monthlyrollup", cves: "ijk", supersedes: "5005633"},
		{kb: "5006728", product: "7", class: "securityonly", cves: "ij"},
		{kb: "5006671", product: "7", class: "iecumulative", cves: "k", supersedes: "5005563"},
		{kb: "4481481", product: "636-7", class: "monthlyrollup", cves: "lm", supersedes: "4470641"},
		{kb: "4481480", product: "636-7", class: "securityonly", cves: "lm"},
	}
	named7 = map[string]string{
		"4471318": "2018-Dec:3", "4471328": "2018-Dec:2", "4470199": "2018-Dec:1", "4480970": "2019-Jan:3", "4480960": "2019-Jan:2", "4480965": "2019-Jan:1",
		"4486563": "2019-Feb:2", "4486564": "2019-Feb:2", "5006743": "2021-Oct:3", "5006728": "2021-Oct:2", "5006671": "2021-Oct:1", "4481481": "2019-Jan:2", "4481480": "2019-Jan:2",
	}
	lines25 = []line{
		{kb: "5078740", product: "25", class: "securityupdate", cves: "abc", supersedes: "5075899", build: "10.0.26100.32522"},
		{kb: "5078736", product: "25", class: "securityhotpatchupdate", cves: "ab", supersedes: "5075942", build: "10.0.26100.32463"},
		{kb: "5084597", product: "25", class: "securityhotpatchupdate", cves: "c", supersedes: "5075942", build: "10.0.26100.32470"},
		{kb: "5075899", product: "25", class: "securityupdate", cves: "de", supersedes: "5073379", build: "10.0.26100.32370"},
	}
	named25 = map[string]string{"5078740": "2026-Mar:3", "5078736": "2026-Mar:2", "5084597": "2026-Mar:1", "5075899": "2026-Feb:2"}
)

func all() *supersedence.Graph {
	g := library(lines2019, named2019)
	fill(g, lines7, named7)
	fill(g, lines25, named25)
	return g
}

func TestSatisfied(t *testing.T) {
	view := all().View(time.Time{})
	for _, c := range []struct {
		why         string
		kb, product string
		installed   string
		by          string // empty: not satisfied; "?": cannot tell
	}{
		{"itself", "4487017", "10", "4487017", "4487017"},
		{"nothing is installed", "4487017", "10", "", ""},
		{"a direct successor", "4480966", "10", "4487017", "4487017"},
		{"over others", "4471324", "10", "4493464", "4493464"},
		{"a predecessor does not", "4487017", "10", "4480966", ""},
		{"a dangling predecessor does not", "4471324", "10", "4467702", ""},
		{"on a component, by what supersedes it on Windows", "4480966", "724-10", "4487017", "4487017"},
		{"later in the series, though the files between are missing", "4487017", "10", "4550922", "4550922"},
		{"a preview, held by the next cumulative update", "4487029", "10", "4550922", "4550922"},
		{"a dangling one of the series, surely later", "4487017", "10", "4540689", "4540689"},
		{"another line does not: Flash", "4487017", "10", "4487038", ""},
		{"another line does not: the servicing stack", "4465663", "10", "4487017", ""},
		{"Flash by later Flash", "4480979", "384-10", "4487038", "4487038"},
		{"Flash not by Windows", "4487038", "384-10", "4550922", ""},
		{"an older one that nobody knows is no doubt", "4487017", "10", "4457128", ""},
		{"one that nobody knows and could be a preview", "4487017", "10", "4482887", "?"},
		{"one that nobody knows and is newer", "4487017", "10", "4501835", "?"},
		{"but not where a cumulative one is listed: Windows lists the newest alone", "4487017", "10", "4480966 4501835", ""},
		{"Flash has no such list", "4487038", "384-10", "4480966 4501835", "?"},
		{"an unknown one clearly older than a much later month", "4550922", "10", "4482887", ""},
		{"junk in the list", "4487017", "10", "x 0 99999999999999999999", ""},

		{"a rollup satisfies its month's Security Only", "4471328", "7", "4471318", "4471318"},
		{"and earlier ones", "4471328", "7", "4486563", "4486563"},
		{"and not later ones", "4486564", "7", "4480970", ""},
		{"a rollup satisfies Internet Explorer", "4470199", "486-7", "4480970", "4480970"},
		{"also when it is listed for Windows alone", "4480965", "486-7", "4486563", "4486563"},
		{"Security Only does not satisfy Internet Explorer", "4480965", "486-7", "4480960", ""},
		{"a Security Only is no successor of another", "4471328", "7", "4480960", ""},
		{"Windows's rollup is not .NET's", "4481480", "636-7", "4486563", ""},
		{".NET's rollup is", "4481480", "636-7", "4481481", "4481481"},

		{"the path of Security Only, whole", "4480970", "7", "4471328 4480960", "4480960"},
		{"one month left out", "4480970", "7", "4480960", ""},
		{"the month itself left out", "4480970", "7", "4471328", ""},
		{"a rollup first, Security Only since", "4486563", "7", "4480970 4486564", "4486564"},
		{"Internet Explorer's part of the rollup", "4480970", "486-7", "4471328 4480960 4480965", "4480965"},
		{"without it", "4480970", "486-7", "4471328 4480960", ""},
		{"in one list: both are wanted", "5006743", "7", "4471328 4480960 4486564 5006728 5006671", "5006728"},
		{"in one list: without Internet Explorer", "5006743", "7", "4471328 4480960 4486564 5006728", ""},

		{"a hotpatch by the cumulative update", "5078736", "25", "5078740", "5078740"},
		{"the cumulative update by hotpatches that cover it", "5078740", "25", "5078736 5084597", "5084597"},
		{"not by some of them", "5078740", "25", "5078736", ""},
		{"one of a month before, by later ones", "5075899", "25", "5078736", "5078736"},
		{"and not by one of a month before", "5078740", "25", "5075899", ""},
	} {
		installed := &rule.Hotfixes{KBs: strings.Fields(c.installed), Complete: true}
		by, ok, err := view.Satisfied(c.kb, c.product, installed)
		got := by
		switch {
		case errors.Is(err, rule.ErrUnknown):
			got = "?"
		case err != nil:
			t.Errorf("%s: %v", c.why, err)
		case !ok:
			got = ""
		}
		if got != c.by {
			t.Errorf("%s: KB%s on %s with %s: %q %v, want %q", c.why, c.kb, c.product, c.installed, got, err, c.by)
		}
	}
}

func TestAsOf(t *testing.T) {
	g := all()
	for _, c := range []struct {
		day  string
		kb   string
		want bool
	}{
		{"2019-02-11", "4487017", false},
		{"2019-02-12", "4487017", true},
		{"2019-03-06", "4487017", true},
		{"2019-03-06", "4487038", true},
		{"2019-03-06", "4489868", false}, // only a revised February names it
		{"2019-03-12", "4489868", true},
		{"2019-03-12", "4493464", false},
		{"2019-04-09", "4493464", true},
		{"2019-03-06", "4550922", false},
		{"2020-04-14", "4550922", true},
	} {
		day, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		product := "10"
		if c.kb == "4487038" {
			product = "384-10"
		}
		if got := g.View(day).Published(id(c.kb, product)); got != c.want {
			t.Errorf("KB%s as of %s: %v", c.kb, c.day, got)
		}
	}
	march, _ := time.Parse(time.DateOnly, "2019-03-06")
	if g.View(march).Superseded(id("4487017", "10")) {
		t.Error("an edge from a later KB counts")
	}
	if !g.View(march).Superseded(id("4480966", "10")) || !g.View(time.Time{}).Superseded(id("4487017", "10")) {
		t.Error("an edge from a known KB does not count")
	}
	if _, ok, _ := g.View(march).Satisfied("4487017", "10", &rule.Hotfixes{KBs: []string{"4489868"}, Complete: true}); ok {
		t.Error("a later KB satisfies as of an earlier day")
	}
}

func TestSuperseded(t *testing.T) {
	view := all().View(time.Time{})
	for name, want := range map[string]bool{
		id("4487017", "10"):     true,
		id("4480966", "724-10"): true, // on Windows
		id("4550922", "10"):     false,
		id("4487038", "384-10"): false,
		id("4480979", "384-10"): true,
		id("4471328", "7"):      false, // the rollup is another way, not a successor
		id("4471318", "7"):      true,
		id("5006743", "7"):      false,
		id("4470199", "486-7"):  true,
		"msrc/KB1/1":            false,
	} {
		if got := view.Superseded(name); got != want {
			t.Errorf("%s: superseded %v", name, got)
		}
	}
}

// SDP updates have no KB: their edges alone count.
func TestUpdatesWithoutKB(t *testing.T) {
	g := supersedence.NewGraph()
	g.AddUpdate("sdp/a", &catalog.Update{Relations: catalog.Relations{Supersedes: []string{"sdp/b", "sdp/gone", "sdp/a"}}})
	g.AddUpdate("sdp/b", &catalog.Update{Relations: catalog.Relations{Supersedes: []string{"sdp/c"}}})
	g.AddUpdate("sdp/c", &catalog.Update{})
	view := g.View(time.Time{})
	if got := view.Above("sdp/c"); !slices.Equal(got, []string{"sdp/a", "sdp/b"}) {
		t.Errorf("above c: %v", got)
	}
	if view.Superseded("sdp/a") || !view.Superseded("sdp/b") || !view.Superseded("sdp/gone") {
		t.Error("superseded")
	}
	g.Remove("sdp/a")
	if view.Superseded("sdp/b") || !view.Superseded("sdp/c") {
		t.Error("after removal")
	}
	if c := g.Counts(); c != (supersedence.Counts{}) {
		t.Errorf("counts %+v", c)
	}
}

// The vendor's files hold no circles. One must not hang anything all the same.
func TestCirclesEnd(t *testing.T) {
	g := library([]line{
		{kb: "6000001", product: "10", class: "securityupdate", supersedes: "6000003"},
		{kb: "6000002", product: "10", class: "securityupdate", supersedes: "6000001 6000002"},
		{kb: "6000003", product: "10", class: "securityupdate", supersedes: "6000002"},
	}, map[string]string{"6000001": "2030-Jan:1", "6000002": "2030-Jan:1", "6000003": "2030-Jan:1"})
	view := g.View(time.Time{})
	if by, ok, err := view.Satisfied("6000001", "10", &rule.Hotfixes{KBs: []string{"6000003"}, Complete: true}); !ok || by != "6000003" || err != nil {
		t.Errorf("%q %v %v", by, ok, err)
	}
	if !view.Superseded(id("6000002", "10")) || len(view.Later("6000001", "10", nil)) != 2 {
		t.Error("circle")
	}
}

// However documents come and go, the graph is that of the documents that are there.
func TestIncremental(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	lines := slices.Concat(lines2019, lines7, lines25)
	g := supersedence.NewGraph()
	live := make(map[string]line)
	view := g.View(time.Time{})
	for step := range 300 {
		l := lines[random.IntN(len(lines))]
		name := id(l.kb, l.product)
		if random.IntN(3) == 0 {
			delete(live, name)
			g.Remove(name)
		} else {
			if random.IntN(4) == 0 {
				l.supersedes = "4000001"
			}
			live[name] = l
			g.AddUpdate(name, l.update())
		}
		if step%20 != 0 {
			continue
		}
		fresh := supersedence.NewGraph()
		for n, l := range live {
			fresh.AddUpdate(n, l.update())
		}
		if a, b := g.Counts(), fresh.Counts(); a != b {
			t.Fatalf("step %d: counts %+v, want %+v", step, a, b)
		}
		other := fresh.View(time.Time{})
		for n, l := range live {
			if view.Superseded(n) != other.Superseded(n) || !slices.Equal(view.Later(l.kb, l.product, nil), other.Later(l.kb, l.product, nil)) {
				t.Fatalf("step %d: %s is superseded %v by %v, want %v by %v", step, n, view.Superseded(n), view.Later(l.kb, l.product, nil), other.Superseded(n), other.Later(l.kb, l.product, nil))
			}
		}
	}
}

func TestCounts(t *testing.T) {
	g := library([]line{
		{kb: "1000001", product: "10", supersedes: "1000000 1000009"},
		{kb: "1000001", product: "7", supersedes: "1000000 1000001"},
		{kb: "1000002", product: "7"},
	}, map[string]string{"1000005": "2019-Jan:1"})
	if c := g.Counts(); c != (supersedence.Counts{KBs: 2, KBProducts: 3, Edges: 2}) {
		t.Errorf("%+v", c)
	}
}

func TestExploited(t *testing.T) {
	g := library([]line{{kb: "1000001", product: "10", cves: "a"}, {kb: "1000001", product: "7", cves: "b"}}, nil)
	g.AddBulletin("msrc/KB1000001", &catalog.Bulletin{Name: "KB1000001", Named: []catalog.NamedBy{{File: "2019-Jan", CVEs: 2}}, CVEs: []catalog.CVE{{ID: "CVE-2019-0097", Exploited: true}, {ID: "CVE-2019-0098"}}})
	if !g.Exploited(id("1000001", "10")) || g.Exploited(id("1000001", "7")) || g.Exploited("x") {
		t.Error("exploited")
	}
}

// Whatever is asked, it ends and an answer is one of three.
func FuzzSatisfied(f *testing.F) {
	f.Add("4487017", "10", "4482887 4480966")
	f.Add("", "", "x")
	g := all()
	f.Fuzz(func(t *testing.T, kb, product, installed string) {
		view := g.View(time.Time{})
		by, ok, err := view.Satisfied(kb, product, &rule.Hotfixes{KBs: strings.Fields(installed), Complete: true})
		if ok && (err != nil || by == "") || err != nil && !errors.Is(err, rule.ErrUnknown) {
			t.Errorf("%q %v %v", by, ok, err)
		}
		view.Later(kb, product, strings.Fields(installed))
	})
}

// More hotfixes never make a satisfied KB unsatisfied.
func TestMoreHotfixesSatisfyNoLess(t *testing.T) {
	view := all().View(time.Time{})
	lines := slices.Concat(lines2019, lines7, lines25)
	kbs := []string{"4482887", "4467702", "4540689", "5005633", "4000000", "5099999"}
	for _, l := range lines {
		kbs = append(kbs, l.kb)
	}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.SampledFrom(kbs), rapid.ID).Draw(t, "installed")
		more := append(slices.Clone(some), rapid.SliceOf(rapid.SampledFrom(kbs)).Draw(t, "and more")...)
		l := rapid.SampledFrom(lines).Draw(t, "asked")
		by, ok, _ := view.Satisfied(l.kb, l.product, &rule.Hotfixes{KBs: some, Complete: true})
		if !ok {
			return
		}
		if _, still, err := view.Satisfied(l.kb, l.product, &rule.Hotfixes{KBs: more, Complete: true}); !still {
			t.Fatalf("KB%s on %s is satisfied by KB%s with %v, and not with %v: %v", l.kb, l.product, by, some, more, err)
		}
		if held, holds := view.Holds(l.kb, l.product, some); !holds || held == "" {
			t.Fatalf("KB%s on %s: Holds says no", l.kb, l.product)
		}
	})
}

// A KB that another makes needless is satisfied when that other is installed.
func TestLaterOnesSatisfy(t *testing.T) {
	for _, day := range []string{"", "2019-03-06", "2019-04-30", "2022-01-01"} {
		asOf, _ := time.Parse(time.DateOnly, day)
		view := all().View(asOf)
		for _, l := range slices.Concat(lines2019, lines7, lines25) {
			if !view.Published(id(l.kb, l.product)) {
				continue
			}
			for _, later := range view.Later(l.kb, l.product, nil) {
				if _, ok, err := view.Satisfied(l.kb, l.product, &rule.Hotfixes{KBs: []string{later}, Complete: true}); !ok {
					t.Errorf("as of %q: KB%s is later than KB%s on %s, and does not satisfy it: %v", day, later, l.kb, l.product, err)
				}
				if later == l.kb {
					t.Errorf("KB%s is later than itself", later)
				}
			}
		}
	}
}

// KB numbers are dated by their neighbours, whatever they are; before the first anchor and beyond the last.
func TestEras(t *testing.T) {
	g := supersedence.NewGraph()
	g.AddBulletin("msrc/KB5099000", namedBy("5099000", "2026-Nov:5"))
	view := g.View(time.Time{})
	// A KB that no file names is dated by its number: it is published by then and not before.
	for kb, want := range map[string]string{
		"4487017": "2019-02", "4489868": "2019-03", "4493464": "2019-04", "4482887": "2019-01", "4012212": "2017-03", "4550922": "2020-04",
		"5000001": "2021-03", "5035853": "2024-03", "5078766": "2026-03", "5031354": "2023-10", "3061518": "2015-06", "958488": "2009-01",
		"5099100": "2026-11",
	} {
		got := view.Dated(kb)
		if want == "2015-06" || want == "2009-01" { // a year is near enough
			if got.String()[:4] != want[:4] {
				t.Errorf("KB%s: %s, want %s", kb, got, want)
			}
		} else if got.String() != want {
			t.Errorf("KB%s: %s, want %s", kb, got, want)
		}
	}
	if got := view.Dated("x"); got != 0 {
		t.Errorf("no number: %s", got)
	}
}

// Views answer while documents come and go.
func TestViewsWhileTheGraphChanges(t *testing.T) {
	g := all()
	lines := slices.Concat(lines2019, lines7, lines25)
	var group sync.WaitGroup
	for w := range 3 {
		view := g.View(time.Time{})
		group.Go(func() {
			for i := range 200 {
				l := lines[(i*7+w)%len(lines)]
				_, _, _ = view.Satisfied(l.kb, l.product, &rule.Hotfixes{KBs: []string{"4487017", "4486563"}, Complete: true})
				view.Superseded(id(l.kb, l.product))
				g.Counts()
			}
		})
	}
	for i := range 200 {
		l := lines[i%len(lines)]
		g.Remove(id(l.kb, l.product))
		g.AddUpdate(id(l.kb, l.product), l.update())
	}
	group.Wait()
	want := all()
	if a, b := g.Counts(), want.Counts(); a != b {
		t.Errorf("%+v, want %+v", a, b)
	}
}
