package gather_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"thatch/node/computers/gather"
	"thatch/node/store"
	"thatch/node/store/batch"
	"thatch/node/store/storetest"
)

type stubbornWriter struct{ err error }

func (w stubbornWriter) Write(context.Context, store.Batch) (store.Applied, error) {
	return store.Applied{}, w.err
}

func TestGatherer(t *testing.T) {
	broken := errors.New("disk full")
	g := gather.New(stubbornWriter{broken}, store.Batch{}, time.Now, func(context.Context, uint64) error { return nil })
	entry := []store.Statement{{SQL: `DELETE FROM setting`}}
	const most = 4000
	answers := make(chan error, most)
	for range most {
		go func() {
			_, err := g.Do(t.Context(), entry)
			answers <- err
		}()
	}
	for g.Waiting() < most {
		<-time.After(time.Millisecond)
	}
	if _, err := g.Do(t.Context(), entry); !errors.Is(err, gather.ErrBusy) {
		t.Errorf("beyond what waits: %v, want ErrBusy", err)
	}
	g.Flush(t.Context())
	for range most {
		if err := <-answers; !errors.Is(err, broken) {
			t.Fatalf("answer is %v, want the writer's error", err)
		}
	}
	if _, err := g.Do(t.Context(), []store.Statement{{SQL: `DELETE FROM setting`, Args: []any{make([]byte, gather.MaxEntry)}}}); !errors.Is(err, gather.ErrTooLarge) {
		t.Errorf("an entry larger than a batch: %v", err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	g.Run(gone, nil)
	if _, err := g.Do(t.Context(), entry); !errors.Is(err, gather.ErrBusy) {
		t.Errorf("after the end: %v, want ErrBusy", err)
	}
}

// counted counts the batches that reach a writer.
type counted struct {
	store.Writer
	mu      sync.Mutex
	batches int
	largest int
}

func (c *counted) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	c.mu.Lock()
	c.batches++
	raw, err := batch.Encode(b)
	c.largest = max(c.largest, len(raw))
	c.mu.Unlock()
	if err != nil {
		return store.Applied{}, err
	}
	return c.Writer.Write(ctx, b)
}

// Entries that come together are written together, each for itself: one that conflicts takes nobody with it.
func TestEntriesShareABatch(t *testing.T) {
	w := &counted{Writer: storetest.Open(t)}
	g := gather.New(w, store.Batch{Actor: "agents", Reason: "test"}, time.Now, func(context.Context, uint64) error { return nil })
	const many = 50
	results := make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			statement := store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES (?, 'x', 1)`, Args: []any{fmt.Sprint(i)}, Want: 1}
			if i%10 == 0 {
				statement = store.Statement{SQL: `UPDATE setting SET value = 'y' WHERE name = ?`, Args: []any{"nobody"}, Want: 1}
			}
			_, results[i] = g.Do(t.Context(), []store.Statement{statement})
		})
	}
	for g.Waiting() < many {
		<-time.After(time.Millisecond)
	}
	g.Flush(t.Context())
	all.Wait()
	for i, err := range results {
		if conflict := errors.Is(err, store.ErrConflict); conflict != (i%10 == 0) || err != nil && !conflict {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if w.batches != 1 {
		t.Errorf("%d batches, want one", w.batches)
	}
}

// However large entries are, no batch is larger than the store takes.
func TestBatchesAreBounded(t *testing.T) {
	w := &counted{Writer: storetest.Open(t)}
	g := gather.New(w, store.Batch{Actor: "agents", Reason: "test"}, time.Now, func(context.Context, uint64) error { return nil })
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			_, err := g.Do(t.Context(), []store.Statement{{
				SQL: `INSERT INTO setting (name, value, version) VALUES (?, ?, 1)`, Args: []any{fmt.Sprint(i), make([]byte, 300_000)},
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for g.Waiting() < 12 {
		<-time.After(time.Millisecond)
	}
	g.Flush(t.Context())
	all.Wait()
	if w.batches < 4 || w.largest > store.MaxBatch {
		t.Errorf("%d batches, the largest of %d bytes", w.batches, w.largest)
	}
}

func TestWhoeverGivesUpHoldsUpNobody(t *testing.T) {
	g := gather.New(storetest.Open(t), store.Batch{Actor: "agents", Reason: "test"}, time.Now, func(context.Context, uint64) error { return nil })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := g.Do(ctx, []store.Statement{{SQL: `DELETE FROM setting`}}); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever went away gets %v", err)
	}
	g.Flush(t.Context())
	if g.Waiting() != 0 {
		t.Errorf("%d entries still wait", g.Waiting())
	}
}
