package replication_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
	"thatch/replication/replicationtest"
)

// TestAPageOfAFormerParentMovesNoCursor: a run that outlives its session takes nothing with a cursor from a parent that was
// left, or was joined anew, meanwhile.
func TestAPageOfAFormerParentMovesNoCursor(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	above, err := child.Sites.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := replicas.Neighbour{ID: above.ID, Direction: dataset.Down, Joined: above.Joined.Add(-time.Hour)}
	scope := dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Languages: []string{"de"}, Audience: dataset.Audience{All: true}}
	before, _, err := child.Replicas.Cursor(t.Context(), from, dataset.Data)
	if err != nil {
		t.Fatal(err)
	}
	page, err := parent.Sender.Complete(t.Context(), scope, dataset.Cursor{}, dataset.Key{}, dataset.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.Replicas.Apply(t.Context(), from, page); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a page from before the site joined: %v", err)
	}
	if after, _, err := child.Replicas.Cursor(t.Context(), from, dataset.Data); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the cursor was moved: %+v, %v", after, err)
	}
	from.Joined = above.Joined
	if _, err := child.Replicas.Apply(t.Context(), from, page); err != nil {
		t.Errorf("the parent's own page: %v", err)
	}
	from.ID, from.Joined = "former", above.Joined
	if _, err := child.Replicas.Apply(t.Context(), from, page); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a page of another parent: %v", err)
	}
	if now, _, err := child.Replicas.Cursor(t.Context(), from, dataset.Data); err != nil || !now.Zero() {
		t.Errorf("a former parent has a cursor: %+v, %v", now, err)
	}
}

// TestWhatTheParentSaysAgainIsNotWrittenAgain: the same words at another time change nothing at the child.
func TestWhatTheParentSaysAgainIsNotWrittenAgain(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	again := func() {
		before := child.Link.State().Link.At
		replicationtest.Token(t, parent.Node) // whatever changes of the tree has children ask again
		child.Eventually(t, "the child asks again", func() error {
			if child.Link.State().Link.At.Equal(before) {
				return errors.New("not yet")
			}
			return nil
		})
	}
	child.Eventually(t, "nothing is written", func() error {
		before, err := child.Sites.Parent(t.Context())
		if err != nil {
			return err
		}
		again()
		again() // what was said before this is kept by now
		after, err := child.Sites.Parent(t.Context())
		if err == nil && !after.Told.Equal(before.Told) {
			err = errors.New("written again")
		}
		return err
	})
}
