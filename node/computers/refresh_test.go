package computers

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"thatch/node/store"
)

// tornReader tears the second read once, when its callback has taken everything in.
type tornReader struct {
	store.Reader
	views int
	tear  func() error
}

func (r *tornReader) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	return r.Reader.View(ctx, func(tx *sql.Tx) error {
		if err := read(tx); err != nil {
			return err
		}
		if r.views++; r.views != 2 || r.tear == nil {
			return nil
		}
		tear := r.tear
		r.tear = nil
		return tear()
	})
}

// A refresh that fails or panics on the way is done again from the beginning: reports that were half taken in are not
// taken for known. One whose caller goes away ends all the same.
func TestRefreshIsWholeOrDoneAgain(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	reader := &tornReader{Reader: f.reader}
	f.Room.reader = reader
	ctx, cancel := context.WithCancel(t.Context())
	for at, tear := range []func() error{
		func() error { return errors.New("the disk is out") },
		func() error { panic("out of order") },
		func() error {
			cancel()
			return ctx.Err()
		},
	} {
		update := uint32(10 + at)
		f.clock.add(time.Second)
		rep := Report{At: f.clock.now(), Cursor: Cursor{Index: 1}, Applicable: Change{Add: []uint32{update}}}
		now, err := f.standing(t.Context(), c.Number)
		if err != nil {
			t.Fatal(err)
		}
		statements, err := rep.statements(now, rep.digest(), f.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.db.Write(t.Context(), store.Batch{Actor: "test", Reason: "report", Statements: statements}); err != nil {
			t.Fatal(err)
		}
		reader.views, reader.tear = 0, tear
		func() {
			defer func() { _ = recover() }()
			_ = f.refresh(ctx)
		}()
		if reader.tear != nil {
			t.Fatal("nothing was torn: the test tests nothing")
		}
		if err := f.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := setsIn(f.Room, c.Number); !got.Applicable.Contains(update) || got.Applicable.GetCardinality() != 1 {
			t.Errorf("%d: memory holds %v, want %d alone", at, got.Applicable, update)
		}
		f.sameMemory(t)
	}
}

// A batch of reports costs what it brings: no query for what changed walks a table.
func TestWhatChangedIsFoundByItsIndex(t *testing.T) {
	f := newFixture(t)
	for _, query := range changed {
		err := f.reader.View(t.Context(), func(tx *sql.Tx) error {
			var id, parent, unused int
			var first string
			if err := tx.QueryRow(`EXPLAIN QUERY PLAN `+query, 1).Scan(&id, &parent, &unused, &first); err != nil {
				return err
			}
			if !strings.HasPrefix(first, "SEARCH") {
				t.Errorf("%s: %s", query, first)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}
