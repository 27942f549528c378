package quorum_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// untilItFails writes large rows until a write fails, and returns how many were acknowledged.
func untilItFails(t *testing.T, n *node) (int, error) {
	t.Helper()
	for i := range 20_000 {
		if _, err := n.q.Write(t.Context(), set(fmt.Sprint("row ", i), strings.Repeat("x", 4000))); err != nil {
			return i, err
		}
	}
	t.Fatal("never full")
	return 0, nil
}

func stoppedWith(t *testing.T, n *node, words ...string) {
	t.Helper()
	select {
	case <-n.q.Done():
	case <-time.After(time.Minute):
		t.Fatal("the quorum goes on")
	}
	for _, word := range words {
		if !strings.Contains(n.q.Err().Error(), word) {
			t.Errorf("stopped with %v, want %q", n.q.Err(), word)
		}
	}
	if _, err := n.q.Write(t.Context(), set("more", "1")); err == nil {
		t.Error("a stopped node writes")
	}
	if leading, _, _ := n.q.Leading(); leading {
		t.Error("a stopped node leads")
	}
}

func TestFullDatabaseStopsTheNodeAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "site.db"), MaxPages: 500})
	if err != nil {
		t.Fatal(err)
	}
	q, err := quorum.Open(t.Context(), quorum.Config{ID: "n1", Dir: filepath.Join(dir, "quorum"), DB: db})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &node{dir: dir, db: db, q: q}
	acknowledged, err := untilItFails(t, n)
	if !errors.Is(err, quorum.ErrUncertain) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("the write: %v", err)
	}
	stoppedWith(t, n, "disk is full", "start the node again")
	n.close(t)
	// The write that failed was in the log: with room, it is applied, for it never was refused.
	n = started(t, dir, quorum.Tuning{})
	if got := storetest.Value(t, n.db, 0, `SELECT count(*) FROM setting`); got != fmt.Sprint(acknowledged+1) {
		t.Errorf("%d acknowledged and one uncertain, found %s", acknowledged, got)
	}
}

func TestFullLogStopsTheNodeAndLosesNothing(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("a small disk can be mounted by root on Linux only")
	}
	dir := t.TempDir()
	small := filepath.Join(dir, "quorum")
	if err := os.MkdirAll(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "none", small).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", small).Run() })
	n := started(t, dir, quorum.Tuning{SnapshotBytes: 1 << 40})
	acknowledged, err := untilItFails(t, n)
	if !errors.Is(err, quorum.ErrUncertain) {
		t.Errorf("the write: %v", err)
	}
	stoppedWith(t, n, "no space left", "start the node again")
	if err := n.q.Close(); err != nil {
		t.Logf("closing: %v", err)
	}
	n.db.Close()
	n.q = nil
	if out, err := exec.Command("mount", "-o", "remount,size=64m", small).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	n = started(t, dir, quorum.Tuning{})
	n.write(t, set("after", "1"))
	got := storetest.Value(t, n.db, 0, `SELECT count(*) FROM setting WHERE name LIKE 'row %'`)
	if got != fmt.Sprint(acknowledged) && got != fmt.Sprint(acknowledged+1) {
		t.Errorf("%d acknowledged, found %s", acknowledged, got)
	}
	n.close(t) // before its disk goes
}

func TestSecondProgramIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	started(t, dir, quorum.Tuning{})
	if _, err := start(t, dir, quorum.Tuning{}); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second node on one folder: %v", err)
	}
}

func TestDamagedLogSaysSo(t *testing.T) {
	dir := t.TempDir()
	n := started(t, dir, quorum.Tuning{})
	for i := range 100 {
		n.write(t, set(fmt.Sprint(i), strings.Repeat("x", 1000)))
	}
	n.close(t)
	good, err := os.ReadFile(filepath.Join(dir, "quorum", "log", "log.bolt"))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(good, "\x00")) // the file is larger than what is in it
	for _, from := range []int{0, 5000, used / 3, used * 2 / 3} {
		damaged := filepath.Join(t.TempDir(), "damaged")
		if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), good...)
		for i := from; i < min(from+20_000, len(bad)); i++ {
			bad[i] = 0x5A
		}
		if err := os.WriteFile(filepath.Join(damaged, "quorum", "log", "log.bolt"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := start(t, damaged, quorum.Tuning{})
		if err == nil { // raft meets the damage later
			stoppedWith(t, n, "damaged")
			n.close(t)
			continue
		}
		if !strings.Contains(err.Error(), "log") {
			t.Errorf("damaged from %d on: %v", from, err)
		}
	}
	n = started(t, dir, quorum.Tuning{})
	if got := storetest.Value(t, n.db, 0, `SELECT count(*) FROM setting`); got != "100" {
		t.Errorf("with its own log: %s of 100 rows", got)
	}
}

func TestClosedQuorumRefusesWrites(t *testing.T) {
	n := started(t, t.TempDir(), quorum.Tuning{})
	n.write(t, set("a", "1"))
	if err := n.q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.q.Write(t.Context(), set("a", "2")); !errors.Is(err, quorum.ErrStopped) {
		t.Errorf("write after close: %v", err)
	}
	if err := n.q.Ready(t.Context()); !errors.Is(err, quorum.ErrStopped) {
		t.Errorf("ready after close: %v", err)
	}
	if err := n.q.Barrier(t.Context()); !errors.Is(err, quorum.ErrNotLeader) {
		t.Errorf("barrier after close: %v", err)
	}
	done := make(chan struct{})
	go func() {
		n.q.WhileLeading(context.Background(), func(context.Context, uint64) { t.Error("a closed quorum leads") })
		close(done)
	}()
	<-done
	if got := n.settings(t); got != "a=1/1" {
		t.Errorf("the database was closed with the quorum: %s", got)
	}
	n.db.Close()
	n.q = nil
}

func TestSnapshotThatFailsCostsNothing(t *testing.T) {
	n := started(t, t.TempDir(), quorum.Tuning{TrailingBytes: 1})
	for i := range 20 {
		n.write(t, set("a", fmt.Sprint(i)))
	}
	inTheWay := filepath.Join(n.dir, "site.db-snapshot-out", "x")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.q.Snapshot(); err == nil || !strings.Contains(err.Error(), "site.db-snapshot-out") {
		t.Errorf("snapshot: %v", err)
	}
	n.write(t, set("a", "after"))
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second has nothing new
		if err := n.q.Snapshot(); err != nil {
			t.Error(err)
		}
	}
	n.close(t)
	removeDatabase(t, n.dir)
	n = started(t, n.dir, quorum.Tuning{})
	if got := n.settings(t); got != "a=after/21" {
		t.Errorf("made anew: %s", got)
	}
}

func TestDamagedSnapshotIsNotRestored(t *testing.T) {
	dir := t.TempDir()
	n := started(t, dir, quorum.Tuning{TrailingBytes: 1})
	for i := range 30 {
		n.write(t, set("a", fmt.Sprint(i)))
	}
	if err := n.q.Snapshot(); err != nil {
		t.Fatal(err)
	}
	n.close(t)
	files, err := filepath.Glob(filepath.Join(dir, "quorum", "snapshots", "*", "*", "state.bin"))
	if err != nil || len(files) != 1 {
		t.Fatalf("snapshots %v, %v", files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"a byte":  append(append(append([]byte(nil), good[:5000]...), good[5000]^1), good[5001:]...),
		"cut":     good[:len(good)/2],
		"nothing": nil,
		"another": []byte(strings.Repeat("not a snapshot ", 100)),
	} {
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		// The database is whole: the snapshot is not needed, nor read.
		started(t, dir, quorum.Tuning{}).close(t)
		database, err := os.ReadFile(filepath.Join(dir, "site.db"))
		if err != nil {
			t.Fatal(err)
		}
		removeDatabase(t, dir)
		if _, err := start(t, dir, quorum.Tuning{}); err == nil || !strings.Contains(err.Error(), "snapshot") {
			t.Errorf("%s damaged: started, %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "site.db"), database, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
