package payloads_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/staging"
	"thatch/node/policies"
	"thatch/node/sites"
	"thatch/replication/replicationtest"
)

// vendor hosts files and counts what it sends of each.
type vendor struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int
	hold  chan struct{} // nil: it answers at once
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{files: map[string][]byte{}, asked: map[string]int{}}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		v.mu.Lock()
		body, held, hold := v.files[name], v.files[name] != nil, v.hold
		v.asked[name]++
		v.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
				return
			}
		}
		if !held {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) requests(name string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[name]
}

func sum(body []byte) string {
	s := sha256.Sum256(body)
	return hex.EncodeToString(s[:])
}

// pack is a package with one file of many bytes, which the vendor hosts.
func (v *vendor) pack(t *testing.T, name string, size int, languages ...string) document.Document {
	body := bytes.Repeat([]byte(name+"|"), size/(len(name)+1)+1)[:size]
	v.mu.Lock()
	v.files[name] = body
	v.mu.Unlock()
	return bulletinstest.Doc(t, document.Package, "P-"+name, languages, catalog.Package{
		Update: "U", Name: name, Files: []catalog.File{{Name: name, SHA256: sum(body), Size: int64(size), URL: v.URL + "/" + name}},
		Installer: catalog.Installer{Type: catalog.EXE, File: name, DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{{Code: 0, Result: catalog.Succeeded}}},
	})
}

func (v *vendor) sum(name string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return sum(v.files[name])
}

// stock fills a site's catalog with bulletin B of one update with some packages.
func stock(t *testing.T, s *replicationtest.Linked, packages ...document.Document) {
	t.Helper()
	docs := append([]document.Document{
		bulletinstest.Doc(t, document.Bulletin, "B", nil, catalog.Bulletin{Name: "B", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "U", nil, catalog.Update{
			Name: "U", Bulletin: "B", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
		}),
	}, packages...)
	bulletinstest.Save(t, s.Bulletins, "sdp", "f", docs...)
}

func start(t *testing.T, cfg replicationtest.Config) *replicationtest.Linked {
	t.Helper()
	if cfg.Languages == nil {
		cfg.Languages = []string{"de"}
	}
	s := replicationtest.Start(t, cfg)
	set(t, s, "staging.check_signatures", `false`)
	return s
}

func set(t *testing.T, s *replicationtest.Linked, name, value string) {
	t.Helper()
	if _, err := s.Settings.Set(t.Context(), name, []byte(value), -1); err != nil {
		t.Fatal(err)
	}
}

// staged stages bulletin B and waits until all of its packages that matter are here.
func staged(t *testing.T, s *replicationtest.Linked) {
	t.Helper()
	if err := s.Staging.Stage(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "B is staged at "+s.Site().Name, func() error { return ready(t, s) })
}

func ready(t *testing.T, s *replicationtest.Linked) error {
	return is(t, s, staging.Ready, "")
}

// is tells whether update U has a status and a text.
func is(t *testing.T, s *replicationtest.Linked, status staging.Status, text string) error {
	d, err := s.Bulletins.ShowUpdate(t.Context(), "U")
	if err == nil && (d.Status != status || !strings.Contains(d.Text, text)) {
		err = fmt.Errorf("at %s U is %q: %q, want %q with %q", s.Site().Name, d.Status, d.Text, status, text)
	}
	return err
}

func order(t *testing.T, s *replicationtest.Linked) string {
	t.Helper()
	made, err := s.Policies.Create(t.Context(), policies.Draft{Name: "October", Bulletins: []string{"B"}})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// below makes a site the child of another one, which sends it all of its policies.
func below(t *testing.T, child, parent *replicationtest.Linked) {
	t.Helper()
	child.Join(t, parent)
	rule := sites.Rule{Name: "Policies for " + child.Site().Name, Type: "policies", Enabled: true, Mode: "differential", Children: []string{child.Site().ID}}
	if _, err := parent.Sites.CreateRule(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, s *replicationtest.Linked, sums ...string) error {
	for _, sum := range sums {
		if !s.Content.Has(sum) {
			return fmt.Errorf("%s does not hold %.12s; payload documents %d, policies %d, link %+v", s.Site().Name, sum, s.Count(t, document.Payload), s.Count(t, document.Policy), s.Link.State().Waits)
		}
	}
	return nil
}

// TestAPolicyPullsItsPayloadsThroughThreeLevels makes a policy at the top: its payloads arrive at the grandchild without
// anybody but the top asking the vendor, and only those of the languages of each site.
func TestAPolicyPullsItsPayloadsThroughThreeLevels(t *testing.T) {
	v := newVendor(t)
	top := start(t, replicationtest.Config{Name: "Top", Languages: []string{"de", "fr"}})
	middle := start(t, replicationtest.Config{Name: "Middle", Languages: []string{"de", "fr"}})
	low := start(t, replicationtest.Config{Name: "Low", Languages: []string{"de"}})
	stock(t, top, v.pack(t, "neutral.exe", 400_000), v.pack(t, "german.exe", 300_000, "de"), v.pack(t, "french.exe", 200_000, "fr"))
	staged(t, top)
	below(t, middle, top)
	below(t, low, middle)
	order(t, top)
	low.Eventually(t, "the grandchild holds what the policy pins", func() error {
		return errors.Join(holds(t, low, v.sum("neutral.exe"), v.sum("german.exe")), ready(t, low))
	})
	middle.Eventually(t, "the child holds all", func() error {
		return errors.Join(holds(t, middle, v.sum("neutral.exe"), v.sum("german.exe"), v.sum("french.exe")), ready(t, middle))
	})
	if low.Content.Has(v.sum("french.exe")) {
		t.Error("the grandchild fetched a language that it does not manage")
	}
	for _, name := range []string{"neutral.exe", "german.exe", "french.exe"} {
		if n := v.requests(name); n != 1 {
			t.Errorf("the vendor was asked %d times for %s", n, name)
		}
	}
	if n := low.Count(t, document.Payload); n != 2 {
		t.Errorf("%d payload documents at the grandchild", n)
	}
}
