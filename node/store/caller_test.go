package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"thatch/node/store"
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
