package recorded_test

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts/recorded"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/evaluate"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/msrc"
	"thatch/catalog/supersedence"
	"thatch/ringtest"
)

// imported is a catalog in memory.
type imported struct {
	graph   *supersedence.Graph
	updates map[string]*catalog.Update
}

func (c *imported) all() iter.Seq2[string, *catalog.Update] {
	return func(yield func(string, *catalog.Update) bool) {
		for id, u := range c.updates {
			if !yield(id, u) {
				return
			}
		}
	}
}

func importAll(t testing.TB, from string) *imported {
	t.Helper()
	var sink importertest.Memory
	if _, err := importer.Run(context.Background(), &msrc.Source{}, &sink, importer.Request{From: from}, nil); err != nil {
		t.Fatal(err)
	}
	c := &imported{supersedence.NewGraph(), make(map[string]*catalog.Update)}
	for _, d := range sink.Documents() {
		switch d.Kind {
		case document.Bulletin:
			b, err := catalog.Decode[catalog.Bulletin](d.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.graph.AddBulletin(d.ID, &b)
		case document.Update:
			u, err := catalog.Decode[catalog.Update](d.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.graph.AddUpdate(d.ID, &u)
			c.updates[d.ID] = &u
		}
	}
	return c
}

func (c *imported) evaluate(t testing.TB, host, hotfixes, asOf string, all bool) evaluate.Result {
	t.Helper()
	raw, err := os.ReadFile(host)
	if err != nil {
		t.Fatal(err)
	}
	var list []byte
	if hotfixes != "" {
		if list, err = os.ReadFile(hotfixes); err != nil {
			t.Fatal(err)
		}
	}
	h, err := recorded.Read(raw, list)
	if err != nil {
		t.Fatal(err)
	}
	var day time.Time
	if asOf != "" {
		if day, err = time.Parse(time.DateOnly, asOf); err != nil {
			t.Fatal(err)
		}
	}
	return evaluate.Evaluate(&h.Facts, c.all(), c.graph, c.graph.View(day), all)
}

func TestTryHosts(t *testing.T) {
	hosts, c := ringtest.Data(t, "hosts"), importAll(t, ringtest.Data(t, "msrc"))
	t.Log(c.graph.Counts())
	names, _ := filepath.Glob(filepath.Join(hosts, "*_systeminfo.txt"))
	for _, name := range names {
		for _, asOf := range []string{"", "2019-03-06"} {
			began := time.Now()
			r := c.evaluate(t, name, "", asOf, false)
			un := 0
			for _, u := range r.Unknown {
				if !strings.Contains(u.Product, "indows") {
					continue
				}
				un += len(u.Updates)
			}
			t.Logf("%s as of %q: %+v missing %d unknown groups %d of windows %d, installed %d, superseded %d, unknown left out %d (%v)", filepath.Base(name), asOf, r.Host, len(r.Missing), len(r.Unknown), un, r.Installed, r.Superseded, r.NoLongerAsks, time.Since(began))
			for _, m := range r.Missing {
				t.Logf("    %s %s %s %v by %s %s", m.KB, m.Severity, m.Product, m.Exploited, m.By, c.updates[m.Update].Class)
			}
			for _, u := range r.Unknown {
				if strings.Contains(u.Product, "indows") {
					t.Logf("    ? %s %v: %s", u.Product, u.KBs, u.Reason)
				}
			}
		}
	}
}
