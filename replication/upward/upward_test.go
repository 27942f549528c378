package upward_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
	"thatch/replication/joining"
	"thatch/replication/replicationtest"
	"thatch/replication/upward"
	"thatch/replication/wire"
)

// pusher joins a site without a link to a parent, and makes what sends up for it.
func pusher(t *testing.T, child *node.Node, parent *replicationtest.Linked) *upward.Pusher {
	t.Helper()
	above, err := joining.Join(t.Context(), child, parent.URL(), replicationtest.Token(t, parent.Node), false)
	if err != nil {
		t.Fatal(err)
	}
	config, err := child.Identity.ParentTLS(above.ID, above.Authority)
	if err != nil {
		t.Fatal(err)
	}
	client, err := wire.NewClient(parent.URL(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	said, err := wire.Call[wire.LinkResponse](t.Context(), client, wire.PathLink, wire.LinkRequest{Name: "Child", Version: "test", Languages: []string{"de"}})
	if err != nil {
		t.Fatal(err)
	}
	return upward.New(upward.Link{
		Node: child, Log: child.Log(), Parent: above, Client: client, Said: func() wire.LinkResponse { return said }, Ask: func() {},
	})
}

// tell makes documents that go up.
func tell(t *testing.T, child *node.Node, count int) {
	t.Helper()
	batch := store.NewBuilder(store.Batch{Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}})
	for i := range count {
		doc, err := document.New(document.RollUp, fmt.Sprintf("%s:b-%d", child.Site().ID, i), nil, fmt.Appendf(nil, `{"note":%d}`, i))
		if err != nil {
			t.Fatal(err)
		}
		child.Identity.Sign(&doc)
		if err := batch.Add(store.Put(doc, "", store.Former{})...); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range batch.Batches() {
		applied, err := child.Writer().Write(t.Context(), b)
		if err == nil {
			err = applied.Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAParentWhoseCursorStays: where there is more to send and the parent's cursor does not move, the push ends with an error
// instead of sending the same page for ever; when it moves again, the rest goes up.
func TestAParentWhoseCursorStays(t *testing.T) {
	var stays atomic.Bool
	var pushed atomic.Int32
	var last dataset.Cursor // that went to the child
	parent := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}, Around: func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != wire.PathUp {
				door.ServeHTTP(w, r)
				return
			}
			pushed.Add(1)
			answer := httptest.NewRecorder()
			door.ServeHTTP(answer, r)
			var said wire.UpResponse
			if answer.Code != http.StatusOK {
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
				return
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil {
				t.Error(err)
			}
			if stays.Load() {
				said.Cursor = last
			}
			last = said.Cursor
			_ = json.NewEncoder(w).Encode(said) // the child went away: it says so itself
		})
	}})
	child := replicationtest.Site(t, "Child", "de")
	p := pusher(t, child, parent)
	defer p.Alone()()
	if _, err := p.Types(t.Context()); err != nil {
		t.Fatal(err)
	}
	tell(t, child, 700)
	stays.Store(true)
	before := pushed.Load()
	if _, err := p.Types(t.Context()); err == nil || !strings.Contains(err.Error(), "its cursor stays") {
		t.Errorf("a cursor that stays: %v", err)
	}
	if n := pushed.Load() - before; n > 2 {
		t.Errorf("%d pages went up", n)
	}
	stays.Store(false)
	parent.Eventually(t, "the rest", func() error {
		_, err := p.Types(t.Context())
		if err == nil {
			err = parent.Holds(document.RollUp, 700)
		}
		return err
	})
}
