package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/node/store"
	"thatch/node/store/storetest"
)

func set(name, value string) store.Statement {
	return store.Statement{
		SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = version + 1`,
		Args: []any{name, value},
	}
}

func batch(statements ...store.Statement) store.Batch {
	return store.Batch{Actor: "test", Reason: "a test", At: time.Unix(1_700_000_000, 0), Statements: statements}
}

func write(t testing.TB, w store.Writer, b store.Batch) store.Applied {
	t.Helper()
	applied, err := w.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func value(t testing.TB, r store.Reader, query string, args ...any) string {
	t.Helper()
	var got sql.NullString
	err := r.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(query, args...).Scan(&got)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return got.String
}

func setting(t testing.TB, r store.Reader, name string) string {
	t.Helper()
	return value(t, r, `SELECT value FROM setting WHERE name = ?`, name)
}

func TestWriteAnswersWithRisingIndexes(t *testing.T) {
	db := storetest.Open(t)
	for want := uint64(1); want <= 3; want++ {
		if got := write(t, db, batch(set("a", fmt.Sprint(want)))); got.Index != want || got.Err() != nil {
			t.Fatalf("write %d: %+v", want, got)
		}
	}
	if got := setting(t, db, "a"); got != "3" {
		t.Errorf("setting is %q", got)
	}
}

func TestGroupsAreUndoneTogetherAndAlone(t *testing.T) {
	db := storetest.Open(t)
	write(t, db, batch(set("kept", "1")))
	inGroup := func(n int, s store.Statement) store.Statement { s.Group = n; return s }
	missing := store.Statement{SQL: `UPDATE setting SET value = 'x' WHERE name = 'none'`, Want: 1}
	unique := store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES ('kept', '', 1)`}
	broken := store.Statement{SQL: `INSERT INTO nowhere (name) VALUES (?)`, Args: []any{"x"}}
	short := store.Statement{SQL: `UPDATE setting SET nothing = 1`}
	some := store.Statement{SQL: `UPDATE setting SET value = 'y' WHERE name = 'kept'`, Want: store.NoRows}
	applied := write(t, db, batch(
		inGroup(0, set("a", "1")), inGroup(0, missing), inGroup(0, set("b", "1")),
		inGroup(1, set("c", "1")),
		inGroup(2, unique),
		inGroup(3, set("d", "1")), inGroup(3, unique),
		inGroup(4, broken),
		inGroup(5, short),
		inGroup(6, set("e", "1")), inGroup(6, some),
		inGroup(7, some),
	))
	for name, want := range map[string]string{"a": "none", "b": "none", "c": "1", "d": "none", "e": "none", "kept": "1"} {
		if got := setting(t, db, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var got []string
	for _, c := range applied.Conflicts {
		got = append(got, fmt.Sprintf("%d/%d %v %v", c.Group, c.Statement,
			errors.Is(c.Err(1), store.ErrConflict), errors.Is(c.Err(1), store.ErrStatement)))
	}
	want := "0/1 true false|2/4 true false|3/6 true false|4/7 false true|5/8 false true|6/10 true false|7/11 true false"
	if strings.Join(got, "|") != want {
		t.Errorf("conflicts\n%s, want\n%s", strings.Join(got, "|"), want)
	}
	if !errors.Is(applied.Err(), store.ErrConflict) {
		t.Errorf("answer's error is %v", applied.Err())
	}
}

// A single statement that touched other rows than it had to is undone, whether others share its transaction or not.
func TestSingleStatementIsUndone(t *testing.T) {
	db := storetest.Open(t)
	write(t, db, batch(set("a", "1"), set("b", "1")))
	both := store.Statement{SQL: `UPDATE setting SET value = 'x'`, Want: 1}
	if applied := write(t, db, batch(both)); len(applied.Conflicts) != 1 || applied.Conflicts[0].Got != 2 {
		t.Errorf("alone: %+v", applied)
	}
	if got := setting(t, db, "a") + setting(t, db, "b"); got != "11" {
		t.Errorf("applied all the same: %s", got)
	}
}

func TestReplayIsHarmless(t *testing.T) {
	db := storetest.Open(t)
	add := store.Statement{
		SQL: `INSERT INTO setting (name, value, version) VALUES ('n', '', 1) ON CONFLICT (name) DO UPDATE SET version = version + 1`,
	}
	var log []store.Entry
	for index := uint64(3); index < 9; index += 2 {
		log = append(log, store.Entry{Index: index, Batch: batch(add)})
	}
	for range 3 {
		if _, err := db.ApplyAt(log); err != nil {
			t.Fatal(err)
		}
	}
	more := append(log[1:], store.Entry{Index: 10, Batch: batch(add)})
	if _, err := db.ApplyAt(more); err != nil {
		t.Fatal(err)
	}
	if got := value(t, db, `SELECT version FROM setting`); got != "4" || db.Applied() != 10 {
		t.Errorf("applied %s times up to %d", got, db.Applied())
	}
}

func TestRequestsAreAppliedOnce(t *testing.T) {
	db := storetest.Open(t)
	ask := func(id string, statements ...store.Statement) store.Applied {
		b := batch(statements...)
		b.Request = id
		return write(t, db, b)
	}
	guarded := store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES ('g', '', 1)`, Group: 1}
	first := ask("r1", set("a", "1"), guarded)
	again := ask("r1", set("a", "2"), guarded)
	if !again.Repeated || again.Index != first.Index || again.Err() != nil || setting(t, db, "a") != "1" {
		t.Errorf("first %+v, again %+v, a is %s", first, again, setting(t, db, "a"))
	}
	// A part was undone: whoever asks again hears of it again.
	ask("r2", set("b", "1"), guarded)
	if half := ask("r2", set("b", "2"), guarded); !half.Repeated || len(half.Conflicts) != 1 || half.Conflicts[0].Group != 1 {
		t.Errorf("half: %+v", half)
	}
	// All was undone: it may be tried again.
	if none := ask("r3", guarded); none.Repeated || none.Err() == nil {
		t.Errorf("none: %+v", none)
	}
	write(t, db, batch(store.Statement{SQL: `DELETE FROM setting WHERE name = 'g'`}))
	if now := ask("r3", guarded); now.Repeated || now.Err() != nil {
		t.Errorf("now: %+v", now)
	}
}

func TestOldRequestsAreForgotten(t *testing.T) {
	db := storetest.Open(t)
	for _, index := range []uint64{5, 6, store.RequestsKept + 6} {
		b := batch(set("a", "1"))
		b.Request = fmt.Sprint("r", index)
		if _, err := db.ApplyAt([]store.Entry{{Index: index, Batch: b}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := value(t, db, `SELECT group_concat(idx) FROM (SELECT idx FROM request ORDER BY idx)`); got != "6,100006" {
		t.Errorf("remembered: %s", got)
	}
}

func TestViewWaitsForItsIndex(t *testing.T) {
	db := storetest.Open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := db.View(store.AtLeast(ctx, 1), func(*sql.Tx) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("index 1 is not applied, view says %v", err)
	}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			err := db.View(store.AtLeast(t.Context(), 2), func(tx *sql.Tx) error {
				var n int
				if err := tx.QueryRow(`SELECT count(*) FROM setting`).Scan(&n); err != nil || n != 2 {
					return fmt.Errorf("%d settings, %w", n, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	write(t, db, batch(set("a", "1")))
	write(t, db, batch(set("b", "1")))
	readers.Wait()
}

func TestViewSeesOneState(t *testing.T) {
	db := storetest.Open(t)
	err := db.View(t.Context(), func(tx *sql.Tx) error {
		count := func() (n int) {
			if err := tx.QueryRow(`SELECT count(*) FROM setting`).Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		before := count()
		write(t, db, batch(set("a", "1")))
		if after := count(); before != after {
			t.Errorf("%d settings, then %d", before, after)
		}
		if _, err := tx.Exec(`DELETE FROM setting`); err == nil {
			t.Error("a reader may write")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyWritersShareTheFile(t *testing.T) {
	db := storetest.Open(t)
	var writers sync.WaitGroup
	seen := make([]map[uint64]bool, 16)
	for w := range seen {
		seen[w] = map[uint64]bool{}
		writers.Go(func() {
			for i := range 50 {
				applied, err := db.Write(t.Context(), batch(set(fmt.Sprintf("%d.%d", w, i), "1")))
				if err != nil {
					t.Error(err)
					return
				}
				seen[w][applied.Index] = true
			}
		})
	}
	writers.Wait()
	all := map[uint64]bool{}
	for _, one := range seen {
		for index := range one {
			all[index] = true
		}
	}
	if len(all) != 800 || db.Applied() != 800 || value(t, db, `SELECT count(*) FROM setting`) != "800" {
		t.Errorf("%d indexes, %d applied", len(all), db.Applied())
	}
}

func TestReopenedFileStandsWhereItStood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a dir?#%", "site.db")
	if _, err := store.Open(t.Context(), store.Config{Path: path}); err == nil {
		t.Fatal("opened in a folder that is not there")
	}
	name := "odd ?#%& name.db"
	if runtime.GOOS == "windows" { // where a question mark cannot be in a name
		name = "odd #%& name.db"
	}
	path = filepath.Join(t.TempDir(), name)
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	write(t, db, batch(set("a", "1")))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Write(t.Context(), batch(set("a", "2"))); !errors.Is(err, store.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if err := db.View(t.Context(), func(*sql.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("view after close: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	db = storetest.OpenAt(t, path)
	if db.Applied() != 1 || setting(t, db, "a") != "1" || db.Schema() != store.SchemaVersion {
		t.Errorf("reopened at %d", db.Applied())
	}
}
