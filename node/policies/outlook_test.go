package policies_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/policy"
	"thatch/node/policies"
	"thatch/node/policies/outlook"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// TestPreviewIsWhatIsMade: whatever computers say and a target asks, a preview counts and lists what the policy then does.
func TestPreviewIsWhatIsMade(t *testing.T) {
	s := newSite(t)
	u1, u2 := s.number(t, "u1"), s.number(t, "u2")
	numbers := map[string]uint32{"u1": u1, "u2": u2}
	ids := map[string]string{}
	for i, says := range [][2][]uint32{
		{{u1, u2}, nil}, {{u1}, nil}, {{u2}, {u1}}, {nil, {u1, u2}}, {nil, nil}, {{u1, u2}, {u2}},
	} {
		language := []string{"de-de", "en-us"}[i%2]
		name := []string{"berlin-1", "paris-2", "berlin-3", "paris-4", "berlin-5", "paris-6"}[i]
		ids[name] = s.computer(t, name, language, says[0], says[1]).ID
	}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		target := policy.Target{NeedsIt: rapid.Bool().Draw(rt, "needs it")}
		if rapid.Bool().Draw(rt, "by language") {
			target.Languages = []string{rapid.SampledFrom([]string{"de", "en-us", "fr"}).Draw(rt, "language")}
		}
		if rapid.Bool().Draw(rt, "by name") {
			target.Names = []string{rapid.SampledFrom([]string{"berlin-*", "*-4", "*"}).Draw(rt, "pattern")}
		}
		round++
		d := policies.Draft{Name: "p" + strings.Repeat("x", round), Bulletins: []string{"KB1"}, Target: &target}
		if rapid.Bool().Draw(rt, "one is off") {
			d.Disable = []string{rapid.SampledFrom([]string{"u1", "u2"}).Draw(rt, "off")}
		}
		before, err := s.Preview(t.Context(), d, store.Query{})
		if err != nil || len(before.Problems) > 0 {
			rt.Fatalf("%+v, %v", before, err)
		}
		made := s.create(t, d)
		now, err := s.Show(t.Context(), made.ID)
		if err != nil {
			rt.Fatal(err)
		}
		figures := before.Computers
		if figures.All != 6 || figures.Targeted != now.Targeted || figures.Missing+figures.Unknown != now.Waiting || figures.Done != now.Done ||
			len(before.Updates) != len(now.UpdateList) || len(before.LeftOut) != len(made.LeftOut) {
			rt.Fatalf("foreseen %+v, is %+v", figures, now.Progress)
		}
		sum := 0
		for _, c := range before.Platforms {
			sum += c.Targeted
		}
		if sum != figures.Targeted || before.Total != figures.Missing || before.Free != figures.Targeted {
			rt.Fatalf("%d by platform, %d listed, %d free, of %+v", sum, before.Total, before.Free, figures)
		}
		for _, c := range before.List {
			if ids[c.Name] != c.ID || len(c.Updates) == 0 {
				rt.Fatalf("listed %+v", c)
			}
			ordered := map[uint32]bool{}
			for _, p := range s.assigned(t, c.ID).Policies {
				if p.Document.ID == made.ID {
					for _, o := range p.Updates {
						ordered[o.Number] = true
					}
				}
			}
			for _, name := range c.Updates {
				if !ordered[numbers[strings.TrimPrefix(name, "Update ")]] {
					rt.Fatalf("%s was to get %s, and is told of %v", c.Name, name, ordered)
				}
			}
		}
		standings, total, err := s.Standings(t.Context(), made.ID, store.Query{})
		open := slices.DeleteFunc(standings, func(c *outlook.Standing) bool { return c.State == "done" })
		if err != nil || total != now.Targeted || len(open) != now.Waiting+now.Failed {
			rt.Fatalf("%d computers, %d open, %v; is %+v", total, len(open), err, now.Progress)
		}
		if err := s.Delete(t.Context(), made.ID, 0); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestPreviewSaysWhatIsNotThere: what keeps a policy from being made is told, with what it would hold.
func TestPreviewSaysWhatIsNotThere(t *testing.T) {
	s := newSite(t)
	s.sql(t, `INSERT INTO language (tag, since) VALUES ('fr', '')`)
	found, err := s.Preview(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB1", "KB3", "KB2"}, Disable: []string{"u4"}}, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Problems) != 2 || !strings.Contains(found.Problems[0], "KB3 is not staged") || !strings.Contains(found.Problems[1], "not everything is there yet") {
		t.Errorf("problems %q", found.Problems)
	}
	if len(found.Updates) != 3 || found.Updates[2].ID != "u4" || found.Updates[2].Waits == "" || found.Updates[2].Enabled || found.Updates[0].Waits != "" {
		t.Errorf("updates %+v", found.Updates)
	}
	for name, d := range map[string]policies.Draft{
		"no bulletins": {Name: "p"}, "no name": {Bulletins: []string{"KB1"}}, "no such update": {Name: "p", Bulletins: []string{"KB1"}, Disable: []string{"u9"}},
		"no such time": {Name: "p", Bulletins: []string{"KB1"}, Plan: &policy.Plan{When: "at", At: "soon"}},
	} {
		if _, err := s.Preview(t.Context(), d, store.Query{}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPreviewSaysWhen: windows of a computer and the plan decide when its installs could begin.
func TestPreviewSaysWhen(t *testing.T) {
	s := newSite(t)
	u1 := s.number(t, "u1")
	s.computer(t, "berlin-1", "de-de", []uint32{u1}, nil)
	s.computer(t, "paris-1", "en-us", []uint32{u1}, nil)
	start := s.now().UTC().Add(2 * time.Hour).Format("15:04")
	body := windows.Body{
		Window: schedule.Window{Name: "night", Repeat: schedule.Daily, Start: start, Minutes: 60, Zone: "UTC"},
		Target: &policy.Target{Names: []string{"berlin-*"}},
	}
	foreseen, err := s.windows.Preview(body, time.UTC)
	if err != nil || foreseen.Computers != 1 || len(foreseen.Openings) != 8 || !foreseen.Openings[1].From.Equal(foreseen.Openings[0].From.Add(24*time.Hour)) {
		t.Fatalf("%+v, %v", foreseen, err)
	}
	if _, err := s.windows.Preview(windows.Body{}, time.UTC); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a window of nothing: %v", err)
	}
	id, err := s.windows.Create(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	d := policies.Draft{Name: "p", Bulletins: []string{"KB1"}}
	look := func() (berlin, paris *time.Time) {
		t.Helper()
		found, err := s.Preview(t.Context(), d, store.Query{})
		if err != nil || len(found.List) != 2 {
			t.Fatalf("%+v, %v", found, err)
		}
		if !d.OverrideWindows && (found.Windows[id] != 1 || found.Free != 1) {
			t.Errorf("windows %v, %d free", found.Windows, found.Free)
		}
		return found.List[0].Starts, found.List[1].Starts
	}
	if berlin, paris := look(); berlin == nil || !berlin.Equal(foreseen.Openings[0].From) || paris == nil || !paris.Equal(s.now()) {
		t.Errorf("starts %v, %v", berlin, paris)
	}
	d.OverrideWindows = true
	if berlin, _ := look(); berlin == nil || !berlin.Equal(s.now()) {
		t.Errorf("windows overridden: %v", berlin)
	}
	d.Plan = &policy.Plan{When: policy.StartDefault}
	if berlin, _ := look(); berlin != nil {
		t.Errorf("the agent's schedule: %v", berlin)
	}
	one, err := s.Preview(t.Context(), d, store.Query{Search: "PARIS", Limit: 1})
	if err != nil || one.Total != 1 || one.List[0].Name != "paris-1" {
		t.Errorf("searched: %+v, %v", one, err)
	}
}

// TestRevisionIsWhatReviseDoes: what is foreseen is what changes.
func TestRevisionIsWhatReviseDoes(t *testing.T) {
	s := newSite(t)
	made := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"KB1"}})
	if r, err := s.Revision(t.Context(), "p"); err != nil || len(r.Changes) != 0 || len(r.Problems) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.catalogOf(t, "two", func(id string, _ *catalog.Update) bool { return id != "u2" })
	r, err := s.Revision(t.Context(), "p")
	if err != nil || len(r.Changes) != 2 || r.Changes[0].Change != "revised" || r.Changes[0].Name != "Update u1" || r.Changes[1].Change != "removed" || r.Changes[1].Name != "Update u2" {
		t.Fatalf("%+v, %v", r, err)
	}
	if done, err := s.Revise(t.Context(), made.ID, 0); err != nil || done.Changed != len(r.Changes) {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := s.Revision(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
}
