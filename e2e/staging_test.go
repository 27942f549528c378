package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"thatch/ringtest"
)

// slowVendor serves files in small pieces, so that a kill meets downloads in the middle.
func slowVendor(t *testing.T, files map[string][]byte) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(&slowWriter{w}, r, "", time.Time{}, strings.NewReader(string(body)))
	}))
	t.Cleanup(server.Close)
	return server
}

type slowWriter struct{ http.ResponseWriter }

func (w *slowWriter) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n, err := w.ResponseWriter.Write(p[:min(len(p), 64<<10)])
		total += n
		if err != nil {
			return total, err
		}
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return total, err
		}
		p = p[n:]
		pause := time.NewTimer(10 * time.Millisecond)
		<-pause.C
	}
	return total, nil
}

// TestStagingSurvivesKills stages a bulletin whose packages come slowly, and kills the node again and again: it goes on
// by itself, and in the end every payload is there, whole.
func TestStagingSurvivesKills(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	s := newSite(t, "en")
	s.must(nil, "catalog", "import", "--source", "msrc", "--from", "../cmd/internal/demo/sample/cvrf-2026-Oct.xml")
	s.must(nil, "settings", "set", "staging.check_signatures", "no")
	var updates struct {
		Items []struct{ ID, Bulletin string }
	}
	s.must(&updates, "updates", "list", "--limit", "1")
	at := updates.Items[0]
	files := map[string][]byte{}
	for i := range 6 {
		files[fmt.Sprintf("f%d.msi", i)] = []byte(strings.Repeat(fmt.Sprintf("payload %d of a vendor, ", i), 20_000*(i+1)))
	}
	vendor := slowVendor(t, files)
	for name, body := range files {
		sum := sha256.Sum256(body)
		s.must(nil, "packages", "add", at.ID, "--url", vendor.URL+"/"+name, "--sha256", hex.EncodeToString(sum[:]))
	}
	gone := strings.Repeat("ab", 32)
	s.must(nil, "packages", "add", at.ID, "--url", vendor.URL+"/gone.msi", "--sha256", gone)
	s.must(nil, "bulletins", "stage", at.Bulletin, "--detach")
	for range 5 {
		wait := time.NewTimer(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		<-wait.C
		s.kill()
		s.start()
	}
	within(t, 3*time.Minute, "every package is ready or failed", func() bool {
		var list struct{ Total int }
		s.must(&list, "packages", "list", "--filter", "by_hand=yes", "--filter", "status=downloading")
		return list.Total == 0
	})
	var list struct {
		Items []struct {
			Package, Status, Text string
			Size                  int
		}
	}
	s.must(&list, "packages", "list", "--filter", "by_hand=yes")
	for _, p := range list.Items {
		body, hosted := files[p.Package]
		switch {
		case hosted && (p.Status != "ready" || p.Size != len(body)):
			t.Errorf("%s: %s %q, %d bytes of %d", p.Package, p.Status, p.Text, p.Size, len(body))
		case !hosted && (p.Status != "failed" || !strings.Contains(p.Text, "does not host")):
			t.Errorf("%s, which nobody hosts: %s %q", p.Package, p.Status, p.Text)
		}
	}
	s.refused(1, "could not be staged", "bulletins", "stage", at.Bulletin)
}
