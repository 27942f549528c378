package payloads_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/bulletins/staging"
	"thatch/node/folder"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
	"thatch/schedule"
)

// door stands between a parent and its children, on the way of payloads.
type door struct {
	parent *replicationtest.Linked
	mu     sync.Mutex
	on     func(w http.ResponseWriter, r *http.Request) // nil: open
	ranges []string                                     // of the requests that came
}

func (d *door) before(_ http.ResponseWriter, r *http.Request) http.Handler {
	if !strings.HasPrefix(r.URL.Path, wire.PathPayload) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ranges = append(d.ranges, r.Header.Get("Range"))
	if d.on == nil {
		return nil
	}
	return http.HandlerFunc(d.on)
}

func (d *door) set(on func(w http.ResponseWriter, r *http.Request)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = on
}

func (d *door) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string{}, d.ranges...)
}

// cut lets some bytes through.
type cut struct {
	http.ResponseWriter
	left int
	end  func() // what happens then; nil: the connection is cut
}

var errCut = errors.New("cut")

func (c *cut) Write(p []byte) (int, error) {
	if c.left <= 0 {
		if c.end != nil {
			_ = http.NewResponseController(c.ResponseWriter).Flush()
			c.end()
		}
		return 0, errCut
	}
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	c.left -= n
	if err == nil && n < len(p) {
		return n, errCut
	}
	return n, err
}

func (c *cut) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// pair is a parent that has staged bulletin B with one package, and a child.
func pair(t *testing.T, size int) (parent, child *replicationtest.Linked, v *vendor, d *door) {
	t.Helper()
	v, d = newVendor(t), &door{}
	parent = start(t, replicationtest.Config{Name: "Top", Before: d.before})
	d.parent = parent
	child = start(t, replicationtest.Config{Name: "North"})
	stock(t, parent, v.pack(t, "a.exe", size))
	staged(t, parent)
	below(t, child, parent)
	child.Eventually(t, "the payload's document", func() error { return child.Holds(document.Payload, 1) })
	return parent, child, v, d
}

func wantStage(t *testing.T, s *replicationtest.Linked) {
	t.Helper()
	if err := s.Staging.Stage(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
}

// TestStagedByHandBelow stages at the child what the parent staged: exactly those bytes, and the parent's document stays.
func TestStagedByHandBelow(t *testing.T) {
	parent, child, v, _ := pair(t, 100_000)
	staged(t, child)
	if n := v.requests("a.exe"); n != 1 {
		t.Errorf("the vendor was asked %d times", n)
	}
	p, err := child.Bulletins.ShowPackage(t.Context(), "P-a.exe")
	if err != nil || p.Origin != parent.Site().ID || len(p.Staged) != 1 || p.Staged[0].SHA256 != v.sum("a.exe") {
		t.Errorf("%+v, %v", p, err)
	}
	if n := child.Count(t, document.Payload); n != 1 {
		t.Errorf("%d payload documents", n)
	}
}

// TestCutAtEvery64kB cuts every answer after 64 kB: the transfer goes on where it was.
func TestCutAtEvery64kB(t *testing.T) {
	const size = 300_000
	parent, child, v, d := pair(t, size)
	d.set(func(w http.ResponseWriter, r *http.Request) {
		parent.Parent.ServeHTTP(&cut{ResponseWriter: w, left: 64 << 10}, r)
	})
	staged(t, child)
	if err := holds(t, child, v.sum("a.exe")); err != nil {
		t.Fatal(err)
	}
	asked := d.asked()
	if len(asked) != 5 {
		t.Fatalf("asked with ranges %q, want five requests", asked)
	}
	for i, r := range asked[1:] {
		if want := fmt.Sprintf("bytes=%d-", (i+1)*64<<10); r != want {
			t.Errorf("request %d asks for %q, want %q", i+2, r, want)
		}
	}
}

// TestAParentThatLies sends other bytes of the right length: they are not taken, it is said, and what is right comes later.
func TestAParentThatLies(t *testing.T) {
	_, child, v, d := pair(t, 100_000)
	d.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 100_000)) })
	wantStage(t, child)
	child.Eventually(t, "it is said", func() error { return is(t, child, staging.Downloading, "parent Top sent something else than a.exe") })
	if child.Content.Has(v.sum("a.exe")) {
		t.Fatal("wrong bytes were taken")
	}
	sum, files := child.Staging.Awaited()
	if sum == nil || sum.From != "Top" || len(files) != 1 || files[0].Next.Before(time.Now().Add(time.Minute)) {
		t.Errorf("awaited %+v, %+v", sum, files)
	}
	d.set(nil)
	child.Staging.Again()
	child.Eventually(t, "the right bytes", func() error { return ready(t, child) })
}

// TestAlteredAtTheParent changes a byte of a payload on the parent's disk: it is quarantined, fetched again from the
// vendor, and never reaches the child.
func TestAlteredAtTheParent(t *testing.T) {
	parent, child, v, _ := pair(t, 400_000)
	sum := v.sum("a.exe")
	path := filepath.Join(parent.Dir(), folder.ContentFolder, "payloads", sum[:2], sum)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[300_000] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	staged(t, child)
	held, err := child.Content.Open(sum)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if got, err := io.ReadAll(held); err != nil || len(got) != 400_000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	away, err := filepath.Glob(filepath.Join(parent.Dir(), folder.ContentFolder, "quarantine", "*"))
	if err != nil || len(away) != 1 {
		t.Errorf("in quarantine at the parent: %v, %v", away, err)
	}
	if n := v.requests("a.exe"); n != 2 {
		t.Errorf("the vendor was asked %d times, want twice", n)
	}
	parent.Eventually(t, "the parent holds it again", func() error { return ready(t, parent) })
}

// lose takes a payload from a site that stages nothing any more, so that it does not fetch it for itself.
func lose(t *testing.T, s *replicationtest.Linked, sum string) {
	t.Helper()
	err := errors.Join(s.Staging.Unstage(t.Context(), "B"), s.Content.Remove(sum), s.Staging.Lost(t.Context(), sum))
	if err != nil {
		t.Fatal(err)
	}
}

// TestTwoChildrenAskForWhatTheParentLacks has the parent fetch it once for both, and says meanwhile how far it is.
func TestTwoChildrenAskForWhatTheParentLacks(t *testing.T) {
	parent, one, v, _ := pair(t, 500_000)
	two := start(t, replicationtest.Config{Name: "South"})
	below(t, two, parent)
	two.Eventually(t, "the payload's document", func() error { return two.Holds(document.Payload, 1) })
	lose(t, parent, v.sum("a.exe"))
	hold := make(chan struct{})
	v.mu.Lock()
	v.hold = hold
	v.mu.Unlock()
	wantStage(t, one)
	wantStage(t, two)
	for _, s := range []*replicationtest.Linked{one, two} {
		s.Eventually(t, "it is said what is awaited", func() error {
			return is(t, s, staging.Downloading, "awaited from parent Top: 0 of 1 files, 0 of 500 kB; parent Top: not here yet: a.exe is brought in: 0 of 500 kB")
		})
	}
	close(hold)
	for _, s := range []*replicationtest.Linked{one, two} {
		s.Eventually(t, "it arrives", func() error { return ready(t, s) })
	}
	if n := v.requests("a.exe"); n != 2 {
		t.Errorf("the vendor was asked %d times: once by the parent for itself, and once for its two children", n)
	}
}

// TestGoneAtTheVendor tells the child why its parent cannot bring it in; another source that the site allows is none either.
func TestGoneAtTheVendor(t *testing.T) {
	parent, child, v, _ := pair(t, 50_000)
	body := v.files["a.exe"]
	lose(t, parent, v.sum("a.exe"))
	v.mu.Lock()
	delete(v.files, "a.exe")
	v.mu.Unlock()
	set(t, child, "staging.source", `"parent-then-vendor"`)
	wantStage(t, child)
	child.Eventually(t, "it is said", func() error {
		return errors.Join(is(t, child, staging.Downloading, "the vendor does not host a.exe any more"), is(t, child, staging.Downloading, "parent Top: not here yet"))
	})
	v.mu.Lock()
	v.files["a.exe"] = body
	v.mu.Unlock()
	child.Staging.Again()
	child.Eventually(t, "the vendor has it again", func() error { return ready(t, child) })
}

// TestStoppedInTheMiddle stops the child while a payload comes: started again, it asks for the rest.
func TestStoppedInTheMiddle(t *testing.T) {
	parent, child, v, d := pair(t, 900_000)
	reached := make(chan struct{}, 1)
	d.set(func(w http.ResponseWriter, r *http.Request) {
		parent.Parent.ServeHTTP(&cut{ResponseWriter: w, left: 512 << 10, end: func() {
			select {
			case reached <- struct{}{}:
			default:
			}
			<-r.Context().Done()
		}}, r)
	})
	wantStage(t, child)
	<-reached
	child.Eventually(t, "the first half is here", func() error {
		return is(t, child, staging.Downloading, "awaited from parent Top: 0 of 1 files, 524 of 900 kB")
	})
	dir := child.Dir()
	child.Stop()
	d.set(nil)
	before := len(d.asked())
	again := replicationtest.Start(t, replicationtest.Config{Name: "North", Dir: dir})
	again.Eventually(t, "the rest arrives", func() error { return errors.Join(holds(t, again, v.sum("a.exe")), ready(t, again)) })
	asked := d.asked()[before:]
	if len(asked) != 1 || asked[0] != "bytes=524288-" {
		t.Errorf("asked with ranges %q, want the second half once", asked)
	}
}

// TestNotForThisChild asks for payloads that are not the child's, as it could with its certificate.
func TestNotForThisChild(t *testing.T) {
	v := newVendor(t)
	parent := start(t, replicationtest.Config{Name: "Top", Languages: []string{"de", "fr"}})
	child := start(t, replicationtest.Config{Name: "North"})
	stock(t, parent, v.pack(t, "german.exe", 5000, "de"), v.pack(t, "french.exe", 5000, "fr"))
	staged(t, parent)
	child.Join(t, parent)
	child.Eventually(t, "the data", func() error { return child.Holds(document.Payload, 1) })
	documents := map[string]document.Digest{}
	for _, name := range []string{"german.exe", "french.exe"} {
		documents[name] = payloadOf(t, parent, "P-"+name)
	}
	client, err := child.Link.Client()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(sum string, doc document.Digest) (int, string) {
		response, err := client.HTTP().Get(client.PayloadURL(sum, doc))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if status, body := ask(v.sum("german.exe"), documents["german.exe"]); status != http.StatusOK || len(body) != 5000 {
		t.Fatalf("its own: %d, %d bytes", status, len(body))
	}
	for name, q := range map[string]struct {
		sum string
		doc document.Digest
	}{
		"another language":                 {v.sum("french.exe"), documents["french.exe"]},
		"by a document that is its own":    {v.sum("french.exe"), documents["german.exe"]},
		"by a document that is none":       {v.sum("german.exe"), document.Digest{1}},
		"by a document of another kind":    {v.sum("german.exe"), packageOf(t, parent, "P-german.exe")},
		"a file that nobody has":           {strings.Repeat("0", 64), documents["german.exe"]},
		"something that is no digest":      {"..%2f..%2fsite.db", documents["german.exe"]},
		"a digest in a path that goes off": {"x/../../" + v.sum("french.exe"), documents["french.exe"]},
	} {
		status, body := ask(q.sum, q.doc)
		if status != http.StatusForbidden || !strings.Contains(body, `"refused"`) || strings.Contains(body, "french.exe|") {
			t.Errorf("%s: %d %.200s", name, status, body)
		}
	}
	if err := parent.Sites.Remove(t.Context(), child.Site().ID, "test"); err != nil {
		t.Fatal(err)
	}
	if status, body := ask(v.sum("german.exe"), documents["german.exe"]); status != http.StatusForbidden {
		t.Errorf("a site that is no child any more: %d %.200s", status, body)
	}
}

func payloadOf(t *testing.T, s *replicationtest.Linked, id string) document.Digest {
	t.Helper()
	return current(t, s, document.Payload, id)
}

func packageOf(t *testing.T, s *replicationtest.Linked, id string) document.Digest {
	t.Helper()
	return current(t, s, document.Package, id)
}

// TestTheLinksPaceAndWindows holds payloads to the link's bandwidth and windows.
func TestTheLinksPaceAndWindows(t *testing.T) {
	parent, child, v, d := pair(t, 400_000)
	shut := sites.Limits{Windows: schedule.Windows{never()}}
	limit(t, parent, child, shut)
	child.Eventually(t, "the child knows the window", func() error {
		if link := child.Link.State().Link; link == nil || len(link.Limits.Windows) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	wantStage(t, child)
	child.Eventually(t, "it waits for the window", func() error { return is(t, child, staging.Downloading, "the link may be used again in") })
	if asked := d.asked(); len(asked) != 0 {
		t.Fatalf("asked with %q while the window was closed", asked)
	}
	const rate = 200_000
	begun := time.Now()
	limit(t, parent, child, sites.Limits{Rate: rate})
	child.Eventually(t, "it arrives", func() error { return holds(t, child, v.sum("a.exe")) })
	if took := time.Since(begun); took < 1500*time.Millisecond {
		t.Errorf("400 kB at 200 kB/s came in %v", took)
	}
}

// TestShutOutWhileBytesFlow removes the child while a payload is on its way: it is cut.
func TestShutOutWhileBytesFlow(t *testing.T) {
	parent, child, v, _ := pair(t, 40_000_000)
	limit(t, parent, child, sites.Limits{Rate: 4_000_000})
	child.Eventually(t, "the pace", func() error {
		if link := child.Link.State().Link; link == nil || link.Limits.Rate == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	wantStage(t, child)
	child.Eventually(t, "bytes flow", func() error {
		if sum, _ := child.Staging.Awaited(); sum == nil || sum.Bytes < 1_000_000 {
			return errors.New("not yet")
		}
		return nil
	})
	if err := parent.Sites.Remove(t.Context(), child.Site().ID, "test"); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "it is cut and said", func() error { return is(t, child, staging.Downloading, "is no child of this site") })
	if child.Content.Has(v.sum("a.exe")) {
		t.Error("a site that is no child any more got all of it")
	}
}

func limit(t *testing.T, parent, child *replicationtest.Linked, limits sites.Limits) {
	t.Helper()
	if _, err := parent.Sites.Limit(t.Context(), child.Site().ID, limits, -1); err != nil {
		t.Fatal(err)
	}
}

// never is a window that does not open in this life.
func never() schedule.Window {
	return schedule.Window{Name: "never", Repeat: schedule.Daily, Start: "03:00", Minutes: 10, From: "2999-01-01"}
}

func current(t *testing.T, s *replicationtest.Linked, kind document.Kind, id string) (digest document.Digest) {
	t.Helper()
	err := s.Reader().View(t.Context(), func(tx *sql.Tx) error {
		found, err := store.Document(t.Context(), tx, kind, id)
		digest = found.Digest
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return digest
}
