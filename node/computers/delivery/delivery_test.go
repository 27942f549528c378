package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"thatch/node/computers/delivery"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/storetest"
	"thatch/node/store/sweep"
)

func TestRead(t *testing.T) {
	db := storetest.Open(t)
	now := time.Date(2026, 3, 10, 23, 59, 0, 0, time.UTC)
	statements := []store.Statement{
		{SQL: `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx) VALUES ('p', '', 1, 0, 1, '', '', '', 0)`},
		{SQL: `INSERT INTO software_update (number, id) VALUES (7, 'u')`},
	}
	attempt := func(ended time.Time, success, remained bool) {
		id := fmt.Sprint(len(statements))
		put := store.Statement{
			SQL: `INSERT INTO computer_attempt (number, id, upd, policy, package, started, ended, code, success, restart, remained, text)
			      VALUES (1, ?, 1, 'p', 'k', ?, ?, 0, ?, 0, ?, '') ON CONFLICT DO NOTHING`,
			Args: []any{id, rows.Stamp(ended), rows.Stamp(ended), success, remained},
		}
		count := delivery.Count(1, id, delivery.Attempt{Ended: ended, Policy: "p", Update: 7, Succeeded: success, Remained: remained}, now)
		statements = append(statements, count, put, count, put) // brought twice
	}
	attempt(now, true, false)
	attempt(now.Add(-time.Minute), false, false)
	attempt(now.Add(-24*time.Hour), false, true)
	attempt(now.AddDate(0, 0, -2).Truncate(24*time.Hour), true, false)                   // the first moment that is counted
	attempt(now.AddDate(0, 0, -2).Truncate(24*time.Hour).Add(-time.Second), true, false) // one before it
	attempt(now.AddDate(0, 0, 3), true, false)                                           // by a clock that runs ahead: counts today
	applied, err := db.Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
	s, err := delivery.Read(t.Context(), db, now, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []delivery.Day{
		{Day: "2026-03-08", Counts: delivery.Counts{Executed: 1, Succeeded: 1}},
		{Day: "2026-03-09", Counts: delivery.Counts{Executed: 1, Remained: 1}},
		{Day: "2026-03-10", Counts: delivery.Counts{Executed: 3, Succeeded: 2, Failed: 1}},
	}
	if fmt.Sprint(s.Days) != fmt.Sprint(want) || s.Counts != (delivery.Counts{Executed: 5, Succeeded: 3, Failed: 1, Remained: 1}) {
		t.Errorf("got %+v", s)
	}
	for name, sums := range map[string]func(context.Context, store.Reader, time.Time, int) (map[string]delivery.Sum, error){
		"p": delivery.ByPolicy, "7": delivery.ByUpdate,
	} {
		got, err := sums(t.Context(), db, now, 3)
		if err != nil || len(got) != 1 || got[name] != (delivery.Sum{Counts: s.Counts, Last: "2026-03-10"}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := sums(t.Context(), db, now, 0); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("no days: %v", err)
		}
	}
	if err := sweep.New(db, db).Sweep(t.Context(), delivery.Old(now.AddDate(0, 0, -1))); err != nil {
		t.Fatal(err)
	}
	if s, err := delivery.Read(t.Context(), db, now, 3); err != nil || s.Executed != 4 {
		t.Errorf("after forgetting the eighth: %+v, %v", s, err)
	}
	for _, days := range []int{0, -1, delivery.MaxDays + 1} {
		if _, err := delivery.Read(t.Context(), db, now, days); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%d days: %v", days, err)
		}
	}
}

// TestStrangeNames: a report may name any policy, update and day, and the table does not grow by them.
func TestStrangeNames(t *testing.T) {
	db := storetest.Open(t)
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	var statements []store.Statement
	for i := range 300 {
		a := delivery.Attempt{Ended: now, Policy: fmt.Sprint("policy ", i), Update: uint32(i), Succeeded: true}
		if i%3 == 0 {
			a.Ended = now.AddDate(-3-i, 0, 0)
		}
		statements = append(statements, delivery.Count(1, fmt.Sprint(i), a, now))
	}
	applied, err := db.Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
	var count, succeeded int
	err = db.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT count(*), sum(succeeded) FROM delivery WHERE policy = '' AND upd = 0`).Scan(&count, &succeeded)
	})
	if err != nil || count != 1 || succeeded != 200 {
		t.Errorf("%d rows with %d attempts, %v", count, succeeded, err)
	}
	s, err := delivery.Read(t.Context(), db, now, 1)
	if err != nil || s.Succeeded != 200 {
		t.Errorf("%+v, %v", s, err)
	}
}
