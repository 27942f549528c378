package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// vendor serves one payload and can misbehave.
type vendor struct {
	*httptest.Server
	body    []byte
	etag    string
	cutAt   int // bytes of the next answer before the connection breaks; 0: none
	status  int // 0: 200 or 206
	deaf    bool
	hits    atomic.Int32
	ranges  []string
	blocked chan struct{} // when set, answers wait for it
	mu      sync.Mutex
}

func newVendor(t *testing.T, body []byte) *vendor {
	v := &vendor{body: body, etag: `"1"`}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.hits.Add(1)
	v.mu.Lock()
	v.ranges = append(v.ranges, r.Header.Get("Range"))
	status, cut, blocked := v.status, v.cutAt, v.blocked
	v.cutAt = 0
	v.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	if v.deaf {
		r.Header.Del("Range")
		w.Header().Set("Content-Length", fmt.Sprint(len(v.body)))
		_, _ = w.Write(v.body)
		return
	}
	w.Header().Set("ETag", v.etag)
	if cut > 0 {
		w = &cutter{w, cut}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.body))
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func TestDownload(t *testing.T) {
	p := payload(1, 300_000)
	v := newVendor(t, p)
	for name, req := range map[string]Request{
		"both":       {Size: int64(len(p)), SHA1: sumSHA1(p), SHA256: sum(p)},
		"SHA-256":    {SHA256: sum(p)},
		"SHA-1":      {SHA1: sumSHA1(p)},
		"unverified": {Unverified: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			req.URL = v.URL
			var last int64
			info, err := s.Download(context.Background(), req, func(done, total int64) {
				if done < last || total != int64(len(p)) {
					t.Errorf("progress %d of %d after %d", done, total, last)
				}
				last = done
			})
			if err != nil || info.SHA256 != sum(p) || info.Size != int64(len(p)) || last != info.Size {
				t.Fatalf("%+v, %v, progress ended at %d", info, err, last)
			}
			if got, err := readAll(t, s, sum(p)); err != nil || !bytes.Equal(got, p) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if n := files(t, s, partialFolder) + files(t, s, draftFolder); n != 0 {
				t.Errorf("%d files left over", n)
			}
			before := v.hits.Load()
			if _, err := s.Download(context.Background(), req, nil); err != nil {
				t.Error(err)
			}
			if again := v.hits.Load() != before; again != req.Unverified {
				t.Errorf("asked the vendor again: %v", again)
			}
		})
	}
}

func TestDownloadRefuses(t *testing.T) {
	p := payload(2, 100_000)
	v := newVendor(t, p)
	other := payload(3, 10)
	for name, c := range map[string]struct {
		req Request
		err error
	}{
		"wrong SHA-256":         {Request{SHA256: sum(other)}, ErrDigest},
		"wrong SHA-1":           {Request{SHA1: sumSHA1(other)}, ErrDigest},
		"SHA-1 right, 256 not":  {Request{SHA1: sumSHA1(p), SHA256: sum(other)}, ErrDigest},
		"SHA-256 right, 1 not":  {Request{SHA1: sumSHA1(other), SHA256: sum(p)}, ErrDigest},
		"longer than said":      {Request{SHA256: sum(p), Size: 99_999}, ErrSize},
		"shorter than said":     {Request{SHA256: sum(p), Size: 100_001}, ErrSize},
		"said too large":        {Request{SHA256: sum(p), Size: 1 << 20}, ErrTooLarge},
		"no digest":             {Request{}, ErrNoDigest},
		"digest is no digest":   {Request{SHA256: "00"}, ErrBadDigest},
		"SHA-1 is no digest":    {Request{SHA1: "xyz"}, ErrBadDigest},
		"Unverified is checked": {Request{SHA256: sum(other), Unverified: true}, ErrDigest},
	} {
		s := open(t, Options{MaxSize: 200_000})
		c.req.URL = v.URL
		if _, err := s.Download(context.Background(), c.req, nil); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if n := files(t, s, ""); n != 0 {
			t.Errorf("%s: %d files stayed", name, n)
		}
	}
	s := open(t, Options{MaxSize: 50_000})
	if _, err := s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("larger than the store takes: %v", err)
	}
	for _, address := range []string{"", "setup.exe", "ftp://host/file", "file:///etc/passwd", "http://", "http://[::1"} {
		if _, err := s.Download(context.Background(), Request{URL: address, SHA256: sum(p)}, nil); err == nil {
			t.Errorf("%q was fetched", address)
		}
	}
}

func TestDownloadStatus(t *testing.T) {
	p := payload(4, 1000)
	for status, c := range map[int]struct {
		gone bool
		hits int32
	}{404: {true, 1}, 410: {true, 1}, 403: {false, 1}, 500: {false, 3}, 503: {false, 3}, 429: {false, 3}, 204: {false, 1}} {
		v := newVendor(t, p)
		v.status = status
		s := open(t, Options{Attempts: 3})
		_, err := s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil)
		var answer *StatusError
		if !errors.As(err, &answer) || answer.Status != status || errors.Is(err, ErrGone) != c.gone {
			t.Errorf("%d: %v", status, err)
		}
		if v.hits.Load() != c.hits {
			t.Errorf("%d: asked %d times, want %d", status, v.hits.Load(), c.hits)
		}
	}
	s := open(t, Options{Attempts: 2})
	v := newVendor(t, p)
	v.Close()
	if _, err := s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil); err == nil {
		t.Error("a vendor that is down brought a payload")
	}
}

func TestResumeWithinOneDownload(t *testing.T) {
	p := payload(5, 500_000)
	v := newVendor(t, p)
	v.cutAt = 200_000
	s := open(t, Options{})
	if _, err := s.Download(context.Background(), Request{URL: v.URL, SHA1: sumSHA1(p)}, nil); err != nil {
		t.Fatal(err)
	}
	if len(v.ranges) != 2 || v.ranges[0] != "" || v.ranges[1] != "bytes=200000-" {
		t.Errorf("ranges asked for: %q", v.ranges)
	}
}

// cutDownload leaves a download cut at a byte and returns the store's folder.
func cutDownload(t *testing.T, v *vendor, req Request, at int) *Store {
	t.Helper()
	s := open(t, Options{Attempts: 1})
	v.cutAt = at
	req.URL = v.URL
	if _, err := s.Download(context.Background(), req, nil); err == nil {
		t.Fatal("the cut was not noticed")
	}
	if n := files(t, s, payloadFolder); n != 0 {
		t.Fatalf("%d files under final names after a cut", n)
	}
	v.mu.Lock()
	v.ranges = nil
	v.mu.Unlock()
	again, err := Open(s.dir, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestResumeAfterRestart(t *testing.T) {
	p := payload(6, 400_000)
	req := Request{SHA256: sum(p)}
	partial := func(s *Store) string { return filepath.Join(s.dir, partialFolder, sum(p)) }
	for name, c := range map[string]struct {
		meddle func(t *testing.T, v *vendor, s *Store)
		ranges []string
	}{
		"plain":         {func(*testing.T, *vendor, *Store) {}, []string{"bytes=150000-"}},
		"deaf server":   {func(_ *testing.T, v *vendor, _ *Store) { v.deaf = true }, []string{"bytes=150000-"}},
		"new revision":  {func(_ *testing.T, v *vendor, _ *Store) { v.etag = `"2"` }, []string{"bytes=150000-"}},
		"weak etag now": {func(_ *testing.T, v *vendor, _ *Store) { v.etag = `W/"1"` }, []string{"bytes=150000-"}},
		"lost meta": {func(_ *testing.T, _ *vendor, s *Store) {
			os.Remove(partial(s) + metaSuffix)
		}, []string{"bytes=150000-"}},
		"broken meta": {func(t *testing.T, _ *vendor, s *Store) {
			write(t, partial(s)+metaSuffix, []byte("{"))
		}, []string{"bytes=150000-"}},
		"damaged part": {func(t *testing.T, _ *vendor, s *Store) {
			write(t, partial(s), make([]byte, 150_000))
		}, []string{"bytes=150000-", ""}},
		"part too long": {func(t *testing.T, _ *vendor, s *Store) {
			write(t, partial(s), make([]byte, 400_001))
		}, []string{"bytes=400001-", ""}},
		"whole already": {func(t *testing.T, _ *vendor, s *Store) {
			write(t, partial(s), p)
		}, []string{"bytes=400000-"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t, p)
			s := cutDownload(t, v, req, 150_000)
			s.opts.Attempts = 3
			c.meddle(t, v, s)
			info, err := s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil)
			if err != nil || info.SHA256 != sum(p) {
				t.Fatalf("%+v, %v", info, err)
			}
			if fmt.Sprint(v.ranges) != fmt.Sprint(c.ranges) {
				t.Errorf("ranges asked for: %q, want %q", v.ranges, c.ranges)
			}
			if n := files(t, s, partialFolder); n != 0 {
				t.Errorf("%d files left over", n)
			}
		})
	}
}

func write(t *testing.T, path string, p []byte) {
	t.Helper()
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResumeFromAnotherAddress(t *testing.T) {
	p := payload(8, 300_000)
	s := cutDownload(t, newVendor(t, p), Request{SHA256: sum(p)}, 100_000)
	mirror := newVendor(t, p)
	mirror.etag = `"another"`
	if _, err := s.Download(context.Background(), Request{URL: mirror.URL, SHA256: sum(p)}, nil); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(mirror.ranges) != "[bytes=100000-]" {
		t.Errorf("asked the mirror for %q", mirror.ranges)
	}
}

func TestOneDownloadOfADigest(t *testing.T) {
	p := payload(10, 200_000)
	v, mirror := newVendor(t, p), newVendor(t, p)
	v.blocked, mirror.blocked = make(chan struct{}), v.blocked
	mirror.blocked = v.blocked
	s := open(t, Options{})
	var all sync.WaitGroup
	for i := range 20 {
		req := Request{URL: v.URL, SHA256: sum(p), SHA1: sumSHA1(p)}
		switch i % 4 {
		case 1:
			req.URL = mirror.URL
		case 2:
			req.SHA256 = ""
		case 3:
			req.SHA1 = ""
		}
		all.Go(func() {
			if info, err := s.Download(context.Background(), req, nil); err != nil || info.SHA256 != sum(p) {
				t.Errorf("%+v, %v", info, err)
			}
		})
	}
	close(v.blocked)
	all.Wait()
	// One of those who know one digest alone may go first; the others then find the payload held, except one that
	// knows the payload only by its SHA-1, which nobody had noted.
	if n := v.hits.Load() + mirror.hits.Load(); n > 2 {
		t.Errorf("%d downloads", n)
	}
}

func TestWaiterTakesOver(t *testing.T) {
	p := payload(11, 100_000)
	v := newVendor(t, p)
	v.blocked = make(chan struct{})
	s := open(t, Options{})
	req := Request{URL: v.URL, SHA256: sum(p)}
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := s.Download(ctx, req, nil); first <- err }()
	for !s.flying(sum(p)) {
		time.Sleep(time.Millisecond) // nothing tells of a flight but the flight
	}
	go func() { _, err := s.Download(context.Background(), req, nil); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	close(v.blocked)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestWaiterGivesUp(t *testing.T) {
	p := payload(12, 1000)
	v := newVendor(t, p)
	v.blocked = make(chan struct{})
	s := open(t, Options{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil)
		done <- err
	}()
	for !s.flying(sum(p)) {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Download(ctx, Request{URL: v.URL, SHA256: sum(p)}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("waiter: %v", err)
	}
	close(v.blocked)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A body that stops half-way is given up after a while, and the next try brings the rest.
func TestStall(t *testing.T) {
	p := payload(13, 200_000)
	dir := folder(t)
	synctest.Test(t, func(t *testing.T) {
		rest := answer(http.StatusPartialContent, p[70_000:], "")()
		rest.Header.Set("Content-Range", "bytes 70000-199999/200000")
		web := &silent{answers{give: []func() *http.Response{answer(http.StatusOK, p, ""), func() *http.Response { return rest }}}, p[:70_000]}
		s, err := Open(dir, Options{Client: &http.Client{Transport: web}, Stall: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Download(t.Context(), Request{URL: "http://vendor.example/p", SHA256: sum(p)}, nil); err != nil {
			t.Fatal(err)
		}
		if len(web.asked) != 2 || web.asked[1].Sub(web.asked[0]) != time.Minute+time.Second { // and the pause before a retry
			t.Errorf("asked at %v", web.asked)
		}
	})
}

// silent has the first answer end in silence after a part of its body, for as long as somebody waits for the rest.
type silent struct {
	answers
	part []byte
}

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.answers.RoundTrip(r)
	if len(s.asked) == 1 {
		response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(s.part), untilDone{r.Context()}))
	}
	return response, err
}

type untilDone struct{ context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.Done()
	return 0, u.Err()
}

func TestSpeedLimit(t *testing.T) {
	p, q := payload(14, 3*chunk), payload(15, 10*chunk)
	dir := folder(t)
	synctest.Test(t, func(t *testing.T) {
		web := &answers{give: []func() *http.Response{answer(http.StatusOK, p, ""), answer(http.StatusOK, q, "")}}
		s, err := Open(dir, Options{Client: &http.Client{Transport: web}, BytesPerSecond: 10 * chunk})
		if err != nil {
			t.Fatal(err)
		}
		takes := func(p []byte, want time.Duration) {
			t.Helper()
			start := time.Now()
			if _, err := s.Download(t.Context(), Request{URL: "http://vendor.example/p", SHA256: sum(p)}, nil); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start).Round(time.Millisecond); took != want {
				t.Errorf("%d bytes took %v, want %v", len(p), took, want)
			}
		}
		takes(p, 200*time.Millisecond) // the first chunk is free, the other two cost a tenth of a second each
		s.SetSpeed(0)
		takes(q, 0)
	})
}

func TestAlteredIsFetchedAgain(t *testing.T) {
	p := payload(16, 50_000)
	v := newVendor(t, p)
	s := open(t, Options{})
	req := Request{URL: v.URL, SHA256: sum(p)}
	digest := put(t, s, p)
	alter(t, s, digest, func(p []byte) []byte { p[5]++; return p })
	if _, err := s.Download(context.Background(), req, nil); err != nil || v.hits.Load() != 1 {
		t.Fatalf("%v, %d requests", err, v.hits.Load())
	}
	if got, err := readAll(t, s, digest); err != nil || !bytes.Equal(got, p) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestContentRange(t *testing.T) {
	for text, want := range map[string]struct {
		start, whole int64
		ok           bool
	}{
		"bytes 100-199/200": {100, 200, true},
		"bytes 0-0/*":       {0, 0, true},
		"bytes 5-4/10":      {},
		"bytes 5-10/10":     {5, 10, false},
		"bytes */10":        {},
		"octets 0-1/2":      {},
		"bytes -1-2/3":      {},
		"":                  {},
	} {
		start, whole, ok := contentRange(text)
		if ok != want.ok || ok && (start != want.start || whole != want.whole) {
			t.Errorf("%q: %d %d %v", text, start, whole, ok)
		}
	}
}
