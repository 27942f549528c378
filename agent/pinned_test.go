package agent

import (
	"context"
	"fmt"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
)

// What a policy pins is judged and installed by the revision that came with the order, whatever the catalog makes of the
// update before the agent first hears of it, or afterwards.
func TestPinnedRevisionIsInstalled(t *testing.T) {
	revision := func(change func(*catalog.Update)) func(*site, string) {
		return func(s *site, id string) {
			body, err := catalog.Decode[catalog.Update](s.updates[id].Body)
			if err != nil {
				s.Fatal(err)
			}
			change(&body)
			s.node.SetUpdate(1, s.node.Document(s, document.Update, id, nil, body))
		}
	}
	for name, c := range map[string]func(*site, string){
		"as it is":             func(*site, string) {},
		"left the catalog":     func(s *site, _ string) { s.node.RemoveUpdate(1) },
		"withdrawn":            revision(func(u *catalog.Update) { u.Withdrawn = true }),
		"applies to nobody":    revision(func(u *catalog.Update) { u.Applicable = rule.Test("False") }),
		"installed everywhere": revision(func(u *catalog.Update) { u.Installed = rule.Test("True") }),
		"cannot be told":       revision(func(u *catalog.Update) { u.Applicable, u.Installed, u.NoRule = nil, nil, "nobody knows" }),
		"wants what is not there": revision(func(u *catalog.Update) {
			u.Prerequisites = [][]string{{"test:gone"}}
		}),
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, before the agent hears of it %v", name, before), func(t *testing.T) {
				s, id := orderedSite(t, "set app=2")
				if !before {
					s.computer.values["app"] = "2"
					s.round()
					s.expect(id, agentapi.Installed, "")
					s.computer.values["app"] = "1"
				}
				c(s, id)
				s.round()
				s.ran("pack-1.exe /S")
				s.expect(id, agentapi.Installed, "")
				s.computer.values["app"] = "1" // and comes back
				s.start()
				s.round()
				s.ran("pack-1.exe /S", "pack-1.exe /S")
				if view := s.node.View(); name == "left the catalog" && (view.Installed[1] || view.Applicable[1] || view.Unknown[1]) {
					t.Errorf("the sets name a number that the site has no update for: %+v", view)
				}
			})
		}
	}
}

// Updates that left the catalog may still be prerequisites of one another.
func TestPinnedPrerequisites(t *testing.T) {
	s := newSite(t)
	s.computer.values["app"] = "1"
	first := s.update(1, "app", "2")
	second := s.update(2, "app", "3", func(u *catalog.Update) { u.Prerequisites = [][]string{{first}} })
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{
		first: {{id: "pack-1", script: "set app=2"}}, second: {{id: "pack-2", script: "set app=3"}},
	})})
	s.node.RemoveUpdate(1)
	s.node.RemoveUpdate(2)
	s.round()
	s.ran("pack-1.exe /S", "pack-2.exe /S")
	s.expect(second, agentapi.Installed, "")
}

// An update that is ordered and in no catalog is known all the same: that it is installed casts no doubt on others.
func TestPinnedKBsAreKnown(t *testing.T) {
	s := newSite(t)
	s.stop()
	source := &hotfixes{s.computer, nil, true}
	cfg := s.config()
	cfg.Source = source
	cfg.Now = s.clock.now
	opened, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.agent = opened
	kb := func(number string) func(*catalog.Update) {
		return func(u *catalog.Update) {
			u.KB, u.Product = number, catalog.Product{ID: "10378", Name: "Windows Server 2012"}
			u.Class = "securityonly"
			u.Applicable = &rule.Rule{Op: "True"}
			u.Installed = rule.Test(rule.Hotfix, "KB", number, "Product", "10378")
		}
	}
	pinned := s.update(1, "KB4480999", "x", kb("4480999"))
	s.update(2, "KB4486993", "x", kb("4486993"))
	s.computer.onRun = func() { source.kbs = []string{"4480999"} }
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{pinned: {{id: "pack-1", script: ""}}})})
	s.node.RemoveUpdate(1)
	s.round()
	s.expect(pinned, agentapi.Installed, "")
	if view := s.node.View(); !view.Applicable[2] || len(view.Unknown) > 0 {
		t.Fatalf("the site sees %v missing, and cannot tell %v", view.Applicable, view.Reasons)
	}
	// Once nobody orders it any more, nobody knows what it was.
	s.node.Order(nil)
	s.clock.advance(time.Hour)
	s.round()
	s.round()
	if view := s.node.View(); !view.Unknown[2] {
		t.Fatalf("the site sees %v missing, and cannot tell %v", view.Applicable, view.Reasons)
	}
}

// Superseded updates are counted apart from missing ones: by what is missing too, and by what is installed.
func TestStatusCountsSupersededApart(t *testing.T) {
	s := newSite(t)
	s.computer.values["app"], s.computer.values["tool"] = "1", "3"
	first := s.update(1, "app", "2")
	second := s.update(2, "app", "3", func(u *catalog.Update) { u.Supersedes = []string{first} })
	s.update(3, "app", "4", func(u *catalog.Update) { u.Supersedes = []string{second} })
	old := s.update(4, "tool", "2")
	s.update(5, "tool", "3", func(u *catalog.Update) { u.Supersedes = []string{old} })
	s.round()
	status, err := ReadStatus(s.dir)
	if want := (Counts{Applicable: 3, Missing: 1, Superseded: 2, Installed: 1}); err != nil || status.Counts != want {
		t.Errorf("%+v, %v; want %+v", status.Counts, err, want)
	}
	if got, err := s.agent.RunOnce(context.Background()); err != nil || got.Counts != status.Counts {
		t.Errorf("%+v, %v", got.Counts, err)
	}
}
