package marks_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/marks"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
	"thatch/node/store/sweep"
)

// journal lists the entries of a site's updates, removals with a minus.
func journal(t *testing.T, db *store.DB) string {
	t.Helper()
	var all []store.Change
	err := db.View(t.Context(), func(tx *sql.Tx) (err error) {
		all, err = store.Journal(t.Context(), tx, store.Sequence{}, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, c := range all {
		switch {
		case c.Kind != document.Update:
		case c.Removed:
			words = append(words, "-"+c.ID)
		default:
			words = append(words, c.ID)
		}
	}
	return strings.Join(words, " ")
}

func scope(languages ...string) dataset.Scope {
	return dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Languages: languages, Audience: dataset.Audience{All: true}}
}

func standing(t *testing.T, s *replicastest.Site) dataset.Cursor {
	t.Helper()
	page, err := s.Sender.Complete(t.Context(), scope("de"), dataset.Cursor{}, dataset.Key{}, dataset.Limits{})
	if err != nil || page.More {
		t.Fatal(page.More, err)
	}
	return page.Cursor
}

// site is one whose journal grew on two days.
type site struct {
	*replicastest.Site
	now time.Time
}

func (s *site) shorten(t *testing.T, keep marks.Keep) {
	t.Helper()
	if err := (marks.Keeper{Reader: s.DB, Writer: s.DB, Now: func() time.Time { return s.now }}).Shorten(t.Context(), sweep.New(s.DB, s.DB), keep); err != nil {
		t.Fatal(err)
	}
}

func TestShortenByAge(t *testing.T) {
	s := &site{replicastest.New(t, "top", nil, "de"), replicastest.Now()}
	s.Put(t, document.Update, "stays", "1", "")
	s.Put(t, document.Update, "changes", "1", "")
	s.Put(t, document.Update, "goes", "1", "")
	old := standing(t, s.Site)
	s.Remove(t, document.Update, "goes")
	first := s.now
	s.shorten(t, marks.Keep{Entries: 1000}) // marks the end
	if got := journal(t, s.DB); got != "stays changes goes -goes" {
		t.Fatalf("on the first day: %s", got)
	}
	fresh := standing(t, s.Site)
	s.now = s.now.Add(24 * time.Hour)
	s.Put(t, document.Update, "changes", "2", "")
	s.Put(t, document.Update, "late", "1", "")
	s.Remove(t, document.Update, "late")
	s.shorten(t, marks.Keep{Since: first, Entries: 1000})
	if got := journal(t, s.DB); got != "stays changes goes -goes changes late -late" {
		t.Errorf("what was marked in the moment itself is not old: %s", got)
	}
	s.shorten(t, marks.Keep{Since: first.Add(time.Second), Entries: 1000})
	if got := journal(t, s.DB); got != "stays changes late -late" {
		t.Errorf("after a day: %s", got)
	}
	if _, err := s.Sender.Page(t.Context(), scope("de"), old, dataset.Limits{}); !errors.Is(err, dataset.ErrOld) || errors.Is(err, dataset.ErrDiverged) {
		t.Errorf("an older cursor: %v", err)
	}
	if _, err := s.Sender.Complete(t.Context(), scope("de"), old, dataset.Key{}, dataset.Limits{}); !errors.Is(err, dataset.ErrOld) {
		t.Errorf("a complete run that goes on from an older place: %v", err)
	}
	empty := fresh
	empty.Mark, empty.At = dataset.Mark{}, map[string]store.Sequence{}
	if _, err := s.Sender.Page(t.Context(), scope("de"), empty, dataset.Limits{}); !errors.Is(err, dataset.ErrOld) {
		t.Errorf("a cursor from the beginning: %v", err)
	}
	page, err := s.Sender.Page(t.Context(), scope("de"), fresh, dataset.Limits{})
	if err != nil || len(page.Entries) != 2 {
		t.Errorf("a cursor that is kept: %+v, %v", page.Entries, err)
	}
	// Nothing happens for long: the end stays, and whoever stands there.
	end := standing(t, s.Site)
	s.now = s.now.Add(1000 * time.Hour)
	s.shorten(t, marks.Keep{Since: s.now, Entries: 1000})
	if got := journal(t, s.DB); got != "stays changes -late" {
		t.Errorf("the end of the journal: %s", got)
	}
	if _, err := s.Sender.Page(t.Context(), scope("de"), end, dataset.Limits{}); err != nil {
		t.Errorf("a cursor at the end: %v", err)
	}
}

func TestShortenBySize(t *testing.T) {
	s := &site{replicastest.New(t, "top", nil, "de"), replicastest.Now()}
	for i := range 20 {
		s.Put(t, document.Update, "one", fmt.Sprint(i), "")
		standing(t, s.Site)
	}
	s.Put(t, document.Update, "two", "1", "")
	s.shorten(t, marks.Keep{Entries: 30})
	if got := strings.Count(journal(t, s.DB), "one"); got != 20 {
		t.Errorf("fewer than are kept: %d", got)
	}
	s.shorten(t, marks.Keep{Entries: 5})
	if got := journal(t, s.DB); got != "one one one one two" {
		t.Errorf("five entries are kept: %s", got)
	}
	s.shorten(t, marks.Keep{})
	if got := journal(t, s.DB); got != "one two" {
		t.Errorf("none are kept: %s", got)
	}
}

// TestMarksBeforeTheStart: a journal that was shortened in the middle of a page makes no mark that is made of what is left.
func TestMarksBeforeTheStart(t *testing.T) {
	s := &site{replicastest.New(t, "top", nil, "de"), replicastest.Now()}
	s.Put(t, document.Update, "one", "1", "")
	var at store.Sequence
	at, err := s.Sender.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, document.Update, "one", "2", "")
	s.shorten(t, marks.Keep{})
	keeper := marks.Keeper{Reader: s.DB, Writer: s.DB, Now: replicastest.Now}
	if _, err := keeper.Mark(t.Context(), at); !errors.Is(err, marks.ErrGone) {
		t.Errorf("a mark before the start: %v", err)
	}
	// It is shortened after the mark was computed.
	tail, err := s.Sender.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, document.Update, "one", "3", "")
	middle, err := s.Sender.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, document.Update, "one", "4", "")
	keeper.Writer = before{s.DB, func() { s.shorten(t, marks.Keep{}) }}
	if _, err := keeper.Mark(t.Context(), middle); !errors.Is(err, marks.ErrGone) {
		t.Errorf("shortened in between: %v", err)
	}
	if tail.Compare(middle) >= 0 {
		t.Error("the journal did not grow")
	}
}

// before is a Writer before which something happens.
type before struct {
	*store.DB
	happens func()
}

func (b before) Write(ctx context.Context, made store.Batch) (store.Applied, error) {
	b.happens()
	return b.DB.Write(ctx, made)
}
