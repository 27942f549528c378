package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// Two rows always agree, in every state that a reader may see.
func pair(n int) store.Batch {
	return batch(set("left", fmt.Sprint(n)), set("right", fmt.Sprint(n)))
}

func TestSnapshotIsOneStateAndDoesNotHoldUpWrites(t *testing.T) {
	db := storetest.Open(t)
	write(t, db, pair(0))
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := db.Write(t.Context(), pair(n)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	dir := t.TempDir()
	for i := range 5 {
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		index, err := db.Snapshot(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		about, err := store.Inspect(t.Context(), path)
		if err != nil || about.Applied != index || about.Schema != store.SchemaVersion {
			t.Errorf("snapshot of index %d says %+v, %v", index, about, err)
		}
		copied := storetest.OpenAt(t, path)
		if got := value(t, copied, `SELECT value = (SELECT value FROM setting WHERE name = 'right') AND version = ? FROM setting WHERE name = 'left'`, index); got != "1" {
			t.Errorf("snapshot of index %d is no single state", index)
		}
	}
	close(stop)
	writing.Wait()
}

func TestSnapshotEqualsItsDatabase(t *testing.T) {
	db := storetest.Open(t)
	for i := range 50 {
		write(t, db, batch(store.Put(doc(t, document.Update, fmt.Sprint(i%7), fmt.Sprint("body ", i)), "", store.Former{})...))
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if _, err := db.Snapshot(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	sameDigest(t, db, storetest.OpenAt(t, path))
	if _, err := db.Snapshot(t.Context(), path); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a snapshot over another file: %v", err)
	}
}

func TestCancelledSnapshotLeavesNothing(t *testing.T) {
	db := storetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "copy.db")
	if _, err := db.Snapshot(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	write(t, db, pair(1))
}

func TestRestoreSwapsTheFileUnderReadersAndWriters(t *testing.T) {
	db := storetest.Open(t)
	write(t, db, batch(set("gone", "1")))
	other := storetest.Open(t)
	for n := range 10 {
		write(t, other, pair(n))
	}
	dir := filepath.Dir(db.Path())
	path := filepath.Join(dir, "new.db")
	if _, err := other.Snapshot(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	watch := db.Watch("never")
	<-watch.C
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := db.View(t.Context(), func(tx *sql.Tx) error {
					var n int
					return tx.QueryRow(`SELECT count(*) FROM setting`).Scan(&n)
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	waiting := make(chan error, 1)
	go func() {
		waiting <- db.View(store.AtLeast(t.Context(), 10), func(*sql.Tx) error { return nil })
	}()
	if err := db.Restore(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("a read that waited for an index of the snapshot: %v", err)
	}
	close(stop)
	reading.Wait()
	if !told(watch) {
		t.Error("a watch was not told of the restore")
	}
	sameDigest(t, other, db)
	if applied := write(t, db, pair(10)); applied.Index != 11 {
		t.Errorf("after the restore, index %d was written", applied.Index)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "new.db*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRestoreEndsAReadThatWouldNotEnd(t *testing.T) {
	db, other := storetest.Open(t), storetest.Open(t)
	path := filepath.Join(filepath.Dir(db.Path()), "new.db")
	if _, err := other.Snapshot(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	inside, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.View(t.Context(), func(tx *sql.Tx) error {
			close(inside)
			for {
				var n int
				if err := tx.QueryRow(`SELECT count(*) FROM setting`).Scan(&n); err != nil {
					return err
				}
			}
		})
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // shorter than the grace that a read is given
	defer cancel()
	if err := db.Restore(ctx, path); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrReplaced) {
		t.Errorf("the endless read ended with %v", err)
	}
}

func TestRestoreRefusesWhatIsNoDatabase(t *testing.T) {
	db := storetest.Open(t)
	write(t, db, pair(1))
	dir := filepath.Dir(db.Path())
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("garbage ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	if _, err := db.Snapshot(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`UPDATE applied SET schema = 99`); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	for path, says := range map[string]string{garbage: "no database", newer: "version 99", filepath.Join(dir, "missing.db"): "missing.db"} {
		if err := db.Restore(t.Context(), path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", path, err, says)
		}
	}
	if write(t, db, pair(2)); setting(t, db, "left") != "2" {
		t.Error("the database does not go on")
	}
}

func sameDigest(t testing.TB, a, b *store.DB) {
	t.Helper()
	want, err := a.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Errorf("table %s: %d and %d rows, digests differ", want[i].Name, want[i].Rows, got[i].Rows)
		}
	}
}

// However a log is cut into transactions, and however often parts of it come again, the database is the same.
func TestAnyGroupingOfALogMakesTheSameDatabase(t *testing.T) {
	one := storetest.Open(t)
	var log []store.Entry
	for i := range 60 {
		var b store.Batch
		switch i % 6 {
		case 0:
			b = batch(store.Put(doc(t, document.Update, fmt.Sprint(i%4), fmt.Sprint("body ", i), "de"), "", store.Former{Absent: i%3 == 0})...)
		case 1:
			b = batch(set("a", fmt.Sprint(i)), store.Statement{SQL: `DELETE FROM setting WHERE name = 'a' AND version > 3`, Want: 1, Group: 1})
		case 2:
			b = batch(store.Remove(document.Update, fmt.Sprint(i%5), store.Former{})...)
		case 3:
			b = batch(set("b", "1"), store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES ('b', '', 1)`})
		case 4:
			b = batch(store.Statement{SQL: `INSERT INTO pin (policy, digest) VALUES (?, ?) ON CONFLICT DO NOTHING`, Args: []any{store.Index{}, []byte{byte(i)}}})
		case 5:
			b = batch(set("c", "1"))
			b.Request = fmt.Sprint("request ", i%4)
		}
		log = append(log, store.Entry{Index: uint64(2*i + 3), Batch: b})
	}
	var answers []store.Applied
	for _, entry := range log {
		answer, err := one.ApplyAt([]store.Entry{entry})
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer...)
	}
	want, err := one.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "site.db")})
		if err != nil {
			rt.Fatal(err)
		}
		defer db.Close()
		for at := 0; at < len(log); {
			from := max(0, at-rapid.IntRange(0, 3).Draw(rt, "again"))
			to := min(len(log), at+rapid.IntRange(1, 20).Draw(rt, "entries"))
			got, err := db.ApplyAt(log[from:to])
			if err != nil {
				rt.Fatal(err)
			}
			for i := at; i < to; i++ {
				if fmt.Sprint(got[i-from]) != fmt.Sprint(answers[i]) {
					rt.Fatalf("entry %d was answered %+v, alone %+v", i, got[i-from], answers[i])
				}
			}
			at = to
		}
		if got, err := db.Digest(t.Context()); err != nil || got != want {
			rt.Fatalf("digest %s, want %s (%v)", got, want, err)
		}
	})
}

func TestDigestSeesEveryValue(t *testing.T) {
	digest := func(db *store.DB) string {
		t.Helper()
		d, err := db.Digest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	seen := map[string]string{}
	for _, v := range []any{nil, int64(0), int64(1), 0.0, 1.0, "", "1", []byte{}, []byte("1"), "a\x00b"} {
		db := storetest.Open(t)
		write(t, db, batch(store.Statement{SQL: `CREATE TABLE v (v)`}, store.Statement{SQL: `INSERT INTO v VALUES (?)`, Args: []any{v}}))
		d := digest(db)
		if former, ok := seen[d]; ok {
			t.Errorf("%T %v and %s have one digest", v, v, former)
		}
		seen[d] = fmt.Sprintf("%T %v", v, v)
	}
}
