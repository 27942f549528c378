package imports_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/imports"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/tasks"
	"thatch/ringtest"
)

func BenchmarkImport(b *testing.B) {
	from := ringtest.Data(b, "msrc")
	for b.Loop() {
		b.StopTimer()
		n := nodetest.New(b)
		n.Tasks.Start(b.Context())
		b.StartTimer()
		if run, _ := nodetest.Import(b, n, imports.Import{Source: "msrc", From: from}); run.State != tasks.Done {
			b.Fatal(run.Error)
		}
	}
}

// The counts of an import are those of an independent count over the documents themselves.
func TestImportTwice(t *testing.T) {
	from := ringtest.Data(t, "msrc")
	n := nodetest.New(t)
	n.Tasks.Start(t.Context())
	run, first := nodetest.Import(t, n, imports.Import{Source: "msrc", From: from})
	if run.State != tasks.Done || first.Files != 15 || first.Changed == 0 {
		t.Fatalf("first import: %s %q, %+v", run.State, run.Error, first.SourceCounts)
	}
	want := countBodies(t, n)
	if first.SourceCounts != want {
		t.Errorf("counts %+v, the bodies have %+v", first.SourceCounts, want)
	}
	index := n.Index()
	run, second := nodetest.Import(t, n, imports.Import{Source: "msrc", From: from})
	if run.State != tasks.Done || second.Changed != 0 || second.Files != 0 || second.Skipped != 15 {
		t.Errorf("second import: %s %q, %d changed, %d read, %d skipped", run.State, run.Error, second.Changed, second.Files, second.Skipped)
	}
	if second.SourceCounts != want {
		t.Errorf("counts of the second import %+v, want %+v", second.SourceCounts, want)
	}
	if batches := n.Index() - index; batches > 4 {
		t.Errorf("an import of nothing new wrote %d batches, want those of the run alone", batches)
	}
}

// countBodies decodes every document.
func countBodies(t *testing.T, n *node.Node) bulletins.SourceCounts {
	t.Helper()
	var c bulletins.SourceCounts
	kbs, pairs, edges := map[string]bool{}, map[[2]string]bool{}, map[[2]string]bool{}
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		all, err := store.Documents(t.Context(), tx, document.Update, "", 1<<20)
		if err != nil {
			return err
		}
		for _, doc := range all {
			u, err := catalog.Decode[catalog.Update](doc.Body)
			if err != nil {
				return err
			}
			c.Updates++
			if u.Applicable == nil {
				c.NoRule++
			}
			kbs[u.KB], pairs[[2]string{u.KB, u.Product.ID}] = true, true
			for _, id := range u.Supersedes {
				c.ByProduct++
				edges[[2]string{u.KB, strings.Split(id, "/")[1]}] = true
			}
		}
		c.Bulletins, err = store.Count(t.Context(), tx, document.Bulletin)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.KBs, c.KBProducts, c.Edges = len(kbs), len(pairs), len(edges)
	return c
}

func TestImportGarbage(t *testing.T) {
	n := nodetest.New(t)
	n.Tasks.Start(t.Context())
	dir := t.TempDir()
	good := `<cvrfdoc xmlns="http://www.icasi.org/CVRF/schema/cvrf/1.1"><DocumentTitle>t</DocumentTitle>` +
		`<DocumentTracking><Identification><ID>2019-Feb</ID></Identification><CurrentReleaseDate>2019-02-12T08:00:00Z</CurrentReleaseDate></DocumentTracking></cvrfdoc>`
	for name, text := range map[string]string{"good.xml": good, "cut.xml": good[:len(good)/2], "text.xml": "no XML at all", "empty.xml": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run, done := nodetest.Import(t, n, imports.Import{Source: "msrc", From: dir})
	if run.State != tasks.Failed || done.Files != 1 || done.Failed != 3 || run.Error == "" {
		t.Errorf("%s %q: %d read, %d failed; want failed with 1 and 3", run.State, run.Error, done.Files, done.Failed)
	}
	if len(run.Lines) != 3 {
		t.Errorf("log: %+v", run.Lines)
	}
	run, _ = nodetest.Import(t, n, imports.Import{Source: "msrc", From: filepath.Join(dir, "nothing")})
	if run.State != tasks.Failed {
		t.Errorf("an import from nowhere is %s", run.State)
	}
	if _, err := n.Imports.Start(t.Context(), imports.Import{Source: "nobody"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an unknown source: %v", err)
	}
}

// Several locations are one run; one that cannot be read loses nothing else.
func TestImportSeveralLocations(t *testing.T) {
	n := nodetest.New(t)
	n.Tasks.Start(t.Context())
	var folders []string
	for _, id := range []string{"2019-Jan", "2019-Feb"} {
		dir := t.TempDir()
		text := `<cvrfdoc xmlns="http://www.icasi.org/CVRF/schema/cvrf/1.1"><DocumentTitle>t</DocumentTitle><DocumentTracking><Identification><ID>` + id +
			`</ID></Identification><CurrentReleaseDate>2019-02-12T08:00:00Z</CurrentReleaseDate></DocumentTracking></cvrfdoc>`
		if err := os.WriteFile(filepath.Join(dir, "a.xml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, dir)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	run, done := nodetest.Import(t, n, imports.Import{Source: "msrc", All: []string{folders[0], nowhere, folders[1]}})
	if run.State != tasks.Failed || done.Files != 2 || !strings.Contains(run.Error, "nowhere") {
		t.Errorf("%s %q: %d files read", run.State, run.Error, done.Files)
	}
	if run, done = nodetest.Import(t, n, imports.Import{Source: "msrc", All: folders}); run.State != tasks.Done || done.Skipped != 2 {
		t.Errorf("%s %q: %+v", run.State, run.Error, done.Result)
	}
}

func TestChangeSource(t *testing.T) {
	n := nodetest.New(t)
	n.Tasks.Start(t.Context())
	from, when, on := []string{"https://vendor.example/cvrf", "https://other.example/cvrf"}, "0 4 * * *", true
	change := imports.Change{From: from, Exclude: []string{"Mariner"}, Schedule: &when, Enabled: &on}
	if err := n.Imports.Change(t.Context(), "msrc", change); err != nil {
		t.Fatal(err)
	}
	list, err := n.Imports.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(list, func(s imports.Source) bool { return s.Name == "msrc" })
	if s := list[at]; !slices.Equal(s.From, from) || s.Schedule != when || !s.Enabled || !slices.Equal(s.Exclude, []string{"Mariner"}) || s.Inherits {
		t.Errorf("source %+v", s)
	}
	bad := "every day"
	if err := n.Imports.Change(t.Context(), "msrc", imports.Change{Schedule: &bad}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a schedule that is none: %v", err)
	}
	if err := n.Imports.Change(t.Context(), "nobody", change); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown source: %v", err)
	}
	if err := n.Imports.Change(t.Context(), "msrc", imports.Change{Inherit: true}); err != nil {
		t.Fatal(err)
	}
	list, err = n.Imports.List(t.Context())
	if err != nil || !list[at].Inherits || !slices.Equal(list[at].From, from) {
		t.Errorf("source %+v, %v", list[at], err)
	}
}
