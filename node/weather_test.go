package node_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"thatch/node"
	"thatch/node/imports"
	"thatch/node/nodetest"
	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/tasks"
)

// slowVendor serves a catalog of some packages, slowly: an import of it takes long enough to be cut.
func slowVendor(t *testing.T, packages int) (address string, content []byte) {
	t.Helper()
	one, err := os.ReadFile("../catalog/importer/sdp/testdata/full.sdp")
	if err != nil {
		t.Fatal(err)
	}
	_, one, _ = bytes.Cut(one, []byte("?>\n"))
	one = bytes.Replace(one, []byte("<p:SoftwareDistributionPackage "), []byte("<smc:SoftwareDistributionPackage "), 1)
	one = bytes.Replace(one, []byte("</p:SoftwareDistributionPackage>"), []byte("</smc:SoftwareDistributionPackage>"), 1)
	var all bytes.Buffer
	all.WriteString(`<?xml version="1.0" encoding="utf-8"?>` + "\n" +
		`<smc:SystemsManagementCatalog xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd">` + "\n")
	for i := range packages {
		next := bytes.Replace(one, []byte(`PackageID="A0000000-`), fmt.Appendf(nil, `PackageID="%08X-`, 0xD0000000+i), 1)
		all.Write(bytes.Replace(next, []byte("KB0004711"), fmt.Appendf(nil, "KB%07d", 5000000+i), 1))
		all.WriteByte('\n')
	}
	all.WriteString("</smc:SystemsManagementCatalog>\n")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(all.Len()))
		for piece := range slices.Chunk(all.Bytes(), 32<<10) {
			if _, err := w.Write(piece); err != nil {
				return
			}
			rest := time.NewTimer(10 * time.Millisecond)
			select {
			case <-rest.C:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/catalog.xml", all.Bytes()
}

// brought are the documents that an import made, with their digests.
func brought(t *testing.T, n *node.Node) (list []string) {
	t.Helper()
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(t.Context(), `SELECT kind || ' ' || id || ' ' || hex(digest) FROM document
			WHERE kind IN ('bulletin', 'update', 'package') ORDER BY kind, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			list = append(list, line)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// storm is a site in bad weather, and what writers were told of what they wrote.
type storm struct {
	t      *testing.T
	site   *nodetest.Site
	random *rand.Rand
	mu     sync.Mutex
	acked  map[string]bool
	tried  int
}

// write has one row after the other written through whichever node, each together with a count of them all.
func (s *storm) write(ctx context.Context, writer int, random *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		nodes := s.site.Nodes()
		if len(nodes) == 0 {
			continue
		}
		name := fmt.Sprintf("row %d %d", writer, i)
		limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		applied, err := nodes[random.IntN(len(nodes))].Writer().Write(limit, store.Batch{Actor: "task test", Reason: "row", Statements: []store.Statement{
			{SQL: `INSERT INTO setting (name, value, version) VALUES (?, '', 1)`, Args: []any{name}, Want: 1},
			{SQL: `INSERT INTO setting (name, value, version) VALUES ('count', '', 1) ON CONFLICT (name) DO UPDATE SET version = version + 1`},
		}})
		cancel()
		if err == nil {
			err = applied.Err()
		}
		s.mu.Lock()
		s.tried++
		if err == nil {
			s.acked[name] = true
		}
		s.mu.Unlock()
		nodetest.Pause(ctx, 2*time.Millisecond)
	}
}

// gust does one thing to the site, and says what.
func (s *storm) gust(ctx context.Context) {
	r := s.random
	some := func(most int) time.Duration { return time.Duration(1+r.IntN(most)) * time.Millisecond }
	a, b := r.IntN(3), r.IntN(3)
	switch r.IntN(7) {
	case 0: // a link flaps
		for range 1 + r.IntN(5) {
			s.site.Wire.Part(s.site.ID(a), s.site.ID(b), true)
			s.site.Wire.Part(s.site.ID(b), s.site.ID(a), true)
			nodetest.Pause(ctx, some(100))
			s.site.Wire.Part(s.site.ID(a), s.site.ID(b), false)
			s.site.Wire.Part(s.site.ID(b), s.site.ID(a), false)
			nodetest.Pause(ctx, some(100))
		}
	case 1: // one does not hear the other
		s.site.Wire.Part(s.site.ID(a), s.site.ID(b), true)
		nodetest.Pause(ctx, some(1500))
		s.site.Wire.Part(s.site.ID(a), s.site.ID(b), false)
	case 2, 3: // the leader is alone, or anybody
		if leads := s.leads(); leads >= 0 && r.IntN(2) == 0 {
			a = leads
		}
		s.site.Cut(a, true)
		nodetest.Pause(ctx, some(3000))
		s.site.Cut(a, false)
	case 4: // one dies, and comes back
		if leads := s.leads(); leads >= 0 && r.IntN(2) == 0 {
			a = leads
		}
		s.site.Kill(a)
		nodetest.Pause(ctx, some(1500))
		s.site.Start(a)
	case 5: // the lead is handed over
		if leads := s.leads(); leads >= 0 {
			_ = s.site.Node(leads).Votes().Transfer(ctx) // where it cannot be, it stays
		}
	case 6: // the log is shortened, and somebody lags
		if err := s.site.Node(a).Votes().Snapshot(); err != nil && ctx.Err() == nil {
			s.t.Logf("no snapshot: %v", err)
		}
	}
	nodetest.Pause(ctx, some(600))
}

func (s *storm) leads() int {
	for i := range 3 {
		if n := s.site.Node(i); n != nil {
			if leading, _, _ := n.Votes().Leading(); leading {
				return i
			}
		}
	}
	return -1
}

// A site of three lives through weather while it imports, marches and is written to: links flap, leaders are lost in the middle
// of an import and of a snapshot. In the end nothing that was acknowledged is lost or there twice, the import has brought what
// it brings in fair weather, no two ever marched at once, and every table is equal at all nodes. THATCH_WEATHER says for how
// long (10m), THATCH_SEED of which seed.
func TestWeather(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	lasts, seed := 8*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("THATCH_WEATHER"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("THATCH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("THATCH_SEED=%d", seed)
	address, content := slowVendor(t, 250)
	site := nodetest.NewSiteWith(t, nodetest.SiteConfig{
		Tuning: quorum.Tuning{Heartbeat: 700 * time.Millisecond, SnapshotBytes: 512 << 10, TrailingBytes: 16 << 10},
		Config: node.Config{Quorum: quorum.Config{Wait: 4 * time.Second}},
		Doors: func(n *node.Node) map[string]http.Handler {
			n.Tasks.Register(marching(n))
			return nil
		},
	})
	s := &storm{t: t, site: site, random: rand.New(rand.NewPCG(seed, 1)), acked: map[string]bool{}}
	if _, err := site.Leader().Tasks.Run(t.Context(), "march", struct{}{}); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Node(site.Follower()).Imports.Start(t.Context(), imports.Import{Source: "sdp", From: address}); err != nil {
		t.Fatal(err)
	}
	ctx, calm := context.WithTimeout(t.Context(), lasts)
	defer calm()
	var writers sync.WaitGroup
	for w := range 3 {
		random := rand.New(rand.NewPCG(seed, uint64(w+2)))
		writers.Go(func() { s.write(ctx, w, random) })
	}
	for ctx.Err() == nil {
		s.gust(ctx)
	}
	writers.Wait()
	s.settle(content)
}

// settle waits for the end of what goes on, and looks at what is left of everything.
func (s *storm) settle(content []byte) {
	t, site := s.t, s.site
	t.Helper()
	var march, took []tasks.Run
	site.Until("the import ends, and the march goes on", func() error {
		runs, _, err := site.Leader().Tasks.Runs(t.Context(), store.Query{Limit: 1000})
		march, took = nil, nil
		for _, run := range runs {
			if run.Kind == "march" {
				march = append(march, run)
			} else if run.Kind == imports.Kind {
				took = append(took, run)
			}
		}
		if err == nil && (len(march) == 0 || march[0].State != tasks.Running || len(took) == 0 || took[0].State != tasks.Done) {
			err = fmt.Errorf("march %+v, import %+v", march, took)
		}
		return err
	})
	if err := site.Node(site.Follower()).Tasks.Cancel(t.Context(), march[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Leader().Tasks.Wait(t.Context(), march[0].ID); err != nil {
		t.Fatal(err)
	}
	site.Equal()
	n := site.Leader()
	rows, count := map[string]bool{}, 0
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		found, err := tx.QueryContext(t.Context(), `SELECT name, version FROM setting WHERE name GLOB 'row *' OR name = 'count'`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var name string
			var version int
			if err := found.Scan(&name, &version); err != nil {
				return err
			}
			if name == "count" {
				count = version
			} else {
				rows[name] = true
			}
		}
		return found.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	var lost []error
	for name := range s.acked {
		if !rows[name] {
			lost = append(lost, errors.New(name))
		}
	}
	if len(lost) > 0 || count != len(rows) {
		t.Errorf("of %d rows tried %d were acknowledged and %d are there, counted %d; lost: %v", s.tried, len(s.acked), len(rows), count, lost)
	}
	turns := marched(t, n)
	if unique := slices.Compact(slices.Sorted(slices.Values(turns))); len(unique) != len(turns) {
		t.Errorf("two marched at once: %v", turns)
	}
	fair := nodetest.New(t)
	nodetest.Run(t, fair, nil)
	file := filepath.Join(t.TempDir(), "catalog.xml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	nodetest.Import(t, fair, imports.Import{Source: "sdp", From: file})
	if got, want := brought(t, n), brought(t, fair); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the import brought %d documents, in fair weather %d", len(got), len(want))
	}
	t.Logf("%d rows tried, %d acknowledged; %d runs of the march, %d of the import; index %d", s.tried, len(s.acked), len(march), len(took), n.Index())
}
