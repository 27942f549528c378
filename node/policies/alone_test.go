package policies_test

import (
	"slices"
	"testing"

	"thatch/catalog"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/node/computers"
	"thatch/node/policies"
	"thatch/node/policies/pinned"
)

// ordered are the ids of the updates that a computer is told of, sorted.
func (s *site) ordered(t testing.TB, computer string) []string {
	t.Helper()
	found := []string{}
	for _, p := range s.assigned(t, computer).Policies {
		for _, u := range p.Updates {
			found = append(found, u.Update.ID)
		}
	}
	slices.Sort(found)
	return found
}

func (s *site) says(t testing.TB, c computers.Computer, base uint64, update uint32, status computers.Status) {
	t.Helper()
	s.report(t, c.ID, computers.Report{Base: base, States: []computers.State{{Number: update, Policy: "p", Status: status}}})
	if err := s.GiveBack(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
}

// What the catalog makes of u1 after it was ordered, and whom that leaves it ordered for: a computer that needs it by the
// catalog's rules, and one that does not.
func TestWhoIsOrderedWhatTheCatalogChanged(t *testing.T) {
	for name, c := range map[string]struct {
		edit     func(u *catalog.Update) bool
		standing pinned.Standing
		alone    bool // both are told, and judge it by the pinned rules
	}{
		"unchanged":          {func(*catalog.Update) bool { return true }, pinned.Current, false},
		"another title":      {func(u *catalog.Update) bool { u.Title = "new"; return true }, pinned.Newer, false},
		"another rule":       {func(u *catalog.Update) bool { u.Applicable = rule.Test("False"); return true }, pinned.Newer, true},
		"another check":      {func(u *catalog.Update) bool { u.Installed = rule.Test("False"); return true }, pinned.Newer, true},
		"another way out":    {func(u *catalog.Update) bool { u.Superseded = rule.Test("True"); return true }, pinned.Newer, true},
		"a prerequisite":     {func(u *catalog.Update) bool { u.Prerequisites = [][]string{{"u2"}}; return true }, pinned.Newer, true},
		"no rule any more":   {func(u *catalog.Update) bool { u.Applicable, u.NoRule = nil, "no such product"; return true }, pinned.Newer, true},
		"withdrawn":          {func(u *catalog.Update) bool { u.Withdrawn = true; return true }, pinned.Withdrawn, true},
		"not there any more": {func(*catalog.Update) bool { return false }, pinned.Gone, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			needs := s.computer(t, "needs", "en-us", []uint32{s.number(t, "u1")}, nil)
			other := s.computer(t, "other", "en-us", nil, nil)
			made := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"KB1"}})
			s.catalogOf(t, "one", func(id string, u *catalog.Update) bool { return id != "u1" || c.edit(u) })
			if got := s.ordered(t, needs.ID); !slices.Equal(got, []string{"u1"}) {
				t.Errorf("a computer that needs it is ordered %v", got)
			}
			if got := s.ordered(t, other.ID); c.alone != slices.Equal(got, []string{"u1"}) || !c.alone && len(got) > 0 {
				t.Errorf("a computer that did not need it is ordered %v", got)
			}
			d, err := s.Show(t.Context(), made.ID)
			if err != nil || d.UpdateList[0].Standing != c.standing || !d.UpdateList[0].Held {
				t.Errorf("%+v, %v", d.UpdateList[0], err)
			}
			numbers, err := s.Orders(t.Context(), needs.ID)
			if err != nil || len(numbers) != 1 || (numbers[0].Alone != nil) != c.alone {
				t.Errorf("orders %+v, %v", numbers, err)
			}
		})
	}
}

// Of what agents alone can judge, what they say of the order is what counts; another platform's are not asked.
func TestProgressOfWhatIsJudgedAlone(t *testing.T) {
	s := newSite(t)
	number := s.number(t, "u1")
	made := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Disable: []string{"u2"}})
	s.catalogOf(t, "one", func(id string, _ *catalog.Update) bool { return id != "u1" })
	var all []computers.Computer
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, s.computer(t, name, "en-us", nil, nil))
	}
	newcomer := computers.Newcomer{Name: "deb", MachineID: "deb", Platform: "debian"}
	place, err := s.computers.Place(t.Context(), newcomer)
	if err != nil {
		t.Fatal(err)
	}
	debian, err := s.computers.Enrol(t.Context(), newcomer, place, "deb")
	if err != nil || len(s.ordered(t, debian.ID)) > 0 {
		t.Errorf("a computer of another platform is ordered it: %v", err)
	}
	want := func(what string, progress policies.Progress) {
		t.Helper()
		d, err := s.Show(t.Context(), made.ID)
		if err != nil || d.Progress != progress {
			t.Errorf("%s: %+v, %v; want %+v", what, d.Progress, err, progress)
		}
	}
	want("before anybody said anything", policies.Progress{})
	for i, status := range []computers.Status{computers.Installed, computers.NotApplicable, computers.CannotTell, computers.FailedToInstall, computers.Scheduled} {
		s.says(t, all[i], 1, number, status)
	}
	want("everybody said something", policies.Progress{Targeted: 4, Done: 1, Waiting: 2, Failed: 1})
	s.says(t, all[3], 2, number, computers.Installed)
	s.says(t, all[0], 2, number, computers.DownloadRequired) // somebody uninstalled it
	want("later", policies.Progress{Targeted: 4, Done: 1, Waiting: 3})
	if err := s.computers.Retire(t.Context(), "test", all[4].ID, 0); err != nil {
		t.Fatal(err)
	}
	want("one was retired", policies.Progress{Targeted: 3, Done: 1, Waiting: 2})
}

func TestTurnsOfWhatIsJudgedAlone(t *testing.T) {
	s := newSite(t)
	number := s.number(t, "u1")
	s.create(t, policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Disable: []string{"u2"}, Plan: &policy.Plan{When: policy.StartASAP, Simultaneous: 1}})
	s.catalogOf(t, "one", func(id string, _ *catalog.Update) bool { return id != "u1" })
	first, second := s.computer(t, "a", "en-us", nil, nil), s.computer(t, "b", "en-us", nil, nil)
	wait := func(c computers.Computer) bool { return s.assigned(t, c.ID).Policies[0].Wait }
	if wait(first) || !wait(second) {
		t.Error("until they said what the rules say, both may need it, and only one may install")
	}
	s.says(t, first, 1, number, computers.NotApplicable)
	if wait(second) || wait(first) {
		t.Error("whoever does not need it gives the turn back, and need not wait")
	}
	s.says(t, first, 2, number, computers.Scheduled)
	if !wait(first) {
		t.Error("whoever needs it again has to wait for its turn")
	}
}
