package node_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/tasks"
)

// marching is a kind that writes a row after the other until it is told to end, each with the index at which it was written.
func marching(n *node.Node) tasks.Kind {
	return tasks.Kind{Name: "march", Resume: true, Do: func(ctx context.Context, job *tasks.Job) (any, error) {
		for step := 1; ; step++ {
			applied, err := n.Writer().Write(ctx, store.Batch{Actor: "task march", Reason: "step", Statements: []store.Statement{{
				SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, ?)`,
				Args: []any{fmt.Sprintf("march %s %d", job.ID, step), job.ID, store.Index{}}, Want: 1,
			}}})
			if err = errors.Join(err, applied.Err()); err != nil {
				return nil, err
			}
			job.Progress(tasks.Progress{Done: int64(step)})
			rest := time.NewTimer(5 * time.Millisecond)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-rest.C:
			}
		}
	}}
}

// marched are the runs that wrote, in the order of what they wrote, each named once for what it wrote without interruption.
func marched(t *testing.T, n *node.Node) (runs []string) {
	t.Helper()
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(t.Context(), `SELECT value FROM setting WHERE name GLOB 'march *' ORDER BY version`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var run string
			if err := rows.Scan(&run); err != nil {
				return err
			}
			runs = append(runs, run)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Compact(runs)
}

// going is the run that goes on, as a node knows it.
func going(t *testing.T, n *node.Node) (tasks.Run, error) {
	t.Helper()
	runs, _, err := n.Tasks.Runs(t.Context(), store.Query{Filter: map[string]string{"kind": "march", "state": "running"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 1 || runs[0].Progress.Done == 0 {
		return tasks.Run{}, fmt.Errorf("running: %+v", runs)
	}
	return runs[0], nil
}

// A run that is asked for at a follower is done by the leader, shown and cancelled at any node, and gone on with by the next
// leader, of which the former one's late words are none.
func TestWorkMovesWithTheLead(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	site := nodetest.NewSiteWith(t, nodetest.SiteConfig{Doors: func(n *node.Node) map[string]http.Handler {
		n.Tasks.Register(marching(n))
		return nil
	}})
	first := site.Leads()
	id, err := site.Node(site.Follower()).Tasks.Run(t.Context(), "march", struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.Node(site.Follower()).Tasks.Run(t.Context(), "march", struct{}{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second run: %v", err)
	}
	want := []string{id}
	at := site.Node(site.Follower())
	site.Until("another node shows how far it is", func() error {
		run, err := going(t, at)
		if err == nil && (run.ID != id || run.Node != site.ID(first)) {
			err = fmt.Errorf("%+v", run)
		}
		return err
	})

	site.Cut(first, true)
	second := site.Leads()
	site.Until("the next leader goes on", func() error {
		run, err := going(t, site.Node(second))
		if err == nil && (run.Resumes != id || run.Node != site.ID(second)) {
			err = fmt.Errorf("%+v", run)
		}
		if err == nil {
			want = append(want, run.ID)
		}
		return err
	})
	site.Cut(first, false)
	site.Kill(second)
	last := ""
	site.Until("the third leader goes on", func() error {
		run, err := going(t, site.Leader())
		if err == nil && run.Resumes != want[1] {
			err = fmt.Errorf("%+v", run)
		}
		last = run.ID
		return err
	})
	want = append(want, last)
	site.Start(second)
	at = site.Node(site.Follower())
	if err := at.Tasks.Cancel(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if run, err := at.Tasks.Wait(t.Context(), last); err != nil || run.State != tasks.Cancelled {
		t.Errorf("cancelled elsewhere: %+v, %v", run, err)
	}
	site.Equal()
	if got := marched(t, site.Leader()); !slices.Equal(got, want) {
		t.Errorf("wrote %v, want one after the other %v", got, want)
	}
}
