package quorum

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// grown is a log whose first entries were removed.
func grown(t *testing.T, entries, gone uint64) *boltLog {
	t.Helper()
	l := openTest(t, t.TempDir()).(*boltLog)
	fill(t, l, 1, entries)
	if err := errors.Join(l.SetUint64([]byte("term"), 7), l.DeleteRange(1, gone)); err != nil {
		t.Fatal(err)
	}
	return l
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestCompact(t *testing.T) {
	l := grown(t, 40_000, 39_000)
	if err := os.WriteFile(l.path+".new", []byte("half made"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := sizeOf(t, l.path)
	freed, err := l.compact(1 << 20)
	after := sizeOf(t, l.path)
	if err != nil || after > before/8 || freed != before-after {
		t.Fatalf("%d bytes of %d are left, %d are said to be freed: %v", after, before, freed, err)
	}
	holds(t, l, 39_001, 40_000)
	fill(t, l, 40_001, 40_010)
	if term, err := l.GetUint64([]byte("term")); err != nil || term != 7 {
		t.Errorf("term %d, %v", term, err)
	}
	if _, err := os.Stat(l.path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left behind: %v", err)
	}
	dir := filepath.Dir(l.path)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, dir)
	holds(t, again, 39_001, 40_010)
	if freed, err := again.compact(2 << 20); freed != 0 || err != nil {
		t.Errorf("nothing is free: %d, %v", freed, err)
	}
	if freed, err := grown(t, 5000, 4900).compact(1 << 30); freed != 0 || err != nil {
		t.Errorf("a small file: %d, %v", freed, err)
	}
}

// TestCompactBesideWriters: what is written while the log is copied is in the copy.
func TestCompactBesideWriters(t *testing.T) {
	l := grown(t, 20_000, 19_000)
	next := uint64(20_001)
	for range 5 {
		var writers sync.WaitGroup
		first := next
		writers.Go(func() {
			for ; next < first+300; next++ {
				if err := l.StoreLog(&raft.Log{Index: next, Term: 1, Data: []byte{byte(next)}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		if _, err := l.compact(1); err != nil {
			t.Error(err)
		}
		writers.Wait()
		if err := l.DeleteRange(first-500, first-400); err != nil {
			t.Fatal(err)
		}
		if last, err := l.LastIndex(); err != nil || last != next-1 {
			t.Fatalf("the log ends at %d, want %d: %v", last, next-1, err)
		}
	}
}

// TestCompactWhileTheEndChanges: a copy of a log of which something was removed meanwhile is thrown away.
func TestCompactWhileTheEndChanges(t *testing.T) {
	l := grown(t, 5000, 4000)
	path := l.path + ".new"
	made, err := openBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	c := copying{from: l, to: made}
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(4990, 5000); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.replace(&c), c.close()); !errors.Is(err, errChanged) {
		t.Errorf("got %v", err)
	}
	holds(t, l, 4001, 4989)
}
