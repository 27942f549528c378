package computers

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"thatch/node/store"
	"thatch/node/store/sweep"
)

func (f *fixture) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := f.db.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(query, args...).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPrune: attempts and what was said of former policies go when they are old, retired computers with all that is theirs; the
// greatest number stays, and memory is what the database is.
func TestPrune(t *testing.T) {
	f := newFixture(t)
	var all []Computer
	for i := range 4 {
		all = append(all, f.enrol(t, Newcomer{Name: fmt.Sprint("pc", i), MachineID: fmt.Sprint("m", i), Platform: "windows"}))
	}
	applied, err := f.db.Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Statements: []store.Statement{
		{SQL: `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx) VALUES ('stays', '', 1, 0, 1, '', '', '', 0)`},
	}})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
	report := func(c Computer, attempt string, base uint64) {
		f.report(t, c.ID, Report{
			Base: base, Facts: &Facts{Name: c.Name},
			States:   []State{{Number: 1, Policy: "stays", Status: Installed}, {Number: 2, Policy: "gone", Status: FailedToInstall}},
			Attempts: []Attempt{{ID: attempt, Number: 1, Policy: "stays", Started: f.clock.now(), Ended: f.clock.now(), Success: true}},
		})
	}
	for _, c := range all {
		report(c, "early", 0)
	}
	for _, c := range []Computer{all[1], all[3]} {
		if err := f.Retire(t.Context(), "test", c.ID, 0); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.add(100 * 24 * time.Hour)
	f.report(t, all[0].ID, Report{Base: 1, Attempts: []Attempt{{ID: "late", Number: 1, Started: f.clock.now(), Ended: f.clock.now(), Success: true}}})
	before := f.clock.now().Add(-50 * 24 * time.Hour)
	sweeper := sweep.New(f.db, f.db)
	if err := f.Prune(t.Context(), sweeper, Keep{}); err != nil || len(sweeper.Removed) != 0 {
		t.Errorf("everything is kept, but: %v, %v", sweeper.Removed, err)
	}
	if err := f.Prune(t.Context(), sweeper, Keep{Attempts: before, Retired: before, Delivery: before}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		`SELECT count(*) FROM computer`:                              3,
		`SELECT count(*) FROM computer WHERE number = 4`:             1, // retired, and the last
		`SELECT count(*) FROM computer_facts WHERE number = 2`:       0,
		`SELECT count(*) FROM computer_attempt`:                      1,
		`SELECT count(*) FROM computer_attempt WHERE id = 'late'`:    1,
		`SELECT count(*) FROM computer_state WHERE policy = 'gone'`:  0,
		`SELECT count(*) FROM computer_state WHERE policy = 'stays'`: 2,
		`SELECT count(*) FROM delivery`:                              1,
	} {
		if got := f.count(t, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	f.sameMemory(t)
	if _, err := f.Get(t.Context(), all[1].ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a computer that was retired long ago: %v", err)
	}
	if c := f.enrol(t, Newcomer{Name: "new", MachineID: "new", Platform: "windows"}); c.Number != 5 {
		t.Errorf("a number is used again: %d", c.Number)
	}
}

// TestStatesAreBounded: an agent that says something of ever more updates is refused in the end.
func TestStatesAreBounded(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, Newcomer{Name: "pc", MachineID: "m", Platform: "windows"})
	base := uint64(0)
	for first := uint32(1); first <= statesPerPC; first += maxStates {
		rep := Report{Base: base}
		for i := range uint32(maxStates) {
			rep.States = append(rep.States, State{Number: first + i, Policy: "p", Status: Installed})
		}
		base = f.report(t, c.ID, rep).Counter
	}
	_, err := f.Report(t.Context(), c.ID, Report{Base: base, States: []State{{Number: statesPerPC + 1, Policy: "p", Status: Installed}}})
	if !errors.Is(err, ErrBadReport) {
		t.Errorf("one more: %v", err)
	}
	if got := f.count(t, `SELECT count(*) FROM computer_state`); got != statesPerPC {
		t.Errorf("%d are kept", got)
	}
}
