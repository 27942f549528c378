package replication_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/server"
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

// held holds the first request for a path that comes after it was set, until it is let go or given up.
type held struct {
	path    atomic.Pointer[string]
	came    chan struct{}
	release chan struct{}
}

func hold() *held { return &held{came: make(chan struct{}), release: make(chan struct{})} }

func (h *held) Before(_ http.ResponseWriter, r *http.Request) http.Handler {
	if path := h.path.Load(); path == nil || r.URL.Path != *path || !h.path.CompareAndSwap(path, nil) {
		return nil
	}
	body, err := io.ReadAll(r.Body) // until then the server does not hear that the caller gave up
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	close(h.came)
	select {
	case <-h.release:
		return nil
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

func (h *held) next(path string) { h.path.Store(&path) }

// lines is a line that can be held more than once.
type lines struct{ now atomic.Pointer[held] }

func (l *lines) Before(w http.ResponseWriter, r *http.Request) http.Handler {
	if h := l.now.Load(); h != nil {
		return h.Before(w, r)
	}
	return nil
}

// hold holds the next request for a path.
func (l *lines) hold(path string) *held {
	h := hold()
	h.next(path)
	l.now.Store(h)
	return h
}

// settled is a pair whose first runs are over.
func settled(t *testing.T, line *held) (parent, child *replicationtest.Linked) {
	t.Helper()
	parent, child = pair(t, replicationtest.Config{Before: line.Before}, replicationtest.Config{}, 3)
	firstRuns(t, child)
	return parent, child
}

// soon waits for a channel to be closed.
func soon(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(2 * time.Minute):
		t.Fatal(what)
	}
}

// TestOrdersWaitForARunThatGoesOn asks a child for several runs of everything while one of data goes on: each of them is made
// once, whole, and the parent hears of it.
func TestOrdersWaitForARunThatGoesOn(t *testing.T) {
	line := hold()
	parent, child := settled(t, line)
	line.next(wire.PathComplete)
	child.Eventually(t, "a run of the child's own", func() error {
		_, err := child.Link.Start(t.Context(), replication.Params{Type: dataset.Data, Complete: true})
		return err
	})
	soon(t, "the run asks for nothing", line.came)
	below, err := parent.Sites.Child(t.Context(), child.Site().ID)
	if err != nil {
		t.Fatal(err)
	}
	var orders []*server.Order
	for range 4 {
		o, err := parent.Parent.Run(t.Context(), below, wire.RunOrder{Verify: -1})
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, o)
	}
	runs := func(o *server.Order) (types []dataset.Type) {
		now, err := parent.Parent.Order(o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, ran := range now.Runs {
			types = append(types, ran.Type)
		}
		return types
	}
	child.Eventually(t, "the last one is taken up", func() error {
		if len(runs(orders[3])) == 0 {
			return errors.New("nothing ran")
		}
		return nil
	})
	close(line.release)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for i, o := range orders {
		if err := parent.Parent.Wait(ctx, o); err != nil {
			t.Errorf("order %d: %v", i, err)
		}
		if got := runs(o); !slices.Equal(got, slices.Concat(dataset.Types(dataset.Down), dataset.Types(dataset.Up))) {
			t.Errorf("order %d made runs of %v", i, got)
		}
	}
}

// TestACancelledOrderMakesNoMoreRuns cancels an order of everything in its first run.
func TestACancelledOrderMakesNoMoreRuns(t *testing.T) {
	line := hold()
	parent, child := settled(t, line)
	below, err := parent.Sites.Child(t.Context(), child.Site().ID)
	if err != nil {
		t.Fatal(err)
	}
	line.next(wire.PathComplete)
	o, err := parent.Parent.Run(t.Context(), below, wire.RunOrder{Complete: true})
	if err != nil {
		t.Fatal(err)
	}
	soon(t, "the child does not do what it was asked for", line.came)
	if !parent.Parent.Cancel(o) {
		t.Error("the child holds no stream")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := parent.Parent.Wait(ctx, o); err != nil {
		t.Fatal(err)
	}
	now, err := parent.Parent.Order(o.ID)
	if err != nil || len(now.Runs) != 1 || now.Runs[0].State != string(tasks.Cancelled) {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestAParentThatDoesNotListenHoldsUpNoStop has the parent leave unanswered what a child says of a run that ended.
func TestAParentThatDoesNotListenHoldsUpNoStop(t *testing.T) {
	line := hold()
	parent, child := settled(t, line)
	line.next(wire.PathRan)
	parent.Put(t, document.Bulletin, "b-new", "{}")
	soon(t, "the child says nothing of its run", line.came)
	began, stopped := time.Now(), make(chan struct{})
	go func() {
		child.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Errorf("the child's node does not stop, after %v", time.Since(began))
		close(line.release)
		<-stopped
	}
}
