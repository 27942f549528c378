// Package gather proposes what many agents bring in common batches, so that the quorum sees tens of entries a second.
package gather

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"thatch/node/store"
)

// Limits of one gathered batch. The bytes are an estimate of the encoded batch and stay well under store.MaxBatch.
const (
	MaxEntry   = 768 << 10 // bytes of one entry, and of one batch
	maxGroups  = 500
	maxWaiting = 4_000 // entries; more are refused as busy
)

// Errors of Do.
var (
	ErrBusy     = errors.New("node is busy") // more is waiting than the node takes on: try again later
	ErrTooLarge = errors.New("too much for one batch")
)

type entry struct {
	statements []store.Statement
	size       int
	done       chan outcome
}

type outcome struct {
	index uint64
	err   error
}

// Gatherer proposes what many agents bring in common batches: each entry is a group of its own, applied or undone by
// itself.
type Gatherer struct {
	writer store.Writer
	batch  store.Batch
	now    func() time.Time
	after  func(ctx context.Context, index uint64) error

	mu      sync.Mutex
	waiting []*entry
	closed  bool
}

// New makes a gatherer whose batches have the actor, reason and topics of the model. After is called with the index of
// each batch before its entries are answered.
func New(w store.Writer, model store.Batch, now func() time.Time, after func(context.Context, uint64) error) *Gatherer {
	return &Gatherer{writer: w, batch: model, now: now, after: after}
}

// Do adds an entry and waits until it is durable. It returns the index at which it was applied, or an error that wraps
// store.ErrConflict when one of its statements missed its rows. When the context ends first, the entry may still be
// applied.
func (g *Gatherer) Do(ctx context.Context, statements []store.Statement) (uint64, error) {
	e := &entry{statements: statements, size: weight(statements), done: make(chan outcome, 1)}
	if e.size > MaxEntry {
		return 0, fmt.Errorf("%w: it takes about %d bytes to keep, at most %d are allowed", ErrTooLarge, e.size, MaxEntry)
	}
	g.mu.Lock()
	if g.closed || len(g.waiting) >= maxWaiting {
		g.mu.Unlock()
		return 0, ErrBusy
	}
	g.waiting = append(g.waiting, e)
	g.mu.Unlock()
	select {
	case out := <-e.done:
		return out.index, out.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Run proposes what has gathered at every tick, until ctx ends; then it writes what is left and takes no more.
func (g *Gatherer) Run(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ticks:
			g.Flush(ctx)
		case <-ctx.Done():
			g.mu.Lock()
			g.closed = true
			g.mu.Unlock()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			g.Flush(last)
			return
		}
	}
}

// Waiting is how many entries wait to be proposed.
func (g *Gatherer) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// Flush proposes everything that waits now, in as few batches as fit.
func (g *Gatherer) Flush(ctx context.Context) {
	g.mu.Lock()
	waiting := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for len(waiting) > 0 {
		count, size := 0, 0
		for count < len(waiting) && count < maxGroups && (count == 0 || size+waiting[count].size <= MaxEntry) {
			size += waiting[count].size
			count++
		}
		g.propose(ctx, waiting[:count])
		waiting = waiting[count:]
	}
}

func (g *Gatherer) propose(ctx context.Context, entries []*entry) {
	batch := g.batch
	batch.At, batch.Statements = g.now(), nil
	for group, e := range entries {
		for _, s := range e.statements {
			s.Group = group
			batch.Statements = append(batch.Statements, s)
		}
	}
	applied, err := g.writer.Write(ctx, batch)
	if err == nil {
		err = g.after(ctx, applied.Index)
	}
	conflicts := make(map[int]store.Conflict)
	for _, c := range applied.Conflicts {
		conflicts[c.Group] = c
	}
	for group, e := range entries {
		out := outcome{applied.Index, err}
		if c, ok := conflicts[group]; ok && err == nil {
			out.err = c.Err(applied.Index)
		}
		e.done <- out
	}
}

// weight estimates the encoded size of statements, in bytes.
func weight(statements []store.Statement) int {
	size := 0
	texts := make(map[string]bool) // each is in a batch once
	for _, s := range statements {
		size += 16
		if !texts[s.SQL] {
			texts[s.SQL] = true
			size += len(s.SQL)
		}
		for _, arg := range s.Args {
			switch v := arg.(type) {
			case string:
				size += 8 + len(v)
			case []byte:
				size += 8 + len(v)*4/3
			default:
				size += 12
			}
		}
	}
	return size
}
