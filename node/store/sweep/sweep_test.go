package sweep_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"thatch/node/store"
	"thatch/node/store/storetest"
	"thatch/node/store/sweep"
)

// counting counts batches, and ends with an error after some.
type counting struct {
	*store.DB
	batches, most int
}

var errEnough = errors.New("enough")

func (c *counting) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	if c.batches == c.most {
		return store.Applied{}, errEnough
	}
	c.batches++
	if len(b.Statements) > 2 {
		return store.Applied{}, fmt.Errorf("%d statements", len(b.Statements))
	}
	return c.DB.Write(ctx, b)
}

// runs makes a history of runs with two lines each.
func runs(t *testing.T, count int) *store.DB {
	t.Helper()
	db := storetest.Open(t)
	builder := store.NewBuilder(store.Batch{Actor: "test", Reason: "test"})
	for i := range count {
		id := fmt.Sprintf("r%04d", i)
		statements := []store.Statement{{
			SQL:  `INSERT INTO run (id, task, kind, node, state, actor, params, resumes, started, ended, progress) VALUES (?, '', '', '', '', '', '', '', ?, '', '')`,
			Args: []any{id, fmt.Sprintf("%04d", i)},
		}}
		for line := range 2 {
			statements = append(statements, store.Statement{
				SQL: `INSERT INTO run_line (run, number, at, text) VALUES (?, ?, '', '')`, Args: []any{id, line},
			})
		}
		if err := builder.Add(statements...); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range builder.Batches() {
		applied, err := db.Write(t.Context(), b)
		if err = errors.Join(err, applied.Err()); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// left are what is left of runs, and how many lines.
func left(t *testing.T, db *store.DB) (ids string, lines int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sql.Tx) error {
		if err := tx.QueryRow(`SELECT count(*) FROM run_line`).Scan(&lines); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT coalesce(group_concat(id, ' '), '') FROM (SELECT id FROM run ORDER BY id)`).Scan(&ids)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, lines
}

func old(before string, step int) sweep.Rows {
	return sweep.Rows{
		Table: "run", Key: []string{"id"}, Old: "started < ?", Args: []any{before},
		With: []sweep.Part{{Table: "run_line", Column: "run"}}, Step: step,
	}
}

func TestSweep(t *testing.T) {
	for _, step := range []int{1, 2, 3, 4, 7, 8, 9, 0} {
		db := runs(t, 8)
		writer := &counting{DB: db, most: 100}
		s := sweep.New(db, writer)
		if err := s.Sweep(t.Context(), old("0005", step)); err != nil {
			t.Fatal(err)
		}
		if ids, lines := left(t, db); ids != "r0005 r0006 r0007" || lines != 6 {
			t.Errorf("in steps of %d: %s with %d lines are left", step, ids, lines)
		}
		if s.Removed["run"] != 5 || step > 0 && writer.batches != (4+step)/step {
			t.Errorf("in steps of %d: %v in %d batches", step, s.Removed, writer.batches)
		}
		writer.batches = 0
		if err := s.Sweep(t.Context(), old("0005", step)); err != nil || writer.batches > 0 {
			t.Errorf("nothing is left to do: %d batches, %v", writer.batches, err)
		}
	}
}

// TestSweepIsCut: what was removed stays so, and the next sweep goes on.
func TestSweepIsCut(t *testing.T) {
	db := runs(t, 20)
	s := sweep.New(db, &counting{DB: db, most: 3})
	if err := s.Sweep(t.Context(), old("0015", 2)); !errors.Is(err, errEnough) || !strings.Contains(err.Error(), "table run") {
		t.Errorf("cut: %v", err)
	}
	if ids, lines := left(t, db); !strings.HasPrefix(ids, "r0006") || lines != 28 {
		t.Errorf("%s with %d lines are left", ids, lines)
	}
	if err := sweep.New(db, db).Sweep(t.Context(), old("0015", 2)); err != nil {
		t.Fatal(err)
	}
	if ids, lines := left(t, db); !strings.HasPrefix(ids, "r0015") || lines != 10 {
		t.Errorf("after the next: %s with %d lines are left", ids, lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sweep.New(db, db).Sweep(ctx, old("9999", 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestBounds: a table may be looked at up to a key, of several columns too, and what changed since it was looked at stays.
func TestBounds(t *testing.T) {
	db := runs(t, 6)
	lines := sweep.Rows{Table: "run_line", Key: []string{"run", "number"}, Until: []any{"r0002", 0}, Old: "true", Step: 2}
	if err := sweep.New(db, db).Sweep(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	if _, n := left(t, db); n != 7 {
		t.Errorf("up to r0002 0: %d lines are left, want 7", n)
	}
	s := sweep.New(db, db)
	s.Writer = rival{db}
	if err := s.Sweep(t.Context(), old("0003", 0)); err != nil {
		t.Fatal(err)
	}
	if ids, _ := left(t, db); ids != "r0001 r0003 r0004 r0005" {
		t.Errorf("r0001 was started again in between, and %s are left", ids)
	}
}

// rival is a Writer before which somebody changes a row.
type rival struct{ *store.DB }

func (r rival) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	if _, err := r.DB.Write(ctx, store.Batch{Actor: "test", Reason: "test", Statements: []store.Statement{
		{SQL: `UPDATE run SET started = '9999' WHERE id = 'r0001'`},
	}}); err != nil {
		return store.Applied{}, err
	}
	return r.DB.Write(ctx, b)
}

func TestBeyond(t *testing.T) {
	db := runs(t, 5)
	s := sweep.New(db, db)
	for kept, want := range map[int]string{0: "0004", 2: "0002", 4: "0000", 5: "", 100: ""} {
		if got, err := s.Beyond(t.Context(), "run", "started", kept); err != nil || got != want {
			t.Errorf("%d are kept: %q, %v", kept, got, err)
		}
	}
	if _, err := s.Beyond(t.Context(), "nothing", "started", 1); err == nil {
		t.Error("no such table")
	}
}
