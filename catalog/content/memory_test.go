package content

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Memory for one goroutine.
type memory map[string][]byte

func (m memory) Recall(digest string) []byte       { return m[digest] }
func (m memory) Keep(digest string, record []byte) { m[digest] = record }
func (m memory) Forget(digest string)              { delete(m, digest) }

// scrub checks everything and returns what was altered, sorted.
func scrub(s *Store) (altered []string, err error) {
	all, err := s.Due(time.Unix(1<<40, 0))
	for _, info := range all {
		switch failed := s.Check(context.Background(), info.SHA256, nil); {
		case errors.Is(failed, ErrAltered):
			altered = append(altered, info.SHA256)
		case failed != nil:
			err = errors.Join(err, failed)
		}
	}
	slices.Sort(altered)
	return altered, err
}

func again(t *testing.T, s *Store) *Store {
	t.Helper()
	next, err := Open(s.dir, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// What was read whole before a restart is not read whole again, and no altered byte is given out all the same.
func TestMemoryOverRestarts(t *testing.T) {
	p := payload(1, 3*blockSize+7)
	for name, c := range map[string]struct {
		spoil      func(path string, at time.Time) error
		open, read error
	}{
		"nothing happened": {func(string, time.Time) error { return nil }, nil, nil},
		"a byte changed, as disks do": {func(path string, at time.Time) error {
			bad := bytes.Clone(p)
			bad[2*blockSize] ^= 1
			return errors.Join(os.WriteFile(path, bad, 0o600), os.Chtimes(path, at, at))
		}, nil, ErrAltered},
		"written to": {func(path string, at time.Time) error {
			bad := bytes.Clone(p)
			bad[0] ^= 1
			return errors.Join(os.WriteFile(path, bad, 0o600), os.Chtimes(path, at, at.Add(time.Second)))
		}, ErrAltered, nil},
		"cut": {func(path string, at time.Time) error {
			return errors.Join(os.Truncate(path, 10), os.Chtimes(path, at, at))
		}, ErrAltered, nil},
		"gone": {func(path string, _ time.Time) error { return os.Remove(path) }, ErrNotHeld, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Memory: memory{}})
			digest := put(t, s, p)
			if _, err := s.Put(context.Background(), digest, bytes.NewReader(p)); err != nil { // the file's time is renewed
				t.Fatal(err)
			}
			if got, err := readAll(t, s, digest); err != nil || !bytes.Equal(got, p) {
				t.Fatal(err)
			}
			info, err := s.Stat(digest)
			if err != nil {
				t.Fatal(err)
			}
			s = again(t, s)
			if s.known(info) == nil {
				t.Error("it would be read whole again")
			}
			s = again(t, s)
			if err := c.spoil(s.path(digest), info.At); err != nil {
				t.Fatal(err)
			}
			r, err := s.Open(digest)
			if !errors.Is(err, c.open) {
				t.Fatalf("open: %v, want %v", err, c.open)
			}
			if err != nil {
				return
			}
			defer r.Close()
			got := make([]byte, len(p))
			if _, err := r.ReadAt(got, 0); !errors.Is(err, c.read) || err == nil && !bytes.Equal(got, p) {
				t.Errorf("read: %v, want %v", err, c.read)
			}
		})
	}
}

// A record that a disk damaged counts for nothing: it must not make a good payload look altered.
func TestDamagedRecords(t *testing.T) {
	s := open(t, Options{Memory: memory{}})
	p := payload(2, blockSize+1)
	digest := put(t, s, p)
	if _, err := readAll(t, s, digest); err != nil {
		t.Fatal(err)
	}
	record := s.opts.Memory.Recall(digest)
	if parseRecord(digest, record) == nil {
		t.Fatal("a good record is refused")
	}
	if other := sum(payload(3, 10)); parseRecord(other, record) != nil {
		t.Error("another payload's record counts")
	}
	for i := range record {
		bad := bytes.Clone(record)
		bad[i] ^= 4
		if parseRecord(digest, bad) != nil {
			t.Errorf("byte %d changed, and it counts", i)
		}
		if parseRecord(digest, record[:i]) != nil {
			t.Errorf("cut at %d, and it counts", i)
		}
	}
	s.opts.Memory.Keep(digest, record[:40])
	s = again(t, s)
	if got, err := readAll(t, s, digest); err != nil || !bytes.Equal(got, p) {
		t.Errorf("after its record was damaged: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	digest := sum(nil)
	f.Add([]byte{})
	f.Add((&sums{}).record(digest))
	f.Add((&sums{size: 5, blocks: make([][sumSize]byte, 1)}).record(digest))
	f.Fuzz(func(t *testing.T, record []byte) {
		for _, text := range [][]byte{record, append(bytes.Clone(record), sealed(digest, record)...)} {
			if s := parseRecord(digest, text); s != nil && !bytes.Equal(s.record(digest), text) {
				t.Error("a record was read as another one")
			}
		}
	})
}

func TestDueAndCheck(t *testing.T) {
	clock := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Options{Memory: memory{}, Now: func() time.Time { return clock }})
	var digests []string
	for i := range 4 {
		digests = append(digests, put(t, s, payload(i, 1000+i)))
	}
	due := func(since time.Time) (names []string) {
		t.Helper()
		infos, err := s.Due(since)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			names = append(names, info.SHA256)
		}
		return names
	}
	if got := due(clock); len(got) != 4 {
		t.Errorf("never read: %d are due", len(got))
	}
	for _, i := range []int{2, 0, 3} {
		clock = clock.Add(time.Hour)
		if err := s.Check(context.Background(), digests[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{digests[1], digests[2], digests[0]}
	for range 2 {
		if got := due(clock); !slices.Equal(got, want) {
			t.Errorf("due are %v, want %v", got, want)
		}
		s = again(t, s) // it is remembered
	}
	alter(t, s, digests[3], func(p []byte) []byte { p[0]++; return p })
	if err := s.Check(context.Background(), digests[3], nil); !errors.Is(err, ErrAltered) {
		t.Errorf("altered: %v", err)
	}
	if err := s.Check(context.Background(), digests[3], nil); !errors.Is(err, ErrNotHeld) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Check(context.Background(), "x", nil); !errors.Is(err, ErrBadDigest) {
		t.Errorf("no digest: %v", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Check(cancelled, digests[0], nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s.opts.Memory.Recall(digests[3]) != nil {
		t.Error("an altered payload is remembered")
	}
}

// A check reads no faster than it may, and holds up nobody who wants the payload meanwhile.
func TestCheckIsSlow(t *testing.T) {
	s := open(t, Options{})
	p := payload(5, 10*blockSize)
	digest := put(t, s, p)
	synctest.Test(t, func(t *testing.T) {
		began, checked := time.Now(), make(chan error)
		go func() { checked <- s.Check(t.Context(), digest, Pace(blockSize)) }()
		synctest.Wait()
		if got, err := readAll(t, s, digest); err != nil || !bytes.Equal(got, p) {
			t.Errorf("read meanwhile: %v", err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("a reader waited %s", waited)
		}
		if err := <-checked; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began).Round(time.Second); took != 9*time.Second { // the first block is free
			t.Errorf("ten blocks at one a second took %s", took)
		}
	})
}
