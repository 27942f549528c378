package quorum_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/node/quorum"
	"thatch/node/store"
)

func set(name, value string) store.Batch {
	return store.Batch{Actor: "test", Reason: "a test", At: time.Unix(1_700_000_000, 0), Statements: []store.Statement{{
		SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = version + 1`,
		Args: []any{name, value},
	}}}
}

// node is one node of a test, with what it needs to be started again.
type node struct {
	dir string
	db  *store.DB
	q   *quorum.Quorum
}

func start(t testing.TB, dir string, tuning quorum.Tuning) (*node, error) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		return nil, err
	}
	q, err := quorum.Open(t.Context(), quorum.Config{ID: "n1", Dir: filepath.Join(dir, "quorum"), DB: db, Tuning: tuning})
	if err != nil {
		db.Close()
		return nil, err
	}
	n := &node{dir: dir, db: db, q: q}
	t.Cleanup(func() { n.close(t) })
	return n, nil
}

func started(t testing.TB, dir string, tuning quorum.Tuning) *node {
	t.Helper()
	n, err := start(t, dir, tuning)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.q.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) close(t testing.TB) {
	if n.q == nil {
		return
	}
	if err := n.q.Close(); err != nil {
		t.Error(err)
	}
	if err := n.db.Close(); err != nil {
		t.Error(err)
	}
	n.q = nil
}

func (n *node) write(t testing.TB, b store.Batch) store.Applied {
	t.Helper()
	applied, err := n.q.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func (n *node) settings(t testing.TB) string {
	t.Helper()
	var all sql.NullString
	err := n.db.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT group_concat(name || '=' || value || '/' || version, ' ') FROM (SELECT * FROM setting ORDER BY name)`).Scan(&all)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String
}

func TestOneNodeWritesAndRestarts(t *testing.T) {
	dir := t.TempDir()
	n := started(t, dir, quorum.Tuning{})
	first := n.write(t, set("a", "1"))
	second := n.write(t, set("a", "2"))
	if second.Index <= first.Index || n.db.Applied() != second.Index {
		t.Errorf("indexes %d, %d, applied %d", first.Index, second.Index, n.db.Applied())
	}
	n.close(t)
	n = started(t, dir, quorum.Tuning{})
	if got := n.settings(t); got != "a=2/2" {
		t.Errorf("after restart: %s", got)
	}
	n.write(t, set("a", "3"))
	if got := n.settings(t); got != "a=3/3" {
		t.Errorf("written after restart: %s", got)
	}
}

func TestDatabaseIsMadeAnewFromTheLog(t *testing.T) {
	dir := t.TempDir()
	n := started(t, dir, quorum.Tuning{})
	n.write(t, set("a", "1"))
	n.write(t, set("b", "1"))
	n.close(t)
	removeDatabase(t, dir)
	n = started(t, dir, quorum.Tuning{})
	if got := n.settings(t); got != "a=1/1 b=1/1" {
		t.Errorf("made anew: %s", got)
	}
}

func TestDatabaseIsMadeAnewFromTheSnapshot(t *testing.T) {
	dir := t.TempDir()
	tuning := quorum.Tuning{TrailingBytes: 1}
	n := started(t, dir, tuning)
	for i := range 30 {
		n.write(t, set("a", fmt.Sprint(i)))
	}
	if err := n.q.Snapshot(); err != nil {
		t.Fatal(err)
	}
	n.write(t, set("b", "1"))
	n.close(t)
	removeDatabase(t, dir)
	n = started(t, dir, tuning)
	if got := n.settings(t); got != "a=29/30 b=1/1" {
		t.Errorf("made anew: %s", got)
	}
	n.close(t)

	// Without the snapshot there is nothing to make it from: the node says so instead of starting with less.
	removeDatabase(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "quorum", "snapshots")); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, dir, tuning); err == nil || !strings.Contains(err.Error(), "no snapshot to restore") {
		t.Errorf("started without database and snapshot: %v", err)
	}
}

func TestLostLogIsNoticed(t *testing.T) {
	dir := t.TempDir()
	n := started(t, dir, quorum.Tuning{})
	n.write(t, set("a", "1"))
	n.close(t)
	if err := os.RemoveAll(filepath.Join(dir, "quorum")); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, dir, quorum.Tuning{}); err == nil || !strings.Contains(err.Error(), "ahead of the log") {
		t.Errorf("started without its log: %v", err)
	}
}

func removeDatabase(t testing.TB, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "site.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database in %s: %v", dir, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}
