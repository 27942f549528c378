package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func openTest(t testing.TB, dir string) logStore {
	t.Helper()
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func fill(t testing.TB, l logStore, first, last uint64) {
	t.Helper()
	var entries []*raft.Log
	for i := first; i <= last; i++ {
		entries = append(entries, &raft.Log{Index: i, Term: 3, Data: []byte(fmt.Sprint("entry ", i))})
	}
	if err := l.StoreLogs(entries); err != nil {
		t.Fatal(err)
	}
}

// holds fails the test unless the log holds exactly the entries from first to last.
func holds(t testing.TB, l logStore, first, last uint64) {
	t.Helper()
	from, err1 := l.FirstIndex()
	to, err2 := l.LastIndex()
	if err1 != nil || err2 != nil || from != first || to != last {
		t.Fatalf("%d to %d, want %d to %d, %v %v", from, to, first, last, err1, err2)
	}
	var entry raft.Log
	for i := max(first, 1); i <= last; i++ {
		if err := l.GetLog(i, &entry); err != nil || entry.Index != i || string(entry.Data) != fmt.Sprint("entry ", i) {
			t.Fatalf("entry %d: %+v, %v", i, entry, err)
		}
	}
	for _, i := range []uint64{first - 1, last + 1} {
		if err := l.GetLog(i, &entry); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry %d, beyond the log: %v", i, err)
		}
	}
}

func TestLogIsCutAtBothEnds(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, dir)
	holds(t, l, 0, 0)
	if err := l.DeleteRange(1, 100); err != nil {
		t.Fatal(err)
	}
	const many = 3*deleteAtOnce + 10
	fill(t, l, 1, many)
	for _, c := range []struct{ from, to, first, last uint64 }{
		{1, 10, 11, many},
		{0, 20, 21, many},
		{many - 4, many, 21, many - 5},
		{many - 9, many + 100, 21, many - 10},
		{21, 2*deleteAtOnce + 50, 2*deleteAtOnce + 51, many - 10},
		{many, many + 5, 2*deleteAtOnce + 51, many - 10},
		{5, 10, 2*deleteAtOnce + 51, many - 10},
		{0, 1 << 40, 0, 0},
	} {
		if err := l.DeleteRange(c.from, c.to); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openTest(t, dir)
		if c.last > 0 {
			holds(t, l, c.first, c.last)
		}
	}
	holds(t, l, 0, 0)
	fill(t, l, 1000, 1010)
	holds(t, l, 1000, 1010)
}

func TestEntriesBehindAGapTakeThePlaceOfTheLog(t *testing.T) {
	l := &guardedLog{logStore: openTest(t, t.TempDir()), failed: func(err error) { t.Error(err) }}
	fill(t, l, 5, 9)
	fill(t, l, 10, 12)
	holds(t, l, 5, 12)
	fill(t, l, 14, 20)
	holds(t, l, 14, 20)
}

func TestTermAndVoteStay(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, dir)
	if n, err := l.GetUint64([]byte("term")); n != 0 || err != nil {
		t.Errorf("no term: %d, %v", n, err)
	}
	if v, err := l.Get([]byte("vote")); len(v) != 0 || err != nil {
		t.Errorf("no vote: %q, %v", v, err)
	}
	if err := errors.Join(l.SetUint64([]byte("term"), 1<<63), l.Set([]byte("vote"), []byte("n1"))); err != nil {
		t.Fatal(err)
	}
	if _, err := l.GetUint64([]byte("vote")); err == nil {
		t.Error("a vote is a number")
	}
	l.Close()
	l = openTest(t, dir)
	n, err := l.GetUint64([]byte("term"))
	v, other := l.Get([]byte("vote"))
	if n != 1<<63 || string(v) != "n1" || err != nil || other != nil {
		t.Errorf("term %d, vote %q, %v %v", n, v, err, other)
	}
}

func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	l := openTest(t, t.TempDir())
	for i, entry := range []raft.Log{
		{Type: raft.LogNoop},
		{Term: 1 << 60, Type: raft.LogConfiguration, Data: []byte{0}, AppendedAt: time.Unix(0, 1_700_000_000_123_456_789)},
		{Term: 2, Data: bytes.Repeat([]byte("x"), 1<<20), Extensions: []byte("ext")},
		{Term: 2, Extensions: []byte("ext")},
	} {
		entry.Index = uint64(i + 1)
		var got raft.Log
		if err := errors.Join(l.StoreLog(&entry), l.GetLog(entry.Index, &got)); err != nil {
			t.Fatal(err)
		}
		if got.Data = append([]byte(nil), got.Data...); !reflect.DeepEqual(got, entry) {
			t.Errorf("entry %d: %.100v became %.100v", i, entry, got)
		}
	}
}

// Entries of all sizes come back whole, take the place of others, and go whole.
func TestLargeEntriesStandInPieces(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, dir)
	sizes := []int{0, 1, piece - entryHead - 1, piece - entryHead, piece - entryHead + 1, 2*piece - entryHead, 2*piece - entryHead + 1, 1 << 20, 3 * piece, 5}
	data := func(index uint64, size int) []byte {
		return bytes.Repeat([]byte{byte(index), byte(size), 7}, size/3+1)[:size]
	}
	same := func(index uint64, size int) {
		t.Helper()
		var got raft.Log
		if err := l.GetLog(index, &got); err != nil || got.Index != index || !bytes.Equal(got.Data, data(index, size)) {
			t.Fatalf("entry %d of %d bytes: %d bytes, %v", index, size, len(got.Data), err)
		}
	}
	for shift := range sizes { // every size takes the place of every other
		var entries []*raft.Log
		for i := range sizes {
			index := uint64(i + 1)
			entries = append(entries, &raft.Log{Index: index, Term: 1, Data: data(index, sizes[(i+shift)%len(sizes)])})
		}
		if err := l.StoreLogs(entries); err != nil {
			t.Fatal(err)
		}
		if shift%3 == 2 {
			l.Close()
			l = openTest(t, dir)
		}
		for i := range sizes {
			same(uint64(i+1), sizes[(i+shift)%len(sizes)])
		}
		if last, err := l.LastIndex(); last != uint64(len(sizes)) || err != nil {
			t.Fatalf("the last is %d, %v", last, err)
		}
	}
	if err := l.DeleteRange(1, 3); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(7, 10); err != nil {
		t.Fatal(err)
	}
	first, err := l.FirstIndex()
	last, other := l.LastIndex()
	if first != 4 || last != 6 || err != nil || other != nil {
		t.Fatalf("%d to %d, %v %v", first, last, err, other)
	}
	for index := uint64(4); index <= 6; index++ {
		same(index, sizes[(int(index)-1+len(sizes)-1)%len(sizes)])
	}
	if err := l.DeleteRange(4, 6); err != nil {
		t.Fatal(err)
	}
	if first, err := l.FirstIndex(); first != 0 || err != nil {
		t.Fatalf("something of entry %d is left, %v", first, err)
	}
}

// bbolt writes all values of a page again with each that is added to it.
func TestLargeEntriesAreWrittenOnce(t *testing.T) {
	l := openTest(t, t.TempDir()).(*boltLog)
	allocated := func() int64 { stats := l.db.Stats(); return stats.TxStats.GetPageAlloc() }
	before := allocated()
	const size, count = 900 << 10, 12
	for i := range count {
		if err := l.StoreLog(&raft.Log{Index: uint64(i + 1), Data: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	if written := allocated() - before; written > size*count*5/4 {
		t.Errorf("%d bytes were written for %d", written, size*count)
	}
}

func TestEveryDamagedBitIsNoticed(t *testing.T) {
	value := encodeEntry(&raft.Log{Term: 7, Data: []byte("some data"), Extensions: []byte("ext")})
	var entry raft.Log
	for bit := range 8 * len(value) {
		value[bit/8] ^= 1 << (bit % 8)
		if err := decodeEntry(value, &entry); !errors.Is(err, errDamaged) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		value[bit/8] ^= 1 << (bit % 8)
	}
	for cut := range value {
		if err := decodeEntry(value[:cut], &entry); !errors.Is(err, errDamaged) {
			t.Fatalf("cut to %d bytes: %v", cut, err)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(encodeEntry(&raft.Log{Term: 7, Data: []byte("data"), Extensions: []byte("ext")}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		var entry raft.Log
		if decodeEntry(value, &entry) == nil && !bytes.Equal(encodeEntry(&entry), value) {
			t.Errorf("%x is not how %+v is written", value, entry)
		}
	})
}
