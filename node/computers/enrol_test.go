package computers

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/node/store"
)

func TestPlaced(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alive, dead := now.Add(-time.Minute), now.Add(-24*time.Hour)
	former := func(machine, hardware string, seen time.Time, change ...func(*Computer)) Computer {
		c := Computer{Number: 7, ID: "former", Name: "pc", MachineID: machine, Hardware: hardware, Platform: "windows", LastSeen: seen}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	for _, c := range []struct {
		name   string
		former Computer
		with   Newcomer
		takes  bool
		why    string
	}{
		{"another machine", former("m1", "h1", alive), Newcomer{MachineID: "m2", Hardware: "h2"}, false, whyNew},
		{"certificate lost", former("m1", "h1", alive), Newcomer{MachineID: "m1", Hardware: "h1"}, true, whyAgain},
		{"reinstalled", former("m1", "h1", dead), Newcomer{MachineID: "m2", Hardware: "h1"}, true, whyReinstalled},
		{"reinstalled at once, same name", former("m1", "h1", alive), Newcomer{Name: "PC", MachineID: "m2", Hardware: "h1"}, true, whyReinstalled},
		{"hardware id that many have", former("m1", "h1", alive), Newcomer{Name: "other", MachineID: "m2", Hardware: "h1"}, false, whyNew},
		{"clone", former("m1", "h1", alive), Newcomer{MachineID: "m1", Hardware: "h2"}, false, whyClone},
		{"clone of a dead one", former("m1", "h1", dead), Newcomer{MachineID: "m1", Hardware: "h2"}, false, whyClone},
		{"clone without hardware", former("m1", "", alive), Newcomer{MachineID: "m1"}, false, whyBeside},
		{"again without hardware", former("m1", "", dead), Newcomer{MachineID: "m1"}, true, whyAgain},
		{"hardware learned since", former("m1", "", dead), Newcomer{MachineID: "m1", Hardware: "h1"}, true, whyAgain},
		{"nothing known of either", former("", "", dead), Newcomer{}, false, whyNew},
		{"retired", former("m1", "h1", dead, func(c *Computer) { c.Retired = dead }), Newcomer{MachineID: "m1", Hardware: "h1"}, false, whyNew},
		{"simulated beside real", former("m1", "h1", dead, func(c *Computer) { c.Simulated = true }), Newcomer{MachineID: "m1", Hardware: "h1"}, false, whyNew},
		{"other system on the same machine", former("m1", "h1", dead, func(c *Computer) { c.Platform = "debian" }), Newcomer{MachineID: "m2", Hardware: "h1"}, false, whyNew},
	} {
		c.with.Platform = "windows"
		who, why := placed(c.with, []Computer{c.former}, now)
		if (who != nil) != c.takes || why != c.why {
			t.Errorf("%s: takes over %v because %q, want %v because %q", c.name, who != nil, why, c.takes, c.why)
		}
	}
}

func TestPlacedPrefersTheSameInstallation(t *testing.T) {
	now := time.Now()
	reinstalled := Computer{ID: "a", Name: "pc", MachineID: "m1", Hardware: "h", Platform: "windows"}
	same := Computer{ID: "b", Name: "pc", MachineID: "m2", Hardware: "h", Platform: "windows"}
	for _, former := range [][]Computer{{reinstalled, same}, {same, reinstalled}} {
		if who, _ := placed(Newcomer{Name: "pc", MachineID: "m2", Hardware: "h", Platform: "windows"}, former, now); who == nil || who.ID != "b" {
			t.Errorf("takes %v, want the row with the same machine id", who)
		}
	}
}

func TestNormalHardware(t *testing.T) {
	for text, want := range map[string]string{
		" To Be Filled By O.E.M. ": "", "Default string": "", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF": "", "0": "",
		" 4C4C4544-0042 ": "4c4c4544-0042", "VMware-56 4d": "vmware-56 4d",
	} {
		if got := NormalHardware(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestEnrolRefuses(t *testing.T) {
	f := newFixture(t)
	for name, spoil := range map[string]func(*Newcomer){
		"no name":         func(n *Newcomer) { n.Name = "  " },
		"long name":       func(n *Newcomer) { n.Name = strings.Repeat("x", 201) },
		"no platform":     func(n *Newcomer) { n.Platform = "" },
		"long machine id": func(n *Newcomer) { n.MachineID = strings.Repeat("m", 201) },
	} {
		n := newcomer("pc")
		spoil(&n)
		if _, err := f.Place(t.Context(), n); err == nil {
			t.Errorf("%s: a place is found", name)
		}
	}
	if all := f.Computers(); len(all) != 0 {
		t.Errorf("%d computers after refusals", len(all))
	}
}

func TestReinstalledComputerTakesItsRow(t *testing.T) {
	f := newFixture(t)
	first := f.enrol(t, newcomer("pc"))
	f.report(t, first.ID, Report{Applicable: Change{Add: []uint32{1, 2}}, States: []State{{Number: 1, Policy: "p", Status: FailedToInstall}}})
	f.clock.add(time.Hour)
	again := newcomer("pc")
	again.MachineID, again.Group = "another", "berlin"
	second := f.enrol(t, again)
	if second.Number != first.Number || second.ID != first.ID {
		t.Fatalf("reinstalled computer is %d %s, was %d %s", second.Number, second.ID, first.Number, first.ID)
	}
	if second.MachineID != "another" || second.Group != "berlin" || second.Certificate == "" {
		t.Errorf("row after reinstalling: %+v", second)
	}
	if sets := setsIn(f.Room, first.Number); !sets.Equal(NewSets()) {
		t.Errorf("what the former installation reported still counts: %v", sets)
	}
	taken := f.report(t, first.ID, Report{Base: 1, Applicable: Change{Add: []uint32{3}}})
	if !taken.Resend {
		t.Error("a differential report of the former installation is taken")
	}
	if taken = f.report(t, first.ID, Report{Applicable: Change{Add: []uint32{5}}}); taken.Counter != 1 || taken.Resend {
		t.Errorf("whole report after reinstalling: %+v", taken)
	}
	f.sameMemory(t)
}

func TestCloneBecomesAComputerOfItsOwn(t *testing.T) {
	f := newFixture(t)
	original := f.enrol(t, newcomer("pc"))
	_, err := f.Report(t.Context(), original.ID, Report{Hardware: "other hardware", At: f.clock.now()})
	if !errors.Is(err, ErrClone) {
		t.Fatalf("report of a clone: %v, want ErrClone", err)
	}
	clone := newcomer("pc")
	clone.Hardware = "other hardware"
	if second := f.enrol(t, clone); second.Number == original.Number {
		t.Error("the clone took the row of its original")
	}
	if taken := f.report(t, original.ID, Report{Hardware: " HARDWARE-pc ", Applicable: Change{Add: []uint32{1}}}); taken.Counter != 1 {
		t.Errorf("the original's report: %+v", taken)
	}
}

func TestCloneWithoutHardwareIsDoubted(t *testing.T) {
	f := newFixture(t)
	n := newcomer("pc")
	n.Hardware = ""
	c := f.enrol(t, n)
	// Two machines with one certificate take turns: each one's whole report makes the other's counter wrong.
	a := f.report(t, c.ID, Report{Applicable: Change{Add: []uint32{1}}})
	for range rivalTurns {
		b := f.report(t, c.ID, Report{Applicable: Change{Add: []uint32{2}}})
		f.report(t, c.ID, Report{Base: b.Counter, Applicable: Change{Add: []uint32{9}}})
		if taken := f.report(t, c.ID, Report{Base: a.Counter, Applicable: Change{Add: []uint32{3}}}); !taken.Resend {
			t.Fatalf("a report that continues another machine's is taken: %+v", taken)
		}
		a = f.report(t, c.ID, Report{Applicable: Change{Add: []uint32{1}}})
		f.report(t, c.ID, Report{Base: a.Counter, Applicable: Change{Remove: []uint32{1}}})
	}
	got, err := f.Get(t.Context(), c.ID)
	if err != nil || got.Doubt == "" {
		t.Errorf("nobody is told that two machines use one certificate: %+v, %v", got, err)
	}
}

func TestOneTokenImagesAThousand(t *testing.T) {
	f := newFixture(t)
	const many = 1000
	var all sync.WaitGroup
	errs := make(chan error, many)
	for i := range many {
		all.Go(func() {
			n := newcomer(fmt.Sprintf("pc-%04d", i))
			n.MachineID = "the-image" // one image, many machines
			place, err := f.Place(t.Context(), n)
			if err == nil {
				_, err = f.Enrol(t.Context(), n, place, fmt.Sprint(i))
			}
			errs <- err
		})
	}
	all.Wait()
	for range many {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	numbers := map[uint32]bool{}
	for _, m := range f.Computers() {
		numbers[m.Number] = true
	}
	if len(numbers) != many {
		t.Errorf("%d computers with a number of their own, want %d", len(numbers), many)
	}
}

func TestRaceOnTheLastUses(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.db.Write(ctx, store.Batch{Reason: "token", At: f.clock.now(), Statements: []store.Statement{{
		SQL: `INSERT INTO setting (name, value, version) VALUES ('token', '', 0)`,
	}}}); err != nil {
		t.Fatal(err)
	}
	use := store.Statement{SQL: `UPDATE setting SET version = version + 1 WHERE name = 'token' AND version < 10`, Want: 1}
	var all sync.WaitGroup
	results := make(chan error, 40)
	for i := range cap(results) {
		all.Go(func() {
			n := newcomer(fmt.Sprint("pc", i))
			place, err := f.Place(ctx, n)
			if err == nil {
				_, err = f.Enrol(ctx, n, place, fmt.Sprint(i), use)
			}
			results <- err
		})
	}
	all.Wait()
	enrolled := 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			enrolled++
		case !errors.Is(err, ErrRaced):
			t.Errorf("enrolment after the last use: %v, want ErrRaced", err)
		}
	}
	if enrolled != 10 || len(f.Computers()) != 10 {
		t.Errorf("%d enrolled, %d computers, want 10 with a token for 10", enrolled, len(f.Computers()))
	}
}

func TestRaceOfOneMachine(t *testing.T) {
	f := newFixture(t)
	n := newcomer("pc")
	first, err := f.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enrol(t.Context(), n, first, "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enrol(t.Context(), n, second, "2"); !errors.Is(err, ErrRaced) {
		t.Errorf("the same machine twice: %v, want ErrRaced", err)
	}
	again, err := f.Place(t.Context(), n)
	if err != nil || again.Computer != first.Computer || again.Former != "1" {
		t.Errorf("asked again it gets %+v, %v, want the row made first and its certificate replaced", again, err)
	}
}

func TestRetire(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	c := f.enrol(t, newcomer("pc"))
	f.report(t, c.ID, Report{Applicable: Change{Add: []uint32{4}}, States: []State{{Number: 4, Policy: "p", Status: FailedToInstall}}})
	if err := f.Retire(ctx, "operator", c.ID, c.Version+5); !errors.Is(err, store.ErrConflict) {
		t.Errorf("retire under a stale version: %v, want a conflict", err)
	}
	if err := f.Retire(ctx, "operator", "nobody", 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("retire nobody: %v", err)
	}
	if err := f.Retire(ctx, "operator", c.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Retire(ctx, "operator", c.ID, 0); !errors.Is(err, ErrRetired) || !errors.Is(err, store.ErrConflict) {
		t.Errorf("retire twice: %v", err)
	}
	if _, err := f.Report(ctx, c.ID, Report{At: f.clock.now()}); !errors.Is(err, ErrRetired) {
		t.Errorf("report of a retired computer: %v", err)
	}
	if m := f.Member(c.ID); m == nil || m.Retired.IsZero() {
		t.Errorf("the row is not kept as retired: %+v", m)
	}
	f.Look(func(v View) {
		if col := v.Column(4); col != nil && (!col.Applicable.IsEmpty() || !col.Failed.IsEmpty()) {
			t.Error("a retired computer is still counted")
		}
	})
	f.sameMemory(t)
}

func TestMove(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	if err := f.Move(t.Context(), "operator", c.ID, "berlin", c.Version); err != nil {
		t.Fatal(err)
	}
	if err := f.Move(t.Context(), "operator", c.ID, "paris", c.Version); !errors.Is(err, store.ErrConflict) {
		t.Errorf("move under the version of before: %v, want a conflict", err)
	}
	if m := f.Member(c.ID); m.Group != "berlin" {
		t.Errorf("group is %q", m.Group)
	}
	if err := f.Move(t.Context(), "operator", c.ID, strings.Repeat("x", 300), 0); err == nil {
		t.Error("an endless group is taken")
	}
}

func TestRenewed(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	if err := f.Renewed(t.Context(), c.ID, "new"); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.Get(t.Context(), c.ID); got.Certificate != "new" {
		t.Errorf("certificate is %q", got.Certificate)
	}
	if err := f.Retire(t.Context(), "operator", c.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Renewed(t.Context(), c.ID, "newer"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a retired computer renews: %v", err)
	}
}
