package replication_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// TestLanguagesChangedWhileTheLinkWasDown has a child that holds policies come back with other languages, over a line on
// which what is urgent is asked for before the language alert is through: the link stands all the same.
func TestLanguagesChangedWhileTheLinkWasDown(t *testing.T) {
	var down, slow atomic.Bool
	var streams atomic.Int32
	parent, child := pair(t, replicationtest.Config{Before: func(w http.ResponseWriter, r *http.Request) http.Handler {
		switch {
		case down.Load():
			panic(http.ErrAbortHandler)
		case slow.Load() && r.URL.Path == wire.PathStream:
			streams.Add(1)
		case slow.Load() && r.URL.Path == wire.PathUp:
			select { // as long as a session that ends on the other's answer would take to do so
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			case <-time.After(time.Second):
			}
		}
		return nil
	}}, replicationtest.Config{}, 1)
	made := parent.Put(t, document.Policy, "policy:"+parent.Site().ID+":1", `{"name":"October","updates":[{"update":"u","digest":"`+strings.Repeat("0", 64)+`","enabled":true}],"plan":{"when":"asap"}}`)
	child.Eventually(t, "the policy", func() error { return child.HoldsID(document.Policy, made.ID) })

	down.Store(true)
	parent.Put(t, document.Package, "p-en", "{}", "en")
	if err := child.SetLanguages(t.Context(), []string{"de", "en"}); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "the link is down", func() error {
		if child.Link.State().Connected {
			return errors.New("it stands")
		}
		return nil
	})
	slow.Store(true)
	down.Store(false)
	child.Link.Hurry()
	child.Eventually(t, "what the new language brings", func() error {
		if told, err := parent.Sites.Alert(t.Context(), child.Site().ID); err != nil || !slices.Contains(told.Languages, "en") {
			return fmt.Errorf("the alert says %v, %v", told.Languages, err)
		}
		return child.Holds(document.Package, 1)
	})
	if n := streams.Load(); n != 1 {
		t.Errorf("the child opened %d streams, want 1: its session ends for what is no fault of the link", n)
	}
}
