package replication_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
	"thatch/schedule"
)

// farWindow is open for an hour of a week, half a week from now.
func farWindow(now time.Time) sites.Limits {
	day := schedule.Weekday(strings.ToLower(now.UTC().Add(84 * time.Hour).Weekday().String()))
	return sites.Limits{Windows: schedule.Windows{{Name: "far", Repeat: schedule.Weekly, Weekdays: []schedule.Weekday{day}, Start: "00:00", Minutes: 60, Zone: "UTC"}}}
}

// TestTheParentKeepsTheWindows: outside a link's windows a parent gives what schedules send to nobody who asks for it, and
// says when to come again; names, what is urgent, and what a person asks for go at any time.
func TestTheParentKeepsTheWindows(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	if _, err := parent.Sites.Limit(t.Context(), child.Site().ID, farWindow(parent.Now()), -1); err != nil {
		t.Fatal(err)
	}
	client := caller(t, child, parent)
	complete := func(ctx context.Context, of dataset.Type) error {
		_, err := client.Fetch(ctx, wire.PathComplete, wire.CompleteRequest{Type: of, Languages: []string{"de"}})
		return err
	}
	err := complete(t.Context(), dataset.Data)
	if wire.CodeOf(err) != wire.CodeClosed || wire.After(err) < time.Hour || !strings.Contains(err.Error(), "closed until 20") {
		t.Errorf("data outside the windows: %v, again after %v", err, wire.After(err))
	}
	for path, q := range map[string]any{
		wire.PathPage:       wire.PageRequest{Type: dataset.Settings, Languages: []string{"de"}},
		wire.PathBodies:     wire.BodiesRequest{Type: dataset.Data, Languages: []string{"de"}},
		wire.PathBuckets:    wire.BucketsRequest{Type: dataset.Policies, Languages: []string{"de"}},
		wire.PathBucketHead: wire.BucketHeadsRequest{Type: dataset.Data, Languages: []string{"de"}},
	} {
		if _, err := wire.Call[json.RawMessage](t.Context(), client, path, q); wire.CodeOf(err) != wire.CodeClosed {
			t.Errorf("%s outside the windows: %v", path, err)
		}
	}
	answer, err := client.HTTP().Get(client.PayloadURL(strings.Repeat("0", 64), document.Digest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("a payload outside the windows: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	if err := complete(t.Context(), dataset.Languages); err != nil {
		t.Errorf("names and keys: %v", err)
	}
	if err := complete(wire.ByHand(t.Context()), dataset.Data); err != nil {
		t.Errorf("by hand: %v", err)
	}
	if _, err := client.Fetch(t.Context(), wire.PathUrgent, wire.UrgentRequest{Languages: []string{"de"}}); err != nil {
		t.Errorf("what is urgent: %v", err)
	}
	// A person's run goes on, and says so at both.
	child.Eventually(t, "the child hears of the windows", func() error {
		if state := child.Link.State(); state.Link == nil || len(state.Link.Limits.Windows) != 1 {
			return fmt.Errorf("%+v", state.Link)
		}
		return nil
	})
	parent.Put(t, document.Bulletin, "late", `{}`)
	child.Eventually(t, "the child says what waits", func() error {
		if waits := child.Link.State().Waits; !strings.Contains(waits, "closed until 20") {
			return fmt.Errorf("waits: %q", waits)
		}
		return nil
	})
	run, err := child.Link.Start(t.Context(), replication.Params{Type: dataset.Data})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := child.Tasks.Wait(t.Context(), run)
	if err != nil || ended.State != tasks.Done || child.Holds(document.Bulletin, 2) != nil {
		t.Fatalf("%+v, %v", ended, err)
	}
	for _, s := range []*replicationtest.Linked{child, parent} {
		s.Eventually(t, "its history says that it was outside the windows", func() error {
			runs, _, err := s.Sites.Runs(t.Context(), store.Query{Filter: map[string]string{"type": "data"}})
			for _, r := range runs {
				if strings.Contains(string(r.Result), `"outside_window":true`) {
					return nil
				}
			}
			return fmt.Errorf("%d runs, %v", len(runs), err)
		})
	}
}

// TestTheParentKeepsTheRate: a child that reads as fast as it can is sent no more than its link is for.
func TestTheParentKeepsTheRate(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	dice, body := rand.New(rand.NewPCG(1, 2)), make([]byte, 0, 96<<10) // what nothing makes smaller
	for len(body) < 96<<10 {
		body = append(body, "0123456789abcdef"[dice.IntN(16)])
	}
	large := parent.Put(t, document.Package, "large", `{"note":"`+string(body)+`"}`)
	child.Eventually(t, "it is here", func() error { return child.Holds(document.Package, 1) })
	if _, err := parent.Sites.Limit(t.Context(), child.Site().ID, sites.Limits{Rate: 16 << 10}, -1); err != nil {
		t.Fatal(err)
	}
	client := caller(t, child, parent)
	began := time.Now()
	page, err := client.Fetch(t.Context(), wire.PathBodies, wire.BodiesRequest{Type: dataset.Data, Languages: []string{"de"}, Digests: []document.Digest{large.Digest}})
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("%v", err)
	}
	// Half of the digits' bits are left; the first portion is let through.
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("48 kB came in %v, want 16 kB a second", took)
	}
}
