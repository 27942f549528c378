package scan_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts"
	"thatch/agent/facts/recorded"
	"thatch/agent/scan"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/evaluate"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/msrc"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
	"thatch/ringtest"
)

// shelf is one catalog twice: as a site evaluates with it, and as an agent holds it, without bulletins.
type shelf struct {
	graph   *supersedence.Graph
	updates map[string]*catalog.Update
	agent   *scan.Catalog
	ids     []string // by number
}

func (s *shelf) all(yield func(string, *catalog.Update) bool) {
	for _, id := range s.ids {
		if !yield(id, s.updates[id]) {
			return
		}
	}
}

func newShelf(updates map[string]*catalog.Update, bulletins map[string]*catalog.Bulletin) *shelf {
	s := &shelf{graph: supersedence.NewGraph(), updates: updates}
	for id, b := range bulletins {
		s.graph.AddBulletin(id, b)
	}
	var held []scan.Update
	for id, u := range updates {
		s.graph.AddUpdate(id, u)
		one := scan.Update{Number: uint32(len(s.ids)), ID: id, Body: *u}
		if b := bulletins[u.Bulletin]; b != nil {
			one.Month = supersedence.MonthFrom(b.Named).String()
		}
		s.ids, held = append(s.ids, id), append(held, one)
	}
	s.agent = scan.NewCatalog(held)
	return s
}

func imported(t testing.TB, from string) *shelf {
	t.Helper()
	var sink importertest.Memory
	if _, err := importer.Run(context.Background(), &msrc.Source{}, &sink, importer.Request{From: from}, nil); err != nil {
		t.Fatal(err)
	}
	updates, bulletins := map[string]*catalog.Update{}, map[string]*catalog.Bulletin{}
	for _, d := range sink.Documents() {
		switch d.Kind {
		case document.Bulletin:
			b, err := catalog.Decode[catalog.Bulletin](d.Body)
			if err != nil {
				t.Fatal(err)
			}
			bulletins[d.ID] = &b
		case document.Update:
			u, err := catalog.Decode[catalog.Update](d.Body)
			if err != nil {
				t.Fatal(err)
			}
			updates[d.ID] = &u
		}
	}
	return newShelf(updates, bulletins)
}

// agree holds one computer against the catalog by both paths, and returns what the agent says.
func (s *shelf) agree(t *testing.T, what string, host *rule.Facts) scan.Sets {
	t.Helper()
	site := evaluate.Evaluate(host, s.all, s.graph, s.graph.View(time.Time{}), true)
	few := evaluate.Evaluate(host, s.all, s.graph, s.graph.View(time.Time{}), false)
	look, err := scan.New(context.Background(), facts.Machine{}, host, s.agent)
	if err != nil {
		t.Fatal(err)
	}
	sets, reasons := look.Report()
	var missing, unknown []string
	for _, m := range site.Missing {
		missing = append(missing, m.Update)
	}
	for _, u := range site.Unknown {
		unknown = append(unknown, u.Updates...)
		for _, id := range u.Updates {
			if why := reasons[uint32(slices.Index(s.ids, id))]; why != u.Reason {
				t.Errorf("%s: %s cannot be told because %q, the agent says %q", what, id, u.Reason, why)
			}
		}
	}
	applicable := s.names(sets.Applicable)
	// The agent takes those that something installed supersedes for done; the site lists them as superseded.
	for _, m := range site.Missing {
		if !slices.Contains(applicable, m.Update) && look.Of(m.Update, s.updates[m.Update]).Standing == scan.Superseded {
			if !m.Superseded {
				t.Errorf("%s: %s is superseded for the agent alone", what, m.Update)
			}
			applicable = append(applicable, m.Update)
		}
	}
	done := len(applicable) - len(sets.Applicable)
	for name, both := range map[string][2][]string{"missing": {missing, applicable}, "unknown": {unknown, s.names(sets.Unknown)}} {
		slices.Sort(both[0])
		slices.Sort(both[1])
		if !slices.Equal(both[0], both[1]) {
			t.Errorf("%s: %s: the site says %v, the agent %v", what, name, both[0], both[1])
		}
	}
	if len(sets.Installed) != site.Installed {
		t.Errorf("%s: the site says that %d are installed, the agent %d", what, site.Installed, len(sets.Installed))
	}
	if open, superseded := look.Missing(); open != len(few.Missing) || superseded+done != few.Superseded {
		t.Errorf("%s: the site says missing %d and superseded %d, the agent %d and %d (and %d done)", what, len(few.Missing), few.Superseded, open, superseded, done)
	}
	return sets
}

func (s *shelf) names(numbers []uint32) []string {
	var names []string
	for _, n := range numbers {
		names = append(names, s.ids[n])
	}
	return names
}

// What `thatch evaluate` says of a host is what an agent on it would report: over every recorded host, over what these
// would be with other hotfixes and revisions, and over computers on every revision that a hotpatch or its month's
// cumulative update leaves behind.
func TestAgentsAndSitesAgree(t *testing.T) {
	dir, s := ringtest.Data(t, "hosts"), imported(t, ringtest.Data(t, "msrc"))
	names, err := filepath.Glob(filepath.Join(dir, "*_systeminfo.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no hosts: %v", err)
	}
	var kbs []string
	for _, u := range s.updates {
		kbs = append(kbs, u.KB)
	}
	slices.Sort(kbs)
	kbs = slices.Compact(kbs)
	chance := rand.New(rand.NewPCG(1, 2))
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := recorded.Read(raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.agree(t, filepath.Base(name), &h.Facts)
		for variant := range 4 {
			host, system := h.Facts, *h.Facts.System
			system.Revision = chance.IntN(6000) * (variant % 2)
			host.System, host.Hotfixes = &system, &rule.Hotfixes{Complete: variant < 3}
			for range chance.IntN(40) {
				host.Hotfixes.KBs = append(host.Hotfixes.KBs, kbs[chance.IntN(len(kbs))])
			}
			s.agree(t, fmt.Sprintf("%s, variant %d", filepath.Base(name), variant), &host)
		}
	}
}

var fixed = regexp.MustCompile(`^10\.0\.(\d+)\.(\d+)$`)

func TestAgentsAndSitesAgreeOnHotpatches(t *testing.T) {
	s := imported(t, ringtest.Data(t, "msrc"))
	tried, held := 0, 0
	for id, u := range s.updates {
		parts := fixed.FindStringSubmatch(u.FixedBuild)
		if parts == nil || !strings.Contains(u.Class, "hotpatch") {
			continue
		}
		tried++
		build, _ := strconv.Atoi(parts[1])
		revision, _ := strconv.Atoi(parts[2])
		host := &rule.Facts{Hotfixes: &rule.Hotfixes{Complete: true}, System: &rule.System{
			Platform: "windows", Major: 10, Build: build, Revision: revision, ProductType: 3, Architecture: "x64", InstallationType: "server",
		}}
		if !strings.Contains(u.Product.Name, "Server") {
			host.System.ProductType, host.System.InstallationType = 1, "client"
		}
		for _, number := range s.agree(t, id, host).Installed {
			other := s.updates[s.ids[number]]
			if at := fixed.FindStringSubmatch(other.FixedBuild); at != nil && at[1] == parts[1] && !strings.Contains(other.Class, "hotpatch") {
				if r, _ := strconv.Atoi(at[2]); r > revision {
					held++ // a cumulative update for which the hotpatch stands
				}
			}
		}
	}
	if tried == 0 || held == 0 {
		t.Errorf("%d hotpatches were tried, %d cumulative updates were held by them: nothing was compared", tried, held)
	}
}

// The same without the vendor's files: a hotpatch stands for the cumulative update of its month.
func TestHotpatchedComputerHoldsTheCumulativeUpdate(t *testing.T) {
	server := catalog.Product{ID: "25", Name: "Windows Server 2025"}
	revised := func(revision string) *rule.Rule {
		return rule.Test(rule.WindowsBuild, "Comparison", "GreaterThanOrEqualTo", "Build", "26100", "Revision", revision)
	}
	yes := rule.Test("True")
	untold := rule.Test(rule.CannotTell, "Because", "whether the computer is enrolled for hotpatching is not known")
	month := func(kb string) *catalog.Bulletin {
		return &catalog.Bulletin{Name: "KB" + kb, Named: []catalog.NamedBy{{File: "2026-Mar", CVEs: 1}}}
	}
	s := newShelf(map[string]*catalog.Update{
		"msrc/KB5078740/25": {KB: "5078740", Bulletin: "a", Product: server, Nature: catalog.Nature{Class: "securityupdate", FixedBuild: "10.0.26100.32522"}, CVEs: []string{"CVE-2026-0001"}, Rules: catalog.Rules{Applicable: yes, Installed: revised("32522")}},
		"msrc/KB5078736/25": {KB: "5078736", Bulletin: "b", Product: server, Nature: catalog.Nature{Class: "securityhotpatchupdate"}, CVEs: []string{"CVE-2026-0001"}, Rules: catalog.Rules{Applicable: untold, Installed: revised("32463")}},
	}, map[string]*catalog.Bulletin{"a": month("5078740"), "b": month("5078736")})
	for revision, want := range map[int][3]int{32400: {1, 0, 1}, 32463: {0, 2, 0}, 32522: {0, 2, 0}} {
		sets := s.agree(t, fmt.Sprint("revision ", revision), &rule.Facts{System: &rule.System{Platform: "windows", Build: 26100, Revision: revision, ProductType: 3}})
		if got := [3]int{len(sets.Applicable), len(sets.Installed), len(sets.Unknown)}; got != want {
			t.Errorf("revision %d: %v are missing, installed, and cannot be told; want %v", revision, got, want)
		}
	}
}
