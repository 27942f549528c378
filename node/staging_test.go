package node_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/staging"
	"thatch/node/folder"
	"thatch/node/imports"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/tasks"
)

// vendor hosts every path: its bytes are the path.
func vendor(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	t.Cleanup(s.Close)
	return s
}

// stocked fills a node's catalog: one update with a package in each of the languages.
func stocked(t *testing.T, n *node.Node, from string, languages ...string) {
	t.Helper()
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "B", nil, catalog.Bulletin{Name: "B", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "U", nil, catalog.Update{Name: "U", Bulletin: "B", Source: "sdp"}),
	}
	for _, language := range languages {
		sum := sha256.Sum256([]byte("/" + language + ".bin"))
		docs = append(docs, bulletinstest.Doc(t, document.Package, "P-"+language, []string{language}, catalog.Package{
			Update: "U", Name: language, Files: []catalog.File{{Name: language + ".bin", SHA256: hex.EncodeToString(sum[:]), URL: from + "/" + language + ".bin"}},
		}))
	}
	bulletinstest.Save(t, n.Bulletins, "sdp", "f", docs...)
}

// eventually asks again until the packages have a status.
func eventually(t *testing.T, n *node.Node, status staging.Status, languages ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, _, err := n.Bulletins.Packages(ctx, store.Query{Filter: map[string]string{"status": string(status)}})
		if err != nil {
			t.Fatalf("waiting for %v to be %s: %v", languages, status, err)
		}
		if len(rows) == len(languages) {
			return
		}
		<-tick.C
	}
}

// What is staged is downloaded by itself: at first, when a language is added, when a payload is lost, and after a restart.
func TestStagingByItself(t *testing.T) {
	dir := t.TempDir()
	n, err := node.New(t.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0", Languages: []string{"en"}})
	if err != nil {
		t.Fatal(err)
	}
	stop := nodetest.Run(t, n, nil)
	stocked(t, n, vendor(t).URL, "en", "de", "fr")
	if err := n.Staging.Stage(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
	eventually(t, n, staging.Ready, "en")
	if err := n.SetLanguages(t.Context(), []string{"en", "de"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, n, staging.Ready, "en", "de")
	stop()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	// While it is stopped, a payload goes from the disk.
	sum := sha256.Sum256([]byte("/de.bin"))
	name := hex.EncodeToString(sum[:])
	if err := os.Remove(filepath.Join(dir, folder.ContentFolder, "payloads", name[:2], name)); err != nil {
		t.Fatal(err)
	}
	n = nodetest.NewWith(t, node.Config{Dir: dir})
	nodetest.Run(t, n, nil)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !n.Content.Has(name) {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("a payload that is gone from the disk was not fetched again")
		}
	}
	eventually(t, n, staging.Ready, "en", "de")
	if err := n.SetLanguages(t.Context(), []string{"en", "de", "fr"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, n, staging.Ready, "en", "de", "fr")
}

// Whom a site trusts holds for staging as it does for its agents.
func TestStagingTrustsWhomTheSettingsName(t *testing.T) {
	n := nodetest.New(t)
	root := authenticodetest.Authority(t, "Root").PEM()
	text, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		value string
		want  authenticode.Trust
	}{
		{"null", authenticode.Trust{Fingerprints: []string{}, System: true}},
		{string(text), authenticode.Trust{Fingerprints: []string{}, Roots: root}},
	} {
		if _, err := n.Settings.Set(t.Context(), "staging.roots", json.RawMessage(c.value), -1); err != nil {
			t.Fatal(err)
		}
		got, err := n.Downloads(t.Context())
		if err != nil || !reflect.DeepEqual(got.Trust, c.want) || got.AllowUnsafe {
			t.Errorf("%+v, %v; want %+v", got.Trust, err, c.want)
		}
	}
}

// A run that a person cancelled ends, and names what it did not do as downloading still.
func TestStagingIsCancelled(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, nil)
	hangs := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(hangs) })
	stocked(t, n, slow.URL, "en")
	if err := n.Staging.Stage(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
	run, err := n.StartStaging(t.Context())
	if err != nil || run == "" {
		t.Fatalf("run %q, %v", run, err)
	}
	if again, err := n.StartStaging(t.Context()); err != nil || again != run {
		t.Errorf("asked again while it goes on: run %q, %v; want %q", again, err, run)
	}
	if err := n.Tasks.Cancel(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	ended, err := n.Tasks.Wait(t.Context(), run)
	if err != nil || ended.State != tasks.Cancelled {
		t.Errorf("%+v, %v", ended, err)
	}
	eventually(t, n, staging.Downloading, "en")
	if _, err := n.Imports.Start(t.Context(), imports.Import{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an import of nothing: %v", err)
	}
}
