package replication_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// older is a parent's door that knows nothing of roll-ups as long as it holds: it does not name them in what it says of the
// link.
type older struct {
	is atomic.Bool
}

func (o *older) around(door http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.is.Load() || r.URL.Path != wire.PathLink && r.URL.Path != wire.PathUp {
			door.ServeHTTP(w, r)
			return
		}
		said := httptest.NewRecorder()
		door.ServeHTTP(said, r)
		body := said.Body.Bytes()
		var answer wire.LinkResponse
		if r.URL.Path == wire.PathLink && json.Unmarshal(body, &answer) == nil && answer.Site != "" {
			answer.Kinds = slices.DeleteFunc(answer.Kinds, func(k document.Kind) bool { return k == document.RollUp })
			body, _ = json.Marshal(answer)
		}
		for key, values := range said.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(said.Code)
		_, _ = w.Write(body)
	})
}

// TestKindsThatTheParentDoesNotKnowAreKeptBack: what an older parent does not name among the kinds that it takes does not go
// up, the child says so, nobody raises an alarm, both ends are equal by it; and it goes up when the parent knows it.
func TestKindsThatTheParentDoesNotKnowAreKeptBack(t *testing.T) {
	old := &older{}
	old.is.Store(true)
	parent, child := pair(t, replicationtest.Config{Around: old.around}, replicationtest.Config{}, 1)
	if _, err := child.Settings.Set(t.Context(), "health.every", json.RawMessage("86400"), -1); err != nil {
		t.Fatal(err)
	}
	kept := federation.RollUpID(child.Site().ID, "b-0")
	child.Put(t, document.RollUp, kept, `{"bulletin":"b-0","installed":9,"updates":[]}`)
	later := child.Put(t, document.Health, child.Site().ID, fmt.Sprintf(`{"at":%q}`, child.Now().UTC().Format("2006-01-02T15:04:05Z")))
	parent.Eventually(t, "what was made after it", func() error {
		if now, held := current(t, parent, document.Health, child.Site().ID); !held || !bytes.Equal(now.Body, later.Body) {
			return fmt.Errorf("the parent holds %s", now.Body)
		}
		return nil
	})
	if _, held := current(t, parent, document.RollUp, kept); held {
		t.Error("the parent was sent a kind that it does not know")
	}
	if said := child.Link.State().Withheld; !slices.Equal(said, []document.Kind{document.RollUp}) {
		t.Errorf("the child says that it keeps back %q", said)
	}
	if err := standing(t, parent, sites.Refused, false); err != nil {
		t.Error(err)
	}
	if v := verifiedUp(t, child, dataset.Health); !v.Equal {
		t.Errorf("verified at an older parent: %+v", v)
	}

	old.is.Store(false)
	if _, err := parent.Sites.Limit(t.Context(), child.Site().ID, sites.Limits{Rate: 1 << 30}, -1); err != nil { // the child looks again
		t.Fatal(err)
	}
	parent.Eventually(t, "what was kept back", func() error { return parent.HoldsID(document.RollUp, kept) })
	child.Eventually(t, "nothing is kept back", func() error {
		if said := child.Link.State().Withheld; len(said) > 0 {
			return fmt.Errorf("%q are", said)
		}
		return nil
	})
	if v := verifiedUp(t, child, dataset.Health); !v.Equal {
		t.Errorf("verified: %+v", v)
	}
}
