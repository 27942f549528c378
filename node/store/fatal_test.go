package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"thatch/node/store"
	"thatch/node/store/storetest"
)

// fill writes until the database stops, and returns the error and the number of writes acknowledged.
func fill(t *testing.T, db *store.DB) (int, error) {
	t.Helper()
	for n := 0; n < 100_000; n++ {
		if _, err := db.Write(t.Context(), batch(set(fmt.Sprint("row ", n), strings.Repeat("x", 4000)))); err != nil {
			return n, err
		}
	}
	t.Fatal("never full")
	return 0, nil
}

// checkFull holds a database that ran full against what it acknowledged.
func checkFull(t *testing.T, db *store.DB, acknowledged int, err error) {
	t.Helper()
	var fatal *store.Fatal
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), db.Path()) {
		t.Errorf("full: %v", err)
	}
	select {
	case <-db.Failed():
	default:
		t.Error("nobody is told")
	}
	if !errors.Is(db.Err(), fatal) {
		t.Errorf("kept: %v", db.Err())
	}
	// A smaller write might fit; it must not pass the one that did not.
	if _, again := db.Write(t.Context(), batch(set("small", "1"))); !errors.As(again, &fatal) {
		t.Errorf("a write after: %v", again)
	}
	if _, again := db.ApplyAt([]store.Entry{{Index: 1 << 40, Batch: batch(set("small", "1"))}}); !errors.As(again, &fatal) {
		t.Errorf("an entry after: %v", again)
	}
	if db.Applied() != uint64(acknowledged) || value(t, db, `SELECT count(*) FROM setting`) != fmt.Sprint(acknowledged) {
		t.Errorf("%d acknowledged, %d applied, read %s", acknowledged, db.Applied(), value(t, db, `SELECT count(*) FROM setting`))
	}
}

func TestFullFileStopsWritesAndLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	db, err := store.Open(t.Context(), store.Config{Path: path, MaxPages: 600})
	if err != nil {
		t.Fatal(err)
	}
	acknowledged, err := fill(t, db)
	checkFull(t, db, acknowledged, err)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	// With room again, it goes on where it stopped.
	db = storetest.OpenAt(t, path)
	if applied := write(t, db, batch(set("more", "1"))); applied.Index != uint64(acknowledged)+1 {
		t.Errorf("%d acknowledged, then index %d", acknowledged, applied.Index)
	}
}

func TestSyncSaysWhetherItIsOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	db, err := store.Open(t.Context(), store.Config{Path: path, MaxPages: 600})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // also when there is nothing to write
		if err := db.Sync(); err != nil || db.Err() != nil {
			t.Fatal(err, db.Err())
		}
	}
	write(t, db, batch(set("a", "1")))
	if err := db.Sync(); err != nil {
		t.Fatal(err)
	}
	_, full := fill(t, db)
	if err := db.Sync(); !errors.Is(err, full) {
		t.Errorf("after it was full: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Sync(); err == nil {
		t.Error("a closed database is synced")
	}
}

func TestFullDiskAtTheFirstStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	var fatal *store.Fatal
	if _, err := store.Open(t.Context(), store.Config{Path: path, MaxPages: 4}); !errors.As(err, &fatal) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("no room for the tables: %v", err)
	}
	db := storetest.OpenAt(t, path) // with room, as if nothing had been
	write(t, db, batch(set("a", "1")))
}

func TestFullDiskStopsWritesAndLosesNothing(t *testing.T) {
	dir := smallDisk(t, "3m")
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	acknowledged, err := fill(t, db)
	checkFull(t, db, acknowledged, err)
	if err := db.Close(); err != nil && !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
	if err := exec.Command("mount", "-o", "remount,size=30m", dir).Run(); err != nil {
		t.Fatal(err)
	}
	db = storetest.OpenAt(t, filepath.Join(dir, "site.db"))
	if applied := write(t, db, batch(set("more", "1"))); applied.Index != uint64(acknowledged)+1 {
		t.Errorf("%d acknowledged, then index %d", acknowledged, applied.Index)
	}
}

// smallDisk mounts a disk of a size, where that is allowed.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("a small disk can be mounted by root on Linux only")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "none", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}

func TestDamagedFileSaysSo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.db")
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		write(t, db, batch(set(fmt.Sprint(i), strings.Repeat("x", 500))))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(from, to int) {
		bad := append([]byte(nil), good...)
		for i := from; i < to; i++ {
			bad[i] = 0xA5
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(0, 4096)
	var fatal *store.Fatal
	if _, err := store.Open(t.Context(), store.Config{Path: path}); !errors.As(err, &fatal) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("first page: %v", err)
	}
	damage(len(good)*3/4, len(good))
	db, err = store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 1000; i++ {
		_, err = db.Write(t.Context(), batch(set(fmt.Sprint(i), "new")))
	}
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("pages within: %v", err)
	}
	db.Close()
}

func TestForeignFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	make := func(name string, statements ...string) string {
		path := filepath.Join(dir, name)
		raw, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		for _, text := range statements {
			if _, err := raw.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is a letter to my bank\n", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		make("other.db", `CREATE TABLE songs (name)`):               "no database of this program",
		make("empty.db", `CREATE TABLE applied (one, idx, schema)`): "no database of this program",
		make("newer.db", `CREATE TABLE applied (one, idx, schema)`, `INSERT INTO applied VALUES (1, 5, `+fmt.Sprint(store.SchemaVersion+1)+`)`): "newer version",
		text:                                     "file is not a database",
		filepath.Join(dir, "nowhere", "site.db"): "cannot be written",
	} {
		_, err := store.Open(t.Context(), store.Config{Path: path})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, says)
		}
	}
}
