package quorum

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

// TestLogOverManyFiles runs the log over many files, opened again, and cut at both ends.
func TestLogOverManyFiles(t *testing.T) {
	dir := t.TempDir()
	open := func() logStore {
		t.Helper()
		l, err := openWAL(dir, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	check := func(l logStore, first, last uint64) {
		t.Helper()
		f, err1 := l.FirstIndex()
		n, err2 := l.LastIndex()
		if err1 != nil || err2 != nil || f != first || n != last {
			t.Fatalf("%d to %d, %v, %v; want %d to %d", f, n, err1, err2, first, last)
		}
		for i := first; i <= last; i++ {
			var entry raft.Log
			if err := l.GetLog(i, &entry); err != nil || string(entry.Data[:len(fmt.Sprint(i))]) != fmt.Sprint(i) {
				t.Fatalf("entry %d: %v", i, err)
			}
		}
	}
	l := open()
	for i := uint64(1); i <= 300; i++ {
		data := append([]byte(fmt.Sprint(i)), make([]byte, 1000)...)
		if err := l.StoreLog(&raft.Log{Index: i, Term: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.SetUint64([]byte("term"), 7); err != nil {
		t.Fatal(err)
	}
	check(l, 1, 300)
	if err := l.DeleteRange(1, 150); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(291, 300); err != nil {
		t.Fatal(err)
	}
	check(l, 151, 290)
	for last := uint64(290); last < 400; last += 50 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open()
		check(l, 151, last)
		for i := last + 1; i <= last+50; i++ {
			if err := l.StoreLog(&raft.Log{Index: i, Term: 2, Data: append([]byte(fmt.Sprint(i)), make([]byte, 1000)...)}); err != nil {
				t.Fatal(err)
			}
		}
		check(l, 151, last+50)
		if last == 340 { // within a finished file, and within one that was cut before
			for _, cut := range []uint64{325, 270} {
				if err := l.DeleteRange(cut+1, last+50); err != nil {
					t.Fatal(err)
				}
				check(l, 151, cut)
				last = cut - 50
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open()
			check(l, 151, 270)
			break
		}
	}
	if term, err := l.GetUint64([]byte("term")); err != nil || term != 7 {
		t.Errorf("term %d, %v", term, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
