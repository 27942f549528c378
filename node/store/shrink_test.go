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

	"thatch/node/store"
)

func size(t *testing.T, path string) int64 {
	t.Helper()
	var sum int64
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// filled is a database of which most was removed again.
func filled(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	large := strings.Repeat("x", 60_000)
	for i := range 300 {
		write(t, db, batch(set(fmt.Sprint("value ", i), large)))
	}
	write(t, db, batch(store.Statement{SQL: `DELETE FROM setting WHERE name NOT IN ('value 7', 'value 299')`}))
	return db
}

func TestShrink(t *testing.T) {
	db := filled(t)
	before := size(t, db.Path())
	digest, err := db.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Others write and read meanwhile.
	var others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			write(t, db, batch(set("busy", "x")))
		}
	})
	freed, err := db.Shrink(t.Context())
	close(stop)
	others.Wait()
	if err != nil || freed < 15<<20 {
		t.Fatalf("%d bytes were given back: %v", freed, err)
	}
	if _, err := db.Shrink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := size(t, db.Path()); after > before/4 || after > 3<<20 {
		t.Errorf("%d bytes of %d are left", after, before)
	}
	write(t, db, batch(store.Statement{SQL: `DELETE FROM setting WHERE name = 'busy'`}))
	if got, err := db.Digest(t.Context()); err != nil || got == digest { // the index differs
		t.Errorf("%s, %v", got, err)
	}
	if got := value(t, db, `SELECT group_concat(name, ' ') || sum(length(value)) FROM (SELECT name, value FROM setting ORDER BY name)`); !strings.HasPrefix(got, "value 299 value 7") {
		t.Errorf("left: %s", got)
	}
	if got := value(t, db, `PRAGMA integrity_check`); got != "ok" {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := filled(t).Shrink(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestShrinkWaitsForSnapshots: while a copy is made, nothing moves pages about.
func TestShrinkBesideSnapshots(t *testing.T) {
	db := filled(t)
	var copying sync.WaitGroup
	dir := t.TempDir()
	for i := range 2 {
		copying.Go(func() {
			path := filepath.Join(dir, fmt.Sprint(i))
			if _, err := db.Snapshot(t.Context(), path); err != nil {
				t.Error(err)
				return
			}
			raw, err := sql.Open("sqlite", path)
			if err != nil {
				t.Error(err)
				return
			}
			defer raw.Close()
			var got string
			if err := raw.QueryRow(`SELECT count(*) || ' ' || (SELECT auto_vacuum FROM pragma_auto_vacuum) FROM setting`).Scan(&got); err != nil || got != "2 2" {
				t.Errorf("the copy: %s, %v", got, err)
			}
		})
		if _, err := db.Shrink(t.Context()); err != nil {
			t.Error(err)
		}
	}
	copying.Wait()
	if freed, err := db.Shrink(t.Context()); err != nil || size(t, db.Path()) > 3<<20 {
		t.Errorf("afterwards: %d bytes freed, %d left, %v", freed, size(t, db.Path()), err)
	}
}

// TestFilesThatCouldNotShrink: a file without the pages that shrinking needs is written anew when it is opened.
func TestFilesThatCouldNotShrink(t *testing.T) {
	db := filled(t)
	path := db.Path()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	if _, err := raw.Exec(`PRAGMA auto_vacuum = NONE; VACUUM`); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := value(t, again, `SELECT auto_vacuum FROM pragma_auto_vacuum`); got != "2" {
		t.Errorf("auto_vacuum is %s", got)
	}
	if got := value(t, again, `SELECT count(*) FROM setting`); got != "2" {
		t.Errorf("%s settings are left", got)
	}
}

// TestThinPages: a file of which rows went here and there is written anew, while others read and write.
func TestThinPages(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 1100 {
		var some []store.Statement
		for k := range 10 {
			some = append(some, set(fmt.Sprintf("%05d", (i*10+k)*7919%11_000), strings.Repeat("x", 300)))
		}
		write(t, db, batch(some...))
	}
	write(t, db, batch(store.Statement{SQL: `DELETE FROM setting WHERE name LIKE '%1' OR name LIKE '%4' OR name LIKE '%7' OR name LIKE '%8'`}))
	content := value(t, db, `SELECT count(*) || ' ' || sum(length(value)) FROM setting`)
	before := size(t, db.Path())
	var others sync.WaitGroup
	others.Go(func() {
		for range 20 {
			write(t, db, batch(set("busy", "x")))
		}
	})
	others.Go(func() {
		for range 20 {
			if got := value(t, db, `SELECT count(*) FROM setting WHERE name LIKE '%2'`); got != "1100" {
				t.Errorf("a reader sees %s", got)
			}
		}
	})
	freed, err := db.Shrink(t.Context())
	others.Wait()
	write(t, db, batch(store.Statement{SQL: `DELETE FROM setting WHERE name = 'busy'`}))
	if _, again := db.Shrink(t.Context()); again != nil { // what readers beside it kept from being folded is folded now
		t.Error(again)
	}
	if after := size(t, db.Path()); err != nil || freed < 1<<20 || after > 3<<20 {
		t.Errorf("%d bytes of %d are left, %d were given back: %v", after, before, freed, err)
	}
	if got := value(t, db, `SELECT count(*) || ' ' || sum(length(value)) FROM setting`); got != content {
		t.Errorf("the content is %s, was %s", got, content)
	}
	if got := value(t, db, `PRAGMA integrity_check`); got != "ok" {
		t.Error(got)
	}
	if got := value(t, db, `SELECT auto_vacuum FROM pragma_auto_vacuum`); got != "2" {
		t.Errorf("auto_vacuum is %s", got)
	}
}
