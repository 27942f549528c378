package replication_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"thatch/catalog/document"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// pages counts what answers are made of.
type pages struct {
	old            atomic.Bool // as a parent that knows of no such pages
	against, plain atomic.Int64
}

// Around counts the pages of a parent.
func (p *pages) Around(door http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.old.Load() {
			r.Header.Del("Accept")
		}
		if r.URL.Path != wire.PathPage {
			door.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		door.ServeHTTP(answer, r)
		switch raw := answer.Body.Bytes(); {
		case answer.Code != http.StatusOK:
		case raw[0] == 2 && raw[1] > 0:
			p.against.Add(1)
		case raw[0] != 2:
			p.plain.Add(1)
		}
		for key, values := range answer.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// more has a parent make one more bulletin, and waits until its child has it.
func more(t *testing.T, parent, child *replicationtest.Linked, n int) {
	t.Helper()
	id := fmt.Sprintf("b-%d-new", n)
	parent.Put(t, document.Bulletin, id, fmt.Sprintf(`{"note":"bulletin %d"}`, n))
	child.Eventually(t, id, func() error { return child.HoldsID(document.Bulletin, id) })
	if aside, err := child.Replicas.Quarantine(t.Context()); err != nil || len(aside) > 0 {
		t.Errorf("in quarantine: %+v, %v", aside, err)
	}
}

// TestPagesAgainstWhatIsKnown: pages are compressed against what the child holds. Where it is not the same any more, the page
// comes without, nothing of the damage goes further, and after a while pages come so again.
func TestPagesAgainstWhatIsKnown(t *testing.T) {
	counted := &pages{}
	parent, child := pair(t, replicationtest.Config{Around: counted.Around}, replicationtest.Config{}, 40)
	more(t, parent, child, 1)
	if counted.against.Load() == 0 || counted.plain.Load() > 0 {
		t.Fatalf("%d pages against what is known, %d without", counted.against.Load(), counted.plain.Load())
	}
	behind(t, child, `UPDATE revision SET body = CAST('{"note":"bulletiN 30"}' AS BLOB) WHERE kind = 'bulletin' AND id = 'b-30'`)
	more(t, parent, child, 2)
	if counted.plain.Load() == 0 {
		t.Error("no page came without what is known")
	}
	if v := verified(t, child, "data"); v.Different != 1 || v.Quarantined > 0 {
		t.Errorf("%+v", v)
	}
	equal(t, child)
	for n := 3; ; n++ {
		before := counted.against.Load()
		if more(t, parent, child, n); counted.against.Load() > before {
			return
		}
		if n == 100 {
			t.Fatal("no page came against what is known any more")
		}
	}
}

// TestAParentThatKnowsNothing is one of a version that compresses pages by themselves.
func TestAParentThatKnowsNothing(t *testing.T) {
	counted := &pages{}
	counted.old.Store(true)
	parent, child := pair(t, replicationtest.Config{Around: counted.Around}, replicationtest.Config{}, 40)
	more(t, parent, child, 1)
	equal(t, child)
	if counted.against.Load() > 0 || counted.plain.Load() == 0 {
		t.Errorf("%d pages against what is known, %d without", counted.against.Load(), counted.plain.Load())
	}
	counted.old.Store(false) // it learns
	more(t, parent, child, 2)
	child.Eventually(t, "a page against what is known", func() error {
		if counted.against.Load() == 0 {
			return errors.New("none")
		}
		return nil
	})
}

// TestNothingIsAskedForThatDidNotChange: one more bulletin has its child ask for data, and for nothing else.
func TestNothingIsAskedForThatDidNotChange(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	parent, child := pair(t, replicationtest.Config{Around: func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.PathPage {
				body, err := io.ReadAll(r.Body)
				var q wire.PageRequest
				if err = errors.Join(err, json.Unmarshal(body, &q)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				asked[string(q.Type)]++
				mu.Unlock()
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			door.ServeHTTP(w, r)
		})
	}}, replicationtest.Config{}, 3)
	equal(t, child) // joining is over
	for n := 0; ; n++ {
		mu.Lock()
		clear(asked)
		mu.Unlock()
		more(t, parent, child, n)
		mu.Lock()
		alone := len(asked) == 1 && asked["data"] > 0
		mu.Unlock()
		if alone {
			return
		}
		if n == 20 { // what joining left to do takes a round or two
			t.Fatalf("asked for %v", asked)
		}
	}
}
