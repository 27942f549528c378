package policies_test

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/policies"
	"thatch/node/policies/authoring"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

func TestCreateRefuses(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		draft policies.Draft
		says  string
	}{
		"no bulletin":       {policies.Draft{Name: "p"}, "at least one bulletin"},
		"unknown bulletin":  {policies.Draft{Name: "p", Bulletins: []string{"KB9"}}, "KB9"},
		"not staged":        {policies.Draft{Name: "p", Bulletins: []string{"KB3"}}, "not staged"},
		"no package at all": {policies.Draft{Name: "p", Bulletins: []string{"KB2"}}, "managed language"},
		"no name":           {policies.Draft{Bulletins: []string{"KB1"}}, "name"},
		"unknown update":    {policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Disable: []string{"u9"}}, "u9"},
		"command for none":  {policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Commands: map[string]string{"u4": "/q"}}, "u4"},
		"plan":              {policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Plan: &policy.Plan{When: "at", At: "tomorrow"}}, "tomorrow"},
		"plan without time": {policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Plan: &policy.Plan{When: "at"}}, "names none"},
		"target":            {policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Target: &policy.Target{ProductTypes: []string{"toaster"}}}, "toaster"},
		"unknown target":    {policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Target: &policy.Target{Unknown: []string{"colour"}}}, "colour"},
	} {
		_, err := s.Create(t.Context(), c.draft)
		if err == nil || !errors.Is(err, store.ErrInvalid) && !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error about %q", name, err, c.says)
		}
	}
	if _, total, _ := s.List(t.Context(), store.Query{}); total != 0 {
		t.Errorf("%d policies after refusals", total)
	}
}

func TestCreateWaitsForEverything(t *testing.T) {
	s := newSite(t)
	s.sql(t, `DELETE FROM holding`)
	_, err := s.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB1"}})
	if err == nil || !strings.Contains(err.Error(), "Update u1 for Windows is downloading") || !strings.Contains(err.Error(), "2 of the updates") {
		t.Errorf("policy of what is not there: %v", err)
	}
}

func TestCreatePinsWhatItMeans(t *testing.T) {
	s := newSite(t)
	created := s.create(t, policies.Draft{
		Name: " February ", Bulletins: []string{"KB1", "kb2", "b1"}, Disable: []string{"Update u2"}, Commands: map[string]string{"u1": "/quiet"},
	})
	if created.Updates != 2 || len(created.LeftOut) != 2 || created.LeftOut[0].Update != "Update u3" {
		t.Errorf("created %+v, want two updates, u3 and u4 left out", created)
	}
	d, err := s.Show(t.Context(), "february")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.ID, "policy:"+bulletinstest.Site+":") || d.Name != "February" || !d.Enabled || d.Paused || !d.Target.NeedsIt {
		t.Errorf("policy %+v", d)
	}
	if len(d.Languages) != 0 {
		t.Errorf("languages are %v; one package is neutral, so the policy is", d.Languages)
	}
	u1, u2 := d.UpdateList[0], d.UpdateList[1]
	if u1.Packages != 3 || u1.CommandLine != "/quiet" || !u1.Enabled || u2.Enabled || fmt.Sprint(u1.Languages) != "[de en]" || u1.Outdated || !u1.Held {
		t.Errorf("updates %+v, %+v", u1, u2)
	}
	if doc, _ := s.document(t, d.ID); doc.Verify(bulletinstest.Key.Public().(ed25519.PublicKey)) != nil || doc.Origin != bulletinstest.Site {
		t.Error("the policy's document is not signed by the site")
	}
}

func (s *site) document(t testing.TB, id string) (document.Document, error) {
	t.Helper()
	var found store.Current
	err := s.db.View(t.Context(), func(tx *sql.Tx) (err error) {
		found, err = store.Document(t.Context(), tx, document.Policy, id)
		return err
	})
	return found.Document, err
}

// What a policy pins is what computers get, until it is revised.
func TestPinsOutliveTheCatalog(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	c := s.computer(t, "pc", "de-at", []uint32{n}, nil)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	before := s.assigned(t, c.ID)
	s.catalog(t, "another edition")
	after := s.assigned(t, c.ID)
	if before.Policies[0].Updates[0].Update.Digest != after.Policies[0].Updates[0].Update.Digest || before.Tag != after.Tag {
		t.Error("a new edition of the update reached the computer without Revise")
	}
	d, err := s.Show(t.Context(), p.ID)
	if err != nil || !d.UpdateList[0].Outdated || d.UpdateList[1].Outdated {
		t.Errorf("nobody is told that u1 can be revised: %+v, %v", d.UpdateList, err)
	}
	revised, err := s.Revise(t.Context(), p.ID, p.Version)
	if err != nil || revised.Changed != 1 || revised.Version != 2 {
		t.Fatalf("revise: %+v, %v", revised, err)
	}
	if again, err := s.Revise(t.Context(), p.ID, 0); err != nil || again.Changed != 0 || again.Version != 2 {
		t.Errorf("revise again: %+v, %v", again, err)
	}
	now := s.assigned(t, c.ID)
	if now.Policies[0].Updates[0].Update.Digest == before.Policies[0].Updates[0].Update.Digest || now.Tag == before.Tag {
		t.Error("after Revise the computer still gets the former edition")
	}
	if s.held(t, before.Policies[0].Updates[0].Update.Digest) {
		t.Error("the former edition is kept although nobody pins it")
	}
}

func (s *site) held(t testing.TB, digest document.Digest) bool {
	t.Helper()
	err := s.db.View(t.Context(), func(tx *sql.Tx) error {
		_, err := store.Revision(t.Context(), tx, digest)
		return err
	})
	return err == nil
}

func TestReviseKeepsWhatWasSet(t *testing.T) {
	s := newSite(t)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Disable: []string{"u1"}, Commands: map[string]string{"u1": "/q"}})
	s.catalog(t, "another edition")
	if _, err := s.Revise(t.Context(), p.ID, 0); err != nil {
		t.Fatal(err)
	}
	d, err := s.Show(t.Context(), p.ID)
	if err != nil || d.UpdateList[0].Enabled || d.UpdateList[0].CommandLine != "/q" || d.UpdateList[0].Outdated {
		t.Errorf("after Revise u1 is %+v, %v", d.UpdateList[0], err)
	}
}

func TestStaleVersionIsAConflict(t *testing.T) {
	s := newSite(t)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	if err := s.Pause(t.Context(), p.ID, p.Version, true); err != nil {
		t.Fatal(err)
	}
	name := "q"
	for what, err := range map[string]error{
		"pause":  s.Pause(t.Context(), p.ID, p.Version, false),
		"enable": s.Enable(t.Context(), p.ID, p.Version, false),
		"change": s.Change(t.Context(), p.ID, p.Version, policies.Edit{Name: &name}),
		"delete": s.Delete(t.Context(), p.ID, p.Version),
	} {
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s from a stale version: %v, want a conflict", what, err)
		}
	}
	s.catalog(t, "another edition")
	if _, err := s.Revise(t.Context(), p.ID, p.Version); !errors.Is(err, store.ErrConflict) {
		t.Errorf("revise from a stale version: %v, want a conflict", err)
	}
	if d, _ := s.Show(t.Context(), p.ID); d.Name != "p" || !d.Paused || d.Version != 2 {
		t.Errorf("a refused change left traces: %+v", d.Row)
	}
	if !s.assignedUpdate(t, p) {
		t.Error("a refused revision took pins away")
	}
}

// assignedUpdate says whether everything a policy pins is still held.
func (s *site) assignedUpdate(t testing.TB, p policies.Created) bool {
	doc, err := s.document(t, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := policy.Decode(doc.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range body.Updates {
		for _, k := range u.Packages {
			if !s.held(t, u.Digest) || !s.held(t, k.Digest) || !s.held(t, k.PayloadDigest) {
				return false
			}
		}
	}
	return true
}

func TestChange(t *testing.T) {
	s := newSite(t)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	name, attempts, over := "renamed", 5, true
	err := s.Change(t.Context(), "p", 0, policies.Edit{
		Name: &name, Attempts: &attempts, OverrideWindows: &over, Disable: []string{"u1"}, Commands: map[string]string{"update u2": "/x"},
		Target: &policy.Target{Names: []string{"pc-*"}}, Plan: &policy.Plan{When: "at", At: "2019-04-01T22:00", SpreadMinutes: 30, Simultaneous: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Show(t.Context(), "renamed")
	if err != nil || d.ID != p.ID || d.Attempts != 5 || !d.OverrideWindows || d.UpdateList[0].Enabled || d.UpdateList[1].CommandLine != "/x" ||
		d.Plan.Simultaneous != 2 || d.Target.NeedsIt || d.Version != 2 {
		t.Errorf("changed to %+v, %v", d, err)
	}
	for range 20 { // what is switched on and off, or given two commands, always ends in one way
		if err := s.Change(t.Context(), p.ID, 0, policies.Edit{
			Enable: []string{"u1"}, Disable: []string{"Update u1"}, Commands: map[string]string{"u2": "/first", "update u2": "/last"},
		}); err != nil {
			t.Fatal(err)
		}
		if d := s.show(t, p.ID); d.UpdateList[0].Enabled || d.UpdateList[1].CommandLine != "/last" {
			t.Fatalf("%+v", d.UpdateList)
		}
	}
	bad := "whenever"
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Plan: &policy.Plan{When: bad}}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an impossible plan: %v", err)
	}
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Enable: []string{"u9"}}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an update that is not there: %v", err)
	}
}

func TestDeleteLetsGo(t *testing.T) {
	s := newSite(t)
	c := s.computer(t, "pc", "en", []uint32{s.number(t, "u1")}, nil)
	first, second := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}}), s.create(t, policies.Draft{Name: "q", Bulletins: []string{"b1"}})
	digest := s.assigned(t, c.ID).Policies[0].Updates[0].Update.Digest
	s.catalog(t, "another edition")
	if err := s.Delete(t.Context(), first.ID, 0); err != nil {
		t.Fatal(err)
	}
	if !s.held(t, digest) {
		t.Error("deleting one policy took away what another pins")
	}
	if err := s.Delete(t.Context(), second.ID, 0); err != nil {
		t.Fatal(err)
	}
	if s.held(t, digest) {
		t.Error("an earlier revision stays although nobody pins it")
	}
	if err := s.Delete(t.Context(), second.ID, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("delete twice: %v", err)
	}
	if a := s.assigned(t, c.ID); len(a.Policies) != 0 {
		t.Error("a deleted policy is still ordered")
	}
}

func TestPackagesByLanguage(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	for language, want := range map[string]string{
		"de-at": "[u1-de u1-neutral]", "en-us": "[u1-en u1-neutral]", "fr-fr": "[u1-neutral]", "": "[u1-neutral]", "den": "[u1-neutral]",
	} {
		c := s.computer(t, "pc-"+language, language, []uint32{n}, nil)
		var ids []string
		for _, u := range s.assigned(t, c.ID).Policies[0].Updates {
			for _, p := range u.Packages {
				ids = append(ids, p.ID)
			}
			if len(u.Payloads) != len(u.Packages) || u.Payloads[0].ID != u.Packages[0].ID || !u.Held {
				t.Errorf("%s: payloads do not go with packages", language)
			}
		}
		if fmt.Sprint(ids) != want {
			t.Errorf("a computer in %q gets %v, want %s", language, ids, want)
		}
	}
}

func TestWhoIsAsked(t *testing.T) {
	s := newSite(t)
	u1, u2 := s.number(t, "u1"), s.number(t, "u2")
	needs := s.computer(t, "needs", "de", []uint32{u1, u2}, []uint32{u2})
	other := s.computer(t, "other", "de", nil, nil)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	numbers := func(c computers.Computer) string {
		var all []uint32
		for _, p := range s.assigned(t, c.ID).Policies {
			for _, u := range p.Updates {
				all = append(all, u.Number)
			}
		}
		slices.Sort(all)
		return fmt.Sprint(all)
	}
	both := fmt.Sprint([]uint32{min(u1, u2), max(u1, u2)})
	check := func(what string, wantNeeds, wantOther string) {
		t.Helper()
		if a, b := numbers(needs), numbers(other); a != wantNeeds || b != wantOther {
			t.Errorf("%s: %s and %s, want %s and %s", what, a, b, wantNeeds, wantOther)
		}
	}
	check("default target", both, "[]")
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Disable: []string{"u1"}}); err != nil {
		t.Fatal(err)
	}
	check("u1 disabled", fmt.Sprint([]uint32{u2}), "[]")
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Enable: []string{"u1"}, Target: &policy.Target{Names: []string{"other"}}}); err != nil {
		t.Fatal(err)
	}
	check("by name, not applicable there", "[]", "[]")
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Target: &policy.Target{NeedsIt: true}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(t.Context(), p.ID, 0, true); err != nil {
		t.Fatal(err)
	}
	if a := s.assigned(t, needs.ID); len(a.Policies) != 1 || !a.Policies[0].Paused {
		t.Errorf("a paused policy is given as %+v", a.Policies)
	}
	if err := s.Enable(t.Context(), p.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	check("switched off", "[]", "[]")
	if _, err := s.Assigned(t.Context(), "nobody", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody is asked: %v", err)
	}
}

func TestTagStandsForTheAnswer(t *testing.T) {
	s := newSite(t)
	c := s.computer(t, "pc", "de", []uint32{s.number(t, "u1")}, nil)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	tag := s.assigned(t, c.ID).Tag
	changes := []struct {
		what string
		do   func() error
	}{
		{"pause", func() error { return s.Pause(t.Context(), p.ID, 0, true) }},
		{"resume", func() error { return s.Pause(t.Context(), p.ID, 0, false) }},
		{"window", func() error {
			_, err := s.windows.Create(t.Context(), windows.Body{Window: nightly("night")})
			return err
		}},
		{"not held", func() error { s.sql(t, `DELETE FROM holding`); return nil }},
		{"off", func() error { return s.Enable(t.Context(), p.ID, 0, false) }},
	}
	for _, change := range changes {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		a, err := s.Assigned(t.Context(), c.ID, tag)
		if err != nil || a.Tag == tag && change.what != "resume" {
			t.Errorf("%s: the tag stays, %v", change.what, err)
		}
		again, err := s.Assigned(t.Context(), c.ID, a.Tag)
		if err != nil || again.Tag != a.Tag || again.Policies != nil || again.Windows != nil {
			t.Errorf("%s: asked again under the tag: %+v, %v", change.what, again, err)
		}
		tag = a.Tag
	}
}

func nightly(name string) schedule.Window {
	return schedule.Window{Name: name, Repeat: schedule.Daily, Start: "22:00", Minutes: 120}
}

func TestTurns(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Plan: &policy.Plan{When: "asap", Simultaneous: 2}})
	var all []computers.Computer
	for i := range 4 {
		all = append(all, s.computer(t, fmt.Sprint("pc", i), "de", []uint32{n}, nil))
	}
	turns := func() (who []int) {
		t.Helper()
		for i, c := range all {
			a := s.assigned(t, c.ID)
			if a.Waits != a.Policies[0].Wait {
				t.Error("the answer does not say that the computer waits")
			}
			if !a.Policies[0].Wait {
				who = append(who, i)
			}
		}
		return who
	}
	if who := turns(); fmt.Sprint(who) != "[0 1]" {
		t.Fatalf("turns %v, want the first two", who)
	}
	if who := turns(); fmt.Sprint(who) != "[0 1]" {
		t.Fatalf("turns %v on asking again", who)
	}
	s.report(t, all[0].ID, computers.Report{Base: 1, Installed: computers.Change{Add: []uint32{n}}})
	if who := turns(); fmt.Sprint(who) != "[0 1 2]" { // 0 has nothing left and is not counted
		t.Errorf("turns %v after the first is done, want the third to follow", who)
	}
	s.wait(90 * time.Minute)
	s.assigned(t, all[1].ID) // still at it
	s.wait(45 * time.Minute)
	if who := turns(); fmt.Sprint(who) != "[0 1 2]" {
		t.Errorf("turns %v: the third let its turn go by and takes it again, for it asks first", who)
	}
	s.wait(3 * time.Hour)
	if a := s.assigned(t, all[3].ID); a.Policies[0].Wait {
		t.Error("nobody asked for three hours, and the fourth still waits")
	}
}

// However many ask at once, no more turns are given than the policy allows.
func TestTurnsAreNotGivenTwice(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	const machines, limit = 24, 5
	s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Plan: &policy.Plan{When: "asap", Simultaneous: limit}})
	var ids []string
	for i := range machines {
		ids = append(ids, s.computer(t, fmt.Sprint("pc", i), "de", []uint32{n}, nil).ID)
	}
	another := policies.New(policies.Config{ // another node of the site
		Author: authoring.Author{Site: bulletinstest.Site, Writer: s.db, Signer: bulletinstest.Signer{}, Now: s.now},
		Reader: s.db, Bulletins: s.bulletins, Computers: s.computers,
	})
	var all sync.WaitGroup
	turns := make(chan bool, 2*machines)
	for _, id := range ids {
		for _, room := range []*policies.Room{s.Room, another} {
			all.Go(func() {
				a, err := room.Assigned(t.Context(), id, "")
				if err != nil {
					t.Error(err)
				}
				turns <- err == nil && !a.Waits
			})
		}
	}
	all.Wait()
	given := 0
	for range 2 * machines {
		if <-turns {
			given++
		}
	}
	// Each computer asked at both nodes: one that has a turn has it at both, unless it got it after it asked first.
	if given < limit || given > 2*limit {
		t.Errorf("%d answers gave a turn, with %d turns to give", given, limit)
	}
	free := 0
	for _, id := range ids {
		if !s.assigned(t, id).Waits {
			free++
		}
	}
	if free != limit {
		t.Errorf("%d computers have a turn, want %d", free, limit)
	}
}

func TestTurnIsGivenBackAtOnce(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Plan: &policy.Plan{When: "asap", Simultaneous: 1}})
	first, second := s.computer(t, "first", "de", []uint32{n}, nil), s.computer(t, "second", "de", []uint32{n}, nil)
	if s.assigned(t, first.ID).Waits || !s.assigned(t, second.ID).Waits {
		t.Fatal("the first does not go first")
	}
	if err := s.GiveBack(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if !s.assigned(t, second.ID).Waits {
		t.Error("a turn is taken from a computer that still has something to install")
	}
	s.report(t, first.ID, computers.Report{Base: 1, Installed: computers.Change{Add: []uint32{n}}})
	if err := s.GiveBack(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if s.assigned(t, second.ID).Waits {
		t.Error("the first is done, and the second still waits")
	}
	if err := s.Delete(t.Context(), p.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.GiveBack(t.Context(), second.ID); err != nil {
		t.Error(err)
	}
	if err := s.GiveBack(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody gives a turn back: %v", err)
	}
}

func TestTurnEndsInTheEnd(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Plan: &policy.Plan{When: "asap", Simultaneous: 1}})
	stuck, next := s.computer(t, "stuck", "de", []uint32{n}, nil), s.computer(t, "next", "de", []uint32{n}, nil)
	for range 40 {
		s.assigned(t, stuck.ID)
		if !s.assigned(t, next.ID).Policies[0].Wait {
			return
		}
		s.wait(30 * time.Minute)
	}
	t.Error("a computer that never finishes keeps its turn for ever")
}

func TestNoTurnOutsideWindowsAndPlan(t *testing.T) {
	s := newSite(t)
	n := s.number(t, "u1")
	if _, err := s.windows.Create(t.Context(), windows.Body{Window: nightly("night")}); err != nil {
		t.Fatal(err)
	}
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Plan: &policy.Plan{When: "at", At: "2019-03-06T13:00:00Z", Simultaneous: 1}})
	c := s.computer(t, "pc", "de", []uint32{n}, nil)
	if !s.assigned(t, c.ID).Policies[0].Wait {
		t.Error("a turn is given away before the plan starts")
	}
	s.wait(2 * time.Hour)
	if !s.assigned(t, c.ID).Policies[0].Wait {
		t.Error("a turn is given away while no window is open")
	}
	over := true
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{OverrideWindows: &over}); err != nil {
		t.Fatal(err)
	}
	if s.assigned(t, c.ID).Policies[0].Wait {
		t.Error("a policy that overrides windows waits for one")
	}
}

func TestProgress(t *testing.T) {
	s := newSite(t)
	u1, u2 := s.number(t, "u1"), s.number(t, "u2")
	s.computer(t, "done", "de", []uint32{u1, u2}, []uint32{u1, u2})
	s.computer(t, "half", "de", []uint32{u1, u2}, []uint32{u1})
	failed := s.computer(t, "failed", "de", []uint32{u1}, nil)
	s.computer(t, "elsewhere", "de", nil, nil)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}})
	s.report(t, failed.ID, computers.Report{Base: 1, States: []computers.State{{Number: u1, Policy: p.ID, Status: computers.FailedToInstall}}})
	want := policies.Progress{Targeted: 3, Done: 1, Waiting: 1, Failed: 1}
	d, err := s.Show(t.Context(), p.ID)
	if err != nil || d.Progress != want || d.State != policies.StateWaiting || d.Statuses["Failed to Install"] != 1 {
		t.Errorf("policy is %+v %s %v, %v; want %+v", d.Progress, d.State, d.Statuses, err, want)
	}
	if len(d.WaitsFor) != 1 || !strings.Contains(d.WaitsFor[0], "1 computers") {
		t.Errorf("waits for %v", d.WaitsFor)
	}
	// A target of facts counts the same computers one by one.
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Target: &policy.Target{NeedsIt: true, Platforms: []string{"windows"}}}); err != nil {
		t.Fatal(err)
	}
	rows, total, err := s.List(t.Context(), store.Query{Filter: map[string]string{"targeted": ">2"}, Sort: "policy"})
	if err != nil || total != 1 || rows[0].Progress != want || rows[0].Bulletins[0] != "KB1" {
		t.Errorf("list %+v, %v", rows, err)
	}
	if _, _, err := s.List(t.Context(), store.Query{Sort: "colour"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("sorted by what is no column: %v", err)
	}
	counts, err := s.CountByBulletin(t.Context())
	if err != nil || counts["b1"] != 1 {
		t.Errorf("policies by bulletin %v, %v", counts, err)
	}
}

func TestWaitsForInWords(t *testing.T) {
	s := newSite(t)
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"b1"}, Off: true, Plan: &policy.Plan{When: "asap", Simultaneous: 3}})
	s.computer(t, "pc", "de", []uint32{s.number(t, "u1")}, nil)
	if err := s.Pause(t.Context(), p.ID, 0, true); err != nil {
		t.Fatal(err)
	}
	s.sql(t, `DELETE FROM holding`)
	d, err := s.Show(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"switched off", "paused", "payloads of Update u1 are not held", "at most 3 computers"} {
		if !strings.Contains(strings.Join(d.WaitsFor, "; "), want) {
			t.Errorf("waits for %v, want also %q", d.WaitsFor, want)
		}
	}
}

// A policy that is too large for a document or a batch is refused in words, and one of a thousand updates is not.
func TestLargePolicies(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		updates int
		fits    bool
	}{"large": {1000, true}, "too large": {1900, false}} {
		id := fmt.Sprint("large-", c.updates)
		docs := []document.Document{bulletinstest.Doc(t, document.Bulletin, id, nil, catalog.Bulletin{Name: id, Source: "sdp"})}
		var after []store.Statement
		for i := range c.updates {
			update := fmt.Sprintf("sdp/%08d-0000-4000-8000-%012d", c.updates, i)
			pack := bulletinstest.Doc(t, document.Package, update+"/package", nil, catalog.Package{Update: update, Name: "p", Files: []catalog.File{{Name: "a.msi"}}})
			payload := bulletinstest.Doc(t, document.Payload, pack.ID, nil, catalog.Payload{
				Package: pack.ID, PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "a.msi", SHA256: fileOf("u1-en"), Size: 1}},
			})
			bulletinstest.Signer{}.Sign(&payload)
			docs = append(docs, bulletinstest.Doc(t, document.Update, update, nil, catalog.Update{Name: update, Bulletin: id, Source: "sdp"}), pack)
			after = append(after, store.Put(payload, "", store.Former{})...)
		}
		bulletinstest.Save(t, s.bulletins, "sdp", id, docs...)
		for some := range slices.Chunk(after, 1200) {
			bulletinstest.Write(t, s.db, some...)
		}
		s.sql(t, `INSERT INTO staged (bulletin, since, actor) VALUES (?, '', 'test')`, id)
		made, err := s.Create(t.Context(), policies.Draft{Name: name, Bulletins: []string{id}})
		if c.fits && (err != nil || made.Updates != c.updates) {
			t.Errorf("%s: %d updates, %v", name, made.Updates, err)
		}
		if !c.fits && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// waitsSeen tells when a read begins that waits for an index.
type waitsSeen struct {
	store.Reader
	who  context.Context
	seen chan struct{}
	once sync.Once
}

func (w *waitsSeen) View(ctx context.Context, read func(*sql.Tx) error) error {
	if ctx == w.who {
		w.once.Do(func() { close(w.seen) })
	}
	return w.Reader.View(ctx, read)
}

// Whoever waits for what is not applied yet holds up nobody else.
func TestWhoWaitsHoldsUpNobody(t *testing.T) {
	s := newSite(t)
	s.create(t, policies.Draft{Name: "March", Bulletins: []string{"KB1"}})
	ahead, cancel := context.WithCancel(t.Context())
	defer cancel()
	ahead = store.AtLeast(ahead, s.db.Applied()+1000)
	reader := &waitsSeen{Reader: s.db, who: ahead, seen: make(chan struct{})}
	room := policies.New(policies.Config{
		Author: authoring.Author{Site: bulletinstest.Site, Writer: s.writer, Signer: bulletinstest.Signer{}, Now: s.now},
		Reader: reader, Bulletins: s.bulletins, Computers: s.computers,
	})
	waited, answered := make(chan error, 1), make(chan error, 1)
	go func() {
		_, _, err := room.List(ahead, store.Query{})
		waited <- err
	}()
	<-reader.seen
	go func() {
		_, _, err := room.List(t.Context(), store.Query{})
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("who asks for nothing that is to come waits as well")
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("who waited: %v", err)
	}
}

// Policies of one second are listed in the order in which they were made.
func TestListByTimeWithinASecond(t *testing.T) {
	s := newSite(t)
	s.wait(time.Second - time.Duration(s.now().Nanosecond()))
	for _, name := range []string{"c", "b", "a"} {
		s.create(t, policies.Draft{Name: name, Bulletins: []string{"KB1"}})
		s.wait(500 * time.Millisecond)
	}
	list, _, err := s.List(t.Context(), store.Query{Sort: "created"})
	if err != nil {
		t.Fatal(err)
	}
	var order string
	for _, p := range list {
		order += p.Name
	}
	if order != "cba" {
		t.Errorf("by when they were made they are %s, want cba", order)
	}
}
