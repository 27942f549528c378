package node_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/folder"
	"thatch/node/nodetest"
	"thatch/node/store"
)

// waitUntil asks until it is so.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatal(what)
		case <-tick.C:
		}
	}
}

// What was verified before a restart is not read anew, and a file of the node's own that is lost or damaged costs that
// and nothing else.
func TestOwnFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, folder.OwnFile)
	var digest string
	for _, c := range []struct {
		what  string
		spoil func() error
		due   int // payloads that are to be read
	}{
		{"at first", func() error { return nil }, 1},
		{"again", func() error { return nil }, 0},
		{"lost", func() error { return os.Remove(path) }, 1},
		{"damaged", func() error { return os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600) }, 1},
		{"once more", func() error { return nil }, 0},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		n, err := node.New(t.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if digest == "" {
			info, err := n.Content.Put(t.Context(), "", strings.NewReader("payload"))
			if err != nil {
				t.Fatal(err)
			}
			digest = info.SHA256
		}
		if due, err := n.Content.Due(time.Now().Add(-time.Hour)); err != nil || len(due) != c.due {
			t.Errorf("%s: %d payloads are to be read, want %d; %v", c.what, len(due), c.due, err)
		}
		r, err := n.Content.Open(digest)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		r.Close()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s: %v, %v", c.what, info, err)
		}
	}
}

// A node that runs finds what its disk damaged, and says so in its metrics.
func TestChecksRun(t *testing.T) {
	defer node.FirstCheck()()
	n := nodetest.New(t)
	bulletinstest.Save(t, n.Bulletins, "sdp", "f", bulletinstest.Doc(t, document.Bulletin, "B", nil, catalog.Bulletin{Name: "B", Source: "sdp"}))
	bulletinstest.Write(t, n.Writer(), store.Statement{SQL: `UPDATE revision SET body = x'00' WHERE id = 'B'`, Want: 1})
	info, err := n.Content.Put(t.Context(), "", strings.NewReader("payload"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.Dir(), folder.ContentFolder, "payloads", info.SHA256[:2], info.SHA256)
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	n.Collect(registry)
	nodetest.Run(t, n, map[string]http.Handler{})
	waitUntil(t, "an altered payload stays", func() bool { return !n.Content.Has(info.SHA256) })
	for _, metric := range []string{"thatch_documents_damaged", "thatch_payloads_altered_total"} {
		waitUntil(t, metric+" does not say 1", func() bool {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == metric {
					return f.GetMetric()[0].GetGauge().GetValue()+f.GetMetric()[0].GetCounter().GetValue() == 1
				}
			}
			return false
		})
	}
}
