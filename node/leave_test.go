package node_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/imports"
	"thatch/node/nodetest"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/node/tasks"
)

// catalogOf are the documents of the catalog that a site holds, with the keys and sites that it knows.
func catalogOf(t *testing.T, n *node.Node) (catalog, sites []document.Document) {
	t.Helper()
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		for _, kind := range []document.Kind{document.Bulletin, document.Update, document.Package, document.SigningKey, document.Site} {
			docs, err := store.Documents(t.Context(), tx, kind, "", 1000)
			if err != nil {
				return err
			}
			for _, doc := range docs {
				if kind == document.SigningKey || kind == document.Site {
					sites = append(sites, doc.Document)
				} else {
					catalog = append(catalog, doc.Document)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return catalog, sites
}

func write(t *testing.T, n *node.Node, statements ...store.Statement) {
	t.Helper()
	applied, err := n.Writer().Write(t.Context(), store.Batch{
		Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}, Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

// TestSourcesThatAParentCoversAreSwitchedOff: the schedule of a source ends when documents that it made give way to those of a
// site above; others go on, and so does one that is switched on again while nothing gives way.
func TestSourcesThatAParentCoversAreSwitchedOff(t *testing.T) {
	top, site := nodetest.New(t), nodetest.New(t)
	for _, n := range []*node.Node{top, site} {
		nodetest.Run(t, n, nil)
		if run, _ := nodetest.Import(t, n, imports.Import{Source: "sdp", From: "../catalog/importer/sdp/testdata/full.sdp"}); run.State != tasks.Done {
			t.Fatalf("import: %s %q", run.State, run.Error)
		}
	}
	on := func(want string) {
		t.Helper()
		sources, err := site.Imports.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var enabled []string
		for _, s := range sources {
			if s.Enabled {
				enabled = append(enabled, s.Name)
			}
		}
		if got := strings.Join(enabled, " "); got != want {
			t.Errorf("switched on: %q, want %q", got, want)
		}
	}
	yes := true
	for _, source := range []string{"sdp", "msrc"} {
		if err := site.Imports.Change(t.Context(), source, imports.Change{Enabled: &yes}); err != nil {
			t.Fatal(err)
		}
	}
	above, known := catalogOf(t, top)
	// A site without a parent makes its own what it finds of others, at a time of its choice.
	attempt, err := site.Sites.BeginJoin(t.Context(), "https://top.example:8743", false)
	if err == nil {
		_, err = site.Sites.Joined(t.Context(), attempt, sites.Welcome{Site: top.Site().ID, Name: "Top", Authority: top.Identity.Authority(), Documents: known})
	}
	if err != nil {
		t.Fatal(err)
	}
	comes := func(handedOver int) {
		t.Helper()
		entries := make([]dataset.Entry, 0, len(above))
		for _, doc := range above {
			entries = append(entries, dataset.Entry{Head: doc.Head, Body: doc.Body})
		}
		done, err := site.Replicas.Repair(t.Context(), replicas.Neighbour{ID: top.Site().ID, Direction: dataset.Down}, dataset.Data, entries)
		if err != nil || done.HandedOver != handedOver || len(done.Quarantined) > 0 {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	on("msrc sdp")
	comes(len(above))
	on("msrc")
	if err := site.Imports.Change(t.Context(), "sdp", imports.Change{Enabled: &yes}); err != nil {
		t.Fatal(err)
	}
	comes(0)
	on("msrc sdp")
}

// TestASiteThatLeftFollowsTheVendorItself: what came from above becomes its own, and its imports renew it, also from a
// vendor file that they read while the parent's word counted.
func TestASiteThatLeftFollowsTheVendorItself(t *testing.T) {
	sample, err := os.ReadFile("../catalog/importer/sdp/testdata/full.sdp")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sample.sdp")
	revise := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(sample), "Cures three ills", text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	top, site := nodetest.New(t), nodetest.New(t)
	nodetest.Run(t, top, nil)
	nodetest.Run(t, site, nil)
	imports := func(n *node.Node, changed bool) {
		t.Helper()
		if run, done := nodetest.Import(t, n, imports.Import{Source: "sdp", From: file}); run.State != tasks.Done || (done.Changed > 0) != changed {
			t.Fatalf("import: %s %q, %d changed", run.State, run.Error, done.Changed)
		}
	}
	revise("Cures three ills")
	imports(top, true)
	write(t, site, store.Statement{
		SQL:  `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, ?, 'Top', '[]', x'', '', '', '', 1)`,
		Args: []any{top.Site().ID},
	})
	above, keys := catalogOf(t, top)
	for _, doc := range append(keys, above...) {
		write(t, site, store.Receive(doc, false, store.Former{})...)
	}
	revise("Cures four ills")
	imports(site, false)

	if err := site.Sites.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "what the parent left is not the site's own", func() bool {
		held, _ := catalogOf(t, site)
		for _, doc := range held {
			if doc.Origin != site.Site().ID {
				return false
			}
		}
		return len(held) == len(above)
	})
	imports(site, true)
	imports(site, false)
	held, _ := catalogOf(t, site)
	if len(held) != len(above) {
		t.Errorf("%d documents, %d came from above", len(held), len(above))
	}
	for _, doc := range held {
		if strings.Contains(string(doc.Body), "three ills") {
			t.Errorf("%s %s is as the parent left it", doc.Kind, doc.ID)
		}
	}
}
