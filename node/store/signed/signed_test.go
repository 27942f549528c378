package signed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"thatch/node/store"
	"thatch/node/store/storetest"
)

// recorder is a Writer that remembers what it was given.
type recorder struct {
	batches []store.Batch
	err     error
}

func (r *recorder) Write(_ context.Context, b store.Batch) (store.Applied, error) {
	r.batches = append(r.batches, b)
	return store.Applied{Index: uint64(10 - len(r.batches))}, r.err
}

func TestSignedCompletesBatches(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
	note := store.Statement{SQL: "note", Group: 99}
	inner := &recorder{}
	w := store.Signed(inner, func() time.Time { return at }, func(context.Context, store.Batch) []store.Statement {
		return []store.Statement{note}
	})
	caller := &store.Caller{Actor: "operator anna", Request: "r"}
	ctx := store.WithCaller(t.Context(), caller)
	given := store.Batch{Statements: []store.Statement{{SQL: "a", Group: 4}, {SQL: "b", Group: 4}, {SQL: "c", Group: 5}}}
	for range 2 {
		if _, err := w.Write(ctx, given); err != nil {
			t.Fatal(err)
		}
	}
	first := inner.batches[0]
	if first.Actor != "operator anna" || !first.At.Equal(at) || first.At.Location() != time.UTC {
		t.Errorf("%+v", first)
	}
	if first.Request == "" || first.Request == inner.batches[1].Request {
		t.Errorf("requests %q and %q", first.Request, inner.batches[1].Request)
	}
	var order string
	for _, s := range first.Statements {
		order += s.SQL
	}
	if order != "abnotec" || first.Statements[2].Group != 4 || len(given.Statements) != 3 {
		t.Errorf("statements %q: %+v", order, first.Statements)
	}
	if caller.Index() != 9 {
		t.Errorf("the caller's index is %d, want the highest, 9", caller.Index())
	}
	own := store.Batch{Actor: "computer 1", Request: "own", At: at.Add(time.Hour), Statements: given.Statements}
	if _, err := w.Write(ctx, own); err != nil {
		t.Fatal(err)
	}
	if b := inner.batches[2]; b.Actor != "computer 1" || b.Request != "own" || !b.At.Equal(at.Add(time.Hour)) {
		t.Errorf("what the batch says itself is lost: %+v", b)
	}
	if _, err := w.Write(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	if b := inner.batches[3]; b.Actor != "node" || b.Request != "" {
		t.Errorf("without a caller: %+v", b)
	}
	inner.err = errors.New("disk")
	lone := &store.Caller{}
	if _, err := w.Write(store.WithCaller(t.Context(), lone), given); !errors.Is(err, inner.err) || lone.Index() != 0 {
		t.Errorf("%v, index %d", err, lone.Index())
	}
}

// What a caller's batches hang on is asked for where they are applied: where it fails, nothing of them is.
func TestGuardedBatches(t *testing.T) {
	db := storetest.Open(t)
	w := store.Signed(db, time.Now, nil)
	storetest.Write(t, db, storetest.Batch(storetest.Set("lead", "1")))
	caller := &store.Caller{Guard: store.Statement{SQL: `UPDATE setting SET version = version WHERE name = 'lead' AND value = ?`, Args: []any{"1"}}}
	ctx := store.WithCaller(t.Context(), caller)
	missing := store.Statement{SQL: `UPDATE setting SET value = 'x' WHERE name = 'none'`, Want: 1, Group: 1}
	applied, err := w.Write(ctx, store.Batch{Reason: "in time", Statements: []store.Statement{storetest.Set("a", "1"), missing}})
	if err != nil || len(applied.Conflicts) != 1 || applied.Conflicts[0].Group != 1 || applied.Conflicts[0].Statement != 1 {
		t.Fatalf("in time: %+v, %v", applied, err)
	}
	storetest.Write(t, db, storetest.Batch(storetest.Set("lead", "2")))
	second := storetest.Set("c", "1")
	second.Group = 1
	late := store.Batch{Reason: "late", Request: "late", Statements: []store.Statement{storetest.Set("b", "1"), second}}
	if _, err := w.Write(ctx, late); !errors.Is(err, store.ErrTakenOver) {
		t.Errorf("late: %v", err)
	}
	if got := storetest.Value(t, db, 0, `SELECT group_concat(name, ' ') FROM (SELECT name FROM setting ORDER BY name)`); got != "a lead" {
		t.Errorf("applied: %s", got)
	}
	caller.Guard.Args = []any{"2"}
	if applied, err := w.Write(ctx, late); err != nil || applied.Err() != nil || applied.Repeated {
		t.Errorf("what was not applied, tried again: %+v, %v", applied, err)
	}
}
