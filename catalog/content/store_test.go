package content

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// payload makes bytes that look like nothing else.
func payload(seed, size int) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	out := make([]byte, size)
	_, _ = source.Read(out)
	return out
}

func sum(p []byte) string {
	s := sha256.Sum256(p)
	return hex.EncodeToString(s[:])
}

func sumSHA1(p []byte) string {
	s := sha1.Sum(p)
	return hex.EncodeToString(s[:])
}

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Backoff == 0 {
		opts.Backoff = time.Millisecond
	}
	s, err := Open(folder(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, p []byte) string {
	t.Helper()
	info, err := s.Put(context.Background(), sum(p), bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	if info.SHA256 != sum(p) || info.Size != int64(len(p)) {
		t.Fatalf("Put answered %+v for %d bytes", info, len(p))
	}
	return info.SHA256
}

func readAll(t testing.TB, s *Store, digest string) ([]byte, error) {
	t.Helper()
	r, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// files counts the files under a folder of the store.
func files(t testing.TB, s *Store, below string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(s.dir, below), func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPutOpen(t *testing.T) {
	s := open(t, Options{})
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 3*blockSize + 7} {
		p := payload(size, size)
		got, err := readAll(t, s, strings.ToUpper(put(t, s, p)))
		if err != nil || !bytes.Equal(got, p) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
	}
	count, total, err := s.Usage()
	if err != nil || count != 6 || total != int64(0+1+blockSize-1+blockSize+blockSize+1+3*blockSize+7) {
		t.Errorf("usage %d files %d bytes, %v", count, total, err)
	}
	if n := files(t, s, draftFolder); n != 0 {
		t.Errorf("%d drafts left", n)
	}
}

func TestPutRefuses(t *testing.T) {
	s := open(t, Options{MaxSize: 100})
	p := payload(1, 100)
	cut := errors.New("cut")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		want string
		from io.Reader
		err  error
	}{
		"another digest": {context.Background(), sum(p[1:]), bytes.NewReader(p), ErrDigest},
		"one byte more":  {context.Background(), "", bytes.NewReader(append(p, 1)), ErrTooLarge},
		"no digest":      {context.Background(), "abc", bytes.NewReader(p), ErrBadDigest},
		"path as digest": {context.Background(), "../../../../etc/passwd", bytes.NewReader(p), ErrBadDigest},
		"cut stream":     {context.Background(), sum(p), io.MultiReader(bytes.NewReader(p[:50]), errReader{cut}), cut},
		"cancelled":      {cancelled, sum(p), bytes.NewReader(p), context.Canceled},
	} {
		if _, err := s.Put(c.ctx, c.want, c.from); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
	}
	if n := files(t, s, ""); n != 0 {
		t.Errorf("%d files stayed after refusals", n)
	}
	put(t, s, p)
	if _, err := s.Put(context.Background(), sum(p), errReader{cut}); err != nil {
		t.Errorf("a payload that is held needs no stream: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestAbsent(t *testing.T) {
	s := open(t, Options{})
	absent := sum([]byte("absent"))
	if _, err := s.Open(absent); !errors.Is(err, ErrNotHeld) {
		t.Errorf("Open: %v", err)
	}
	if _, err := s.Stat(absent); !errors.Is(err, ErrNotHeld) || s.Has(absent) {
		t.Errorf("Stat: %v", err)
	}
	if err := s.CopyTo(context.Background(), absent, filepath.Join(folder(t), "x")); !errors.Is(err, ErrNotHeld) {
		t.Errorf("CopyTo: %v", err)
	}
	if err := s.Remove(absent); err != nil {
		t.Errorf("Remove: %v", err)
	}
	for _, bad := range []string{"", "..", "zz" + absent[2:], absent + "00"} {
		if _, err := s.Open(bad); !errors.Is(err, ErrBadDigest) {
			t.Errorf("Open(%q): %v", bad, err)
		}
	}
}

// alter changes a file in place and puts its time back, as a disk that rots does.
func alter(t *testing.T, s *Store, digest string, change func([]byte) []byte) {
	t.Helper()
	path := s.path(digest)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(whole), 0o640)
	}
	if err == nil {
		err = os.Chtimes(path, info.ModTime(), info.ModTime())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAlteredIsNeverServed(t *testing.T) {
	changes := map[string]func([]byte) []byte{
		"one bit":   func(p []byte) []byte { p[len(p)-3] ^= 1; return p },
		"shorter":   func(p []byte) []byte { return p[:len(p)-1] },
		"empty":     func([]byte) []byte { return nil },
		"lost tail": func(p []byte) []byte { clear(p[blockSize:]); return p },
		"longer":    func(p []byte) []byte { return append(p, 0) },
	}
	for name, change := range changes {
		for _, seen := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				var reports []Altered
				s := open(t, Options{Altered: func(a Altered) { reports = append(reports, a) }})
				p := payload(7, 2*blockSize+100)
				digest := put(t, s, p)
				if seen { // verified since the start, and still checked
					if _, err := readAll(t, s, digest); err != nil {
						t.Fatal(err)
					}
				}
				alter(t, s, digest, change)
				got, err := readAll(t, s, digest)
				if name == "longer" && seen {
					// What follows the payload's end is never read.
					if err != nil || !bytes.Equal(got, p) {
						t.Fatalf("got %d bytes, %v", len(got), err)
					}
					return
				}
				if !errors.Is(err, ErrAltered) {
					t.Fatalf("read %d bytes, %v", len(got), err)
				}
				if !bytes.HasPrefix(p, got) {
					t.Error("altered bytes were given out")
				}
				if s.Has(digest) || len(reports) != 1 || reports[0].SHA256 != digest {
					t.Errorf("held %v, reports %+v", s.Has(digest), reports)
				}
				if _, err := os.Stat(reports[0].Quarantine); err != nil {
					t.Errorf("quarantine: %v", err)
				}
				put(t, s, p)
				if got, err := readAll(t, s, digest); err != nil || !bytes.Equal(got, p) {
					t.Errorf("after putting it again: %d bytes, %v", len(got), err)
				}
			})
		}
	}
}

func TestCopyTo(t *testing.T) {
	s := open(t, Options{})
	p := payload(3, blockSize+5)
	digest := put(t, s, p)
	place := folder(t)
	if err := s.CopyTo(context.Background(), digest, filepath.Join(place, "setup.exe")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(place, "setup.exe"))
	if err != nil || !bytes.Equal(got, p) {
		t.Errorf("copy has %d bytes, %v", len(got), err)
	}
	alter(t, s, digest, func(p []byte) []byte { p[blockSize]++; return p })
	if err := s.CopyTo(context.Background(), digest, filepath.Join(place, "other.exe")); !errors.Is(err, ErrAltered) {
		t.Errorf("altered: %v", err)
	}
	if left, _ := os.ReadDir(place); len(left) != 1 {
		t.Errorf("folder holds %v", left)
	}
}

func TestPrune(t *testing.T) {
	clock := time.Date(2019, 3, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Options{Now: func() time.Time { return clock }})
	old, kept, fresh := put(t, s, payload(1, 10)), put(t, s, payload(2, 20)), put(t, s, payload(3, 30))
	for _, digest := range []string{old, kept} {
		if err := s.touch(digest); err != nil {
			t.Fatal(err)
		}
	}
	for name, at := range map[string]time.Time{"aged": clock, "young": clock.Add(2 * time.Hour)} {
		path := filepath.Join(s.dir, partialFolder, name)
		if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	clock = clock.Add(2 * time.Hour)
	if err := s.touch(fresh); err != nil {
		t.Fatal(err)
	}
	done, err := s.Prune(context.Background(), clock.Add(-time.Hour), func(d string) bool { return d == kept })
	if err != nil || done != (Pruned{Payloads: 1, Partials: 1, Bytes: 15}) {
		t.Errorf("pruned %+v, %v", done, err)
	}
	if s.Has(old) || !s.Has(kept) || !s.Has(fresh) || files(t, s, partialFolder) != 1 {
		t.Error("pruned the wrong ones")
	}
}

func TestOpenClearsDrafts(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(filepath.Join(dir, draftFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, draftFolder, "put-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil || files(t, s, draftFolder) != 0 {
		t.Errorf("%v, %d drafts", err, files(t, s, draftFolder))
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("a file was opened as a store")
	}
}

// Any sequence of seeks and reads gives what bytes.Reader gives.
func TestReaderLikeBytes(t *testing.T) {
	s := open(t, Options{})
	p := payload(9, 2*blockSize+333)
	digest := put(t, s, p)
	rapid.Check(t, func(rt *rapid.T) {
		r, err := s.Open(digest)
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		want := bytes.NewReader(p)
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			offset := rapid.Int64Range(-10, int64(len(p))+10).Draw(rt, "offset")
			whence := rapid.SampledFrom([]int{io.SeekStart, io.SeekCurrent, io.SeekEnd}).Draw(rt, "whence")
			a, errA := r.Seek(offset, whence)
			b, errB := want.Seek(offset, whence)
			if (errA == nil) != (errB == nil) || errA == nil && a != b {
				rt.Fatalf("seek %d from %d: %d %v, want %d %v", offset, whence, a, errA, b, errB)
			}
			size := rapid.IntRange(0, blockSize+100).Draw(rt, "size")
			got, expected := make([]byte, size), make([]byte, size)
			n, errA := io.ReadFull(r, got)
			m, errB := io.ReadFull(want, expected)
			if n != m || !errors.Is(errA, errB) || !bytes.Equal(got[:n], expected[:m]) {
				rt.Fatalf("read %d: %d %v, want %d %v", size, n, errA, m, errB)
			}
			at := rapid.Int64Range(0, int64(len(p))+10).Draw(rt, "at")
			n, errA = r.ReadAt(got, at)
			m, errB = want.ReadAt(expected, at)
			if n != m || !errors.Is(errA, errB) || !bytes.Equal(got[:n], expected[:m]) {
				rt.Fatalf("read %d at %d: %d %v, want %d %v", size, at, n, errA, m, errB)
			}
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	s := open(t, Options{})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			p := payload(i%4, 50_000)
			if _, err := s.Put(context.Background(), sum(p), bytes.NewReader(p)); err != nil {
				t.Error(err)
			}
			if got, err := readAll(t, s, sum(p)); err != nil || !bytes.Equal(got, p) {
				t.Errorf("payload %d: %d bytes, %v", i%4, len(got), err)
			}
		})
	}
	all.Wait()
	if n := files(t, s, payloadFolder); n != 4 {
		t.Errorf("%d files, want 4", n)
	}
}
