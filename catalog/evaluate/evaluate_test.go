package evaluate_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/evaluate"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
)

var (
	yes     = rule.Test("True")
	no      = rule.Test("False")
	unknown = rule.Test(rule.CannotTell, "Because", "nobody looked")
)

// shelf is a catalog in memory, in order.
type shelf struct {
	graph *supersedence.Graph
	ids   []string
	all   map[string]*catalog.Update
}

func newShelf() *shelf {
	return &shelf{graph: supersedence.NewGraph(), all: make(map[string]*catalog.Update)}
}

func (s *shelf) put(id string, u catalog.Update) *shelf {
	s.ids = append(s.ids, id)
	s.all[id] = &u
	s.graph.AddUpdate(id, &u)
	return s
}

func (s *shelf) updates(yield func(string, *catalog.Update) bool) {
	for _, id := range s.ids {
		if !yield(id, s.all[id]) {
			return
		}
	}
}

func (s *shelf) scan(facts *rule.Facts) map[string]evaluate.Verdict {
	found := make(map[string]evaluate.Verdict)
	verdicts, _ := evaluate.NewCatalog(s.updates, s.graph.View(time.Time{})).Scan(facts).Verdicts(context.Background())
	for _, v := range verdicts {
		found[v.ID] = v
	}
	return found
}

// Every combination of what the rules answer has one state, and what cannot be told is never told.
func TestStates(t *testing.T) {
	for _, c := range []struct {
		why                               string
		applicable, installed, superseded *rule.Rule
		want                              evaluate.State
	}{
		{"applies, not installed", yes, no, nil, evaluate.Needed},
		{"applies, installed", yes, yes, nil, evaluate.Installed},
		{"applies, installed cannot be told", yes, unknown, nil, evaluate.CannotTell},
		{"applies, no rule for installed", yes, nil, nil, evaluate.CannotTell},
		{"does not apply", no, no, nil, evaluate.NotApplicable},
		{"does not apply any more, and is installed", no, yes, nil, evaluate.Installed},
		{"does not apply, installed cannot be told", no, unknown, nil, evaluate.NotApplicable},
		{"whether it applies cannot be told", unknown, no, nil, evaluate.CannotTell},
		{"whether it applies cannot be told, but it is installed", unknown, yes, nil, evaluate.Installed},
		{"neither can be told", unknown, unknown, nil, evaluate.CannotTell},
		{"something newer is there", yes, no, yes, evaluate.Replaced},
		{"nothing newer is there", yes, no, no, evaluate.Needed},
		{"whether something newer is there cannot be told", yes, no, unknown, evaluate.CannotTell},
		{"installed, and something newer too", yes, yes, yes, evaluate.Installed},
		{"no rule at all", nil, nil, nil, evaluate.CannotTell},
	} {
		s := newShelf().put("sdp/a", catalog.Update{Rules: catalog.Rules{Applicable: c.applicable, Installed: c.installed, Superseded: c.superseded}})
		v := s.scan(&rule.Facts{})["sdp/a"]
		if v.State != c.want || v.State == evaluate.CannotTell && v.Reason == "" {
			t.Errorf("%s: %+v, want %v", c.why, v, c.want)
		}
	}
}

func TestWhatIsNoUpdate(t *testing.T) {
	s := newShelf().
		put("sdp/withdrawn", catalog.Update{Rules: catalog.Rules{Applicable: yes, Installed: no}, Withdrawn: true}).
		put("sdp/detector", catalog.Update{Rules: catalog.Rules{Applicable: yes, Installed: no}, Detector: true}).
		put("sdp/real", catalog.Update{Rules: catalog.Rules{Applicable: yes, Installed: no}})
	if found := s.scan(&rule.Facts{}); len(found) != 1 || found["sdp/real"].State != evaluate.Needed {
		t.Errorf("%+v", found)
	}
}

// Of every group of prerequisites one must be installed, or be one that can be.
func TestPrerequisites(t *testing.T) {
	shelf := func() *shelf {
		return newShelf().
			put("sdp/there", catalog.Update{Detector: true, Rules: catalog.Rules{Applicable: no, Installed: yes}}).
			put("sdp/not there", catalog.Update{Detector: true, Rules: catalog.Rules{Applicable: yes, Installed: no}}).
			put("sdp/untold", catalog.Update{Detector: true, Rules: catalog.Rules{Installed: unknown}}).
			put("sdp/could be", catalog.Update{Rules: catalog.Rules{Applicable: yes, Installed: no}}).
			put("sdp/could not", catalog.Update{Rules: catalog.Rules{Applicable: no, Installed: no}})
	}
	for _, c := range []struct {
		groups [][]string
		want   evaluate.State
	}{
		{nil, evaluate.Needed},
		{[][]string{{}}, evaluate.Needed},
		{[][]string{{"sdp/there"}}, evaluate.Needed},
		{[][]string{{"sdp/not there"}}, evaluate.NotApplicable},
		{[][]string{{"sdp/not there", "sdp/there"}}, evaluate.Needed},
		{[][]string{{"sdp/there"}, {"sdp/not there"}}, evaluate.NotApplicable},
		{[][]string{{"sdp/untold"}}, evaluate.CannotTell},
		{[][]string{{"sdp/untold"}, {"sdp/not there"}}, evaluate.NotApplicable},
		{[][]string{{"sdp/untold", "sdp/there"}}, evaluate.Needed},
		{[][]string{{"sdp/could be"}}, evaluate.Needed},
		{[][]string{{"sdp/could not"}}, evaluate.NotApplicable},
		{[][]string{{"sdp/nobody has heard of it"}}, evaluate.CannotTell},
	} {
		v := shelf().put("sdp/a", catalog.Update{Rules: catalog.Rules{Applicable: yes, Installed: no}, Relations: catalog.Relations{Prerequisites: c.groups}}).scan(&rule.Facts{})["sdp/a"]
		if v.State != c.want || v.State == evaluate.CannotTell && v.Reason == "" {
			t.Errorf("%v: %+v, want %v", c.groups, v, c.want)
		}
	}
}

// revised is a rule on the revision of Windows.
func revised(revision string) *rule.Rule {
	return rule.Test(rule.WindowsBuild, "Comparison", "GreaterThanOrEqualTo", "Build", "26100", "Revision", revision)
}

// A hotpatch raises the revision less than the cumulative update of its month, for which it stands.
func TestWhatIsInstalledHasTheLastWord(t *testing.T) {
	server := catalog.Product{ID: "25", Name: "Windows Server 2025"}
	s := newShelf().
		put("msrc/KB5078740/25", catalog.Update{KB: "5078740", Product: server, Nature: catalog.Nature{Class: "securityupdate", FixedBuild: "10.0.26100.32522"}, CVEs: []string{"CVE-2026-0001"}, Rules: catalog.Rules{Applicable: yes, Installed: revised("32522")}}).
		put("msrc/KB5078736/25", catalog.Update{KB: "5078736", Product: server, Nature: catalog.Nature{Class: "securityhotpatchupdate"}, CVEs: []string{"CVE-2026-0001"}, Rules: catalog.Rules{Applicable: unknown, Installed: revised("32463")}}).
		put("msrc/KB5084597/25", catalog.Update{KB: "5084597", Product: server, Nature: catalog.Nature{Class: "servicingstackupdate"}, Rules: catalog.Rules{Applicable: yes, Installed: no}})
	for kb, month := range map[string]string{"5078740": "2026-Mar", "5078736": "2026-Mar", "5084597": "2026-Mar"} {
		s.graph.AddBulletin("msrc/KB"+kb, &catalog.Bulletin{Name: "KB" + kb, Named: []catalog.NamedBy{{File: month, CVEs: 1}}})
	}
	host := func(revision int) *rule.Facts {
		return &rule.Facts{System: &rule.System{Platform: "windows", Build: 26100, Revision: revision, ProductType: 3}}
	}
	for revision, want := range map[int]evaluate.State{32400: evaluate.Needed, 32463: evaluate.Installed, 32522: evaluate.Installed} {
		found := s.scan(host(revision))
		if v := found["msrc/KB5078740/25"]; v.State != want || revision == 32463 && v.By != "5078736" {
			t.Errorf("revision %d: %+v, want %v", revision, v, want)
		}
		if v := found["msrc/KB5084597/25"]; v.State != evaluate.Needed {
			t.Errorf("revision %d: another line: %+v", revision, v)
		}
	}
}

func TestArrangement(t *testing.T) {
	product := catalog.Product{ID: "p", Name: "Product"}
	s := newShelf().
		put("sdp/old", catalog.Update{Title: "Old", Product: product, Severity: catalog.Critical, Rules: catalog.Rules{Applicable: yes, Installed: no}}).
		put("sdp/new", catalog.Update{Title: "New", Product: product, Severity: catalog.Low, Rules: catalog.Rules{Applicable: yes, Installed: no}, Relations: catalog.Relations{Supersedes: []string{"sdp/old"}}}).
		put("sdp/worse", catalog.Update{Title: "Worse", Product: product, Severity: catalog.Important, Rules: catalog.Rules{Applicable: yes, Installed: no}}).
		put("sdp/elsewhere", catalog.Update{Product: product, Rules: catalog.Rules{Applicable: no, Installed: no}, Relations: catalog.Relations{Supersedes: []string{"sdp/worse"}}}).
		put("sdp/q1", catalog.Update{Product: product, Rules: catalog.Rules{Applicable: unknown, Installed: no}}).
		put("sdp/q2", catalog.Update{Product: product, Rules: catalog.Rules{Applicable: unknown, Installed: no}}).
		put("sdp/q3", catalog.Update{Product: product, Rules: catalog.Rules{NoRule: "no fact"}}).
		put("sdp/has", catalog.Update{Product: product, Rules: catalog.Rules{Applicable: yes, Installed: yes}})
	facts := &rule.Facts{Simulated: true, System: &rule.System{Product: "P", Build: 1, Revision: -1, Languages: []string{"de"}}}
	few := evaluate.Evaluate(facts, s.updates, s.graph, s.graph.View(time.Time{}), false)
	if ids := idsOf(few.Missing); !slices.Equal(ids, []string{"sdp/worse", "sdp/new"}) {
		t.Errorf("missing %v", ids)
	}
	if few.Superseded != 1 || few.Installed != 1 || few.Host != (evaluate.Host{Recognised: true, Product: "P", Build: "1", Language: "de", Simulated: true}) {
		t.Errorf("%+v", few)
	}
	want := []string{"no fact [sdp/q3]", "nobody looked [sdp/q1 sdp/q2]"}
	var got []string
	for _, u := range few.Unknown {
		got = append(got, fmt.Sprintf("%s %v", u.Reason, u.Updates))
	}
	if !slices.Equal(got, want) {
		t.Errorf("unknown %v", got)
	}
	all := evaluate.Evaluate(facts, s.updates, s.graph, s.graph.View(time.Time{}), true)
	if ids := idsOf(all.Missing); !slices.Equal(ids, []string{"sdp/old", "sdp/worse", "sdp/new"}) || !all.Missing[0].Superseded || all.Missing[0].By != "sdp/new" {
		t.Errorf("all: %v %+v", ids, all.Missing[0])
	}
	if none := evaluate.Evaluate(&rule.Facts{}, newShelf().updates, s.graph, s.graph.View(time.Time{}), false); none.Host.Recognised || none.Missing == nil || none.Unknown == nil {
		t.Errorf("nothing: %+v", none)
	}
}

func idsOf(list []evaluate.Missing) []string {
	var ids []string
	for _, m := range list {
		ids = append(ids, m.Update)
	}
	return ids
}

// The order of the catalog does not matter.
func TestOrderDoesNotMatter(t *testing.T) {
	s := newShelf()
	for i := range 40 {
		kb := fmt.Sprint(4480000 + i*500)
		u := catalog.Update{
			KB: kb, Product: catalog.Product{ID: "10", Name: "Windows 10 Version 1803 for x64-based Systems"}, Nature: catalog.Nature{Class: "securityupdate"}, Severity: catalog.Critical,
			CVEs: []string{"CVE-2019-" + kb[3:]}, Rules: catalog.Rules{Applicable: yes, Installed: rule.Test(rule.Hotfix, "KB", kb, "Product", "10")},
		}
		if i > 0 && i%3 != 0 {
			u.Supersedes = []string{fmt.Sprintf("msrc/KB%d/10", 4480000+(i-1)*500)}
		}
		s.put("msrc/KB"+kb+"/10", u)
	}
	facts := &rule.Facts{System: &rule.System{Platform: "windows", Build: 17134}, Hotfixes: &rule.Hotfixes{KBs: []string{"4485000"}, Complete: true}}
	want := evaluate.Evaluate(facts, s.updates, s.graph, s.graph.View(time.Time{}), true)
	slices.Reverse(s.ids)
	got := evaluate.Evaluate(facts, s.updates, s.graph, s.graph.View(time.Time{}), true)
	if !slices.Equal(idsOf(got.Missing), idsOf(want.Missing)) || got.Installed != want.Installed || len(want.Missing) == 0 || want.Installed == 0 {
		t.Errorf("%v and %d, want %v and %d", idsOf(got.Missing), got.Installed, idsOf(want.Missing), want.Installed)
	}
}
