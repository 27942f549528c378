package node_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/tasks"
)

// past writes what happened long ago at a node: entries of the audit log, runs with lines, alarms, withdrawn documents.
func past(t *testing.T, n *node.Node, count int) {
	t.Helper()
	builder := store.NewBuilder(store.Batch{Actor: "task test", Reason: "long ago", At: n.Now()})
	add := func(statements ...store.Statement) {
		if err := builder.Add(statements...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range count {
		add(store.Statement{
			SQL:  `INSERT INTO audit (idx, pos, at, actor, action, request, detail) VALUES (?, ?, '2001-01-01T00:00:00Z', 'a', 'b', '', ?)`,
			Args: []any{store.Index{}, store.Position(0), strings.Repeat("x", 300)},
		})
		add(store.Statement{
			SQL: `INSERT INTO run (id, task, kind, node, state, actor, params, resumes, started, ended, progress)
				VALUES (?, 'old', '', '', 'done', '', '', '', ?, '2001-01-02T00:00:00Z', '')`,
			Args: []any{fmt.Sprint("old ", i), fmt.Sprintf("2001-01-01T%05d", i)},
		}, store.Statement{SQL: `INSERT INTO run_line (run, number, at, text) VALUES (?, 1, '', 'line')`, Args: []any{fmt.Sprint("old ", i)}})
		add(store.Statement{
			SQL:  `INSERT INTO alarm (kind, subject, text, advice, since, cleared) VALUES ('test', ?, '', '', '', '2001-01-01T00:00:00Z')`,
			Args: []any{fmt.Sprint(i)},
		})
		doc, err := document.New(document.Update, fmt.Sprint("u", i%10), nil, []byte(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		n.Identity.SignAll([]*document.Document{&doc})
		add(store.Put(doc, "", store.Former{})...)
	}
	for _, b := range builder.Batches() {
		applied, err := n.Writer().Write(t.Context(), b)
		if err = errors.Join(err, applied.Err()); err != nil {
			t.Fatal(err)
		}
	}
}

// old counts what was to be forgotten.
func old(t *testing.T, n *node.Node) (counts string) {
	t.Helper()
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT (SELECT count(*) FROM audit WHERE at LIKE '2001%') || ' ' || (SELECT count(*) FROM run WHERE task = 'old') || ' ' ||
			(SELECT count(*) FROM run_line WHERE text = 'line') || ' ' || (SELECT count(*) FROM alarm) || ' ' ||
			(SELECT count(*) FROM journal WHERE kind = 'update')`).Scan(&counts)
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// forgotten is what old says where all but the last run of the task and the last entries of documents went.
const forgotten = "0 1 1 0 10"

func keepHouse(ctx context.Context, n *node.Node) error {
	id, err := n.Tasks.RunTask(ctx, "housekeeping")
	if errors.Is(err, store.ErrConflict) { // the schedule was faster
		return err
	}
	if err != nil {
		return err
	}
	run, err := n.Tasks.Wait(ctx, id)
	if err == nil && run.State != tasks.Done {
		err = fmt.Errorf("the run is %s: %s", run.State, run.Error)
	}
	return err
}

// TestForgetting: housekeeping forgets what is old while others write, and while snapshots are made.
func TestForgetting(t *testing.T) {
	clock := nodetest.NewClock()
	dir := t.TempDir()
	n := nodetest.NewWith(t, node.Config{Dir: dir, Now: clock.Now})
	nodetest.Run(t, n, nil)
	past(t, n, 1500)
	if err := keepHouse(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if got := old(t, n); got != "0 1 1 0 1500" {
		t.Errorf("on the first day: %s", got)
	}
	clock.Move(91 * 24 * time.Hour)
	var others sync.WaitGroup
	done := make(chan struct{})
	others.Go(func() {
		for i := 0; ; i++ {
			if _, err := n.Settings.Set(t.Context(), "agents.attempts", []byte(fmt.Sprint(1+i%9)), -1); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	others.Go(func() {
		for i := range 3 {
			if err := n.Votes().Snapshot(); err != nil {
				t.Errorf("snapshot %d: %v", i, err)
			}
		}
	})
	for err := errors.New("not yet"); err != nil; {
		if err = keepHouse(t.Context(), n); err != nil && !errors.Is(err, store.ErrConflict) {
			t.Fatal(err)
		}
	}
	close(done)
	others.Wait()
	if got := old(t, n); got != forgotten {
		t.Errorf("three months later: %s, want %s", got, forgotten)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "quorum", "snapshots", "*")); err != nil || len(found) != 1 {
		t.Errorf("snapshots: %v, %v", found, err)
	}
}

// TestForgettingOutlivesTheLeader: what one leader began to forget the next one goes on with, and all nodes forget the same.
func TestForgettingOutlivesTheLeader(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	clock := nodetest.NewClock()
	site := nodetest.NewSiteWith(t, nodetest.SiteConfig{Config: node.Config{Now: clock.Now}})
	past(t, site.Leader(), 1500)
	if err := keepHouse(t.Context(), site.Leader()); err != nil {
		t.Fatal(err)
	}
	clock.Move(91 * 24 * time.Hour)
	first := site.Leads()
	leader := site.Node(first)
	watch := leader.Watch(store.TopicDocuments, "identity", "tasks")
	defer watch.Close()
	if _, err := leader.Tasks.RunTask(t.Context(), "housekeeping"); err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	<-watch.C // something was forgotten
	site.Kill(first)
	site.Until("the next leader forgets", func() error {
		n := site.Leader()
		if err := keepHouse(t.Context(), n); err != nil {
			return err
		}
		if got := old(t, n); got != forgotten {
			return fmt.Errorf("there is %s, want %s", got, forgotten)
		}
		return nil
	})
	site.Start(first)
	site.Equal()
}

// TestRulesOfLongAgo: an agent that was away for longer than withdrawals stay in the journal is told of them all the same, by a
// node that started since too; and one that begins gets everything, page by page.
func TestRulesOfLongAgo(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})
	nodetest.Run(t, n, nil)
	save := func(ids ...string) {
		var docs []document.Document
		for _, id := range ids {
			docs = append(docs, bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
				Name: id, Bulletin: "b", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
			}))
		}
		bulletinstest.Save(t, n.Bulletins, "sdp", "file", docs...)
	}
	since := func(c *live.Catalog, at store.Sequence, limit int) (page live.Page) {
		t.Helper()
		if err := c.Read(t.Context(), func(v *live.View) error { page = v.Since(at, limit, live.For("windows")); return nil }); err != nil {
			t.Fatal(err)
		}
		return page
	}
	save("u1", "u2", "u3", "u4", "u5")
	first := since(n.Bulletins.Catalog(), store.Sequence{}, 100)
	if len(first.Updates) != 5 {
		t.Fatalf("%+v", first)
	}
	withdrawn := first.Updates[1].Number
	save("u1", "u3", "u4", "u5")
	later := since(n.Bulletins.Catalog(), first.Next, 100).Next
	for range 2 { // the first says where the journal stands, the second finds that long ago
		if err := keepHouse(t.Context(), n); err != nil && !errors.Is(err, store.ErrConflict) {
			t.Fatal(err)
		}
		clock.Move(91 * 24 * time.Hour)
		save("u1", "u3", "u4", "u5", "u6")
	}
	for err := errors.New("not yet"); err != nil; {
		if err = keepHouse(t.Context(), n); err != nil && !errors.Is(err, store.ErrConflict) {
			t.Fatal(err)
		}
	}
	var tombstones int
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM journal WHERE digest IS NULL AND kind = 'update'`).Scan(&tombstones)
	})
	if err != nil || tombstones != 0 {
		t.Fatalf("%d withdrawals are in the journal, %v", tombstones, err)
	}
	for what, c := range map[string]*live.Catalog{"the node that saw it": n.Bulletins.Catalog(), "one that started since": live.New(n.Reader(), nil)} {
		page := since(c, first.Next, 100)
		if !slices.Equal(page.Removed, []uint32{withdrawn}) || len(page.Updates) != 1 {
			t.Errorf("%s tells an old agent of %d updates and that %v went, want 1 and %d", what, len(page.Updates), page.Removed, withdrawn)
		}
		if page := since(c, later, 100); len(page.Updates) != 1 {
			t.Errorf("%s tells one that knew of it of %d updates", what, len(page.Updates))
		}
		seen := map[string]bool{}
		var at store.Sequence
		for range 20 {
			page := since(c, at, 1)
			for _, u := range page.Updates {
				seen[u.ID] = true
			}
			if at = page.Next; !page.More {
				break
			}
		}
		if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, []string{"u1", "u3", "u4", "u5", "u6"}) {
			t.Errorf("%s gives a new agent %v", what, got)
		}
	}
}
