package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// stopped is why a database takes no more writes.
type stopped struct {
	mu   sync.Mutex
	err  error
	done chan struct{}
}

func (s *stopped) init() { s.done = make(chan struct{}) }

// set keeps the first reason.
func (s *stopped) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
}

func (s *stopped) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// pending is a write in the queue, and its answer.
type pending struct {
	batch   Batch
	done    bool // under DB.writing, like what follows
	applied Applied
	err     error
}

// queue holds the writes that wait for the writing connection: whoever gets it applies all of them.
type queue struct {
	mu      sync.Mutex
	waiting []*pending
}

func (q *queue) add(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
}

func (q *queue) take() []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.waiting
	q.waiting = nil
	return waiting
}

// waiters are reads that wait for an index.
type waiters struct {
	mu   sync.Mutex
	list map[*waiter]struct{}
}

type waiter struct {
	index   uint64
	reached chan struct{}
}

// wait returns when the index is applied.
func (db *DB) wait(ctx context.Context, index uint64) error {
	if db.Applied() >= index {
		return ctx.Err()
	}
	w := db.waiters.add(index)
	defer db.waiters.remove(w)
	if db.Applied() >= index { // meanwhile
		return ctx.Err()
	}
	select {
	case <-w.reached:
		return nil
	case <-db.stopped.done:
		return fmt.Errorf("waiting for index %d, %d is applied: %w", index, db.Applied(), db.Err())
	case <-ctx.Done():
		return fmt.Errorf("waiting for index %d, %d is applied: %w", index, db.Applied(), ctx.Err())
	}
}

func (w *waiters) add(index uint64) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[*waiter]struct{}{}
	}
	one := &waiter{index: index, reached: make(chan struct{})}
	w.list[one] = struct{}{}
	return one
}

func (w *waiters) remove(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.list, one)
}

// setApplied stores the index and wakes who waits for it.
func (db *DB) setApplied(index uint64) {
	db.applied.Store(index)
	db.waiters.mu.Lock()
	defer db.waiters.mu.Unlock()
	for w := range db.waiters.list {
		if w.index <= index {
			close(w.reached)
			delete(db.waiters.list, w)
		}
	}
}

// ErrReplaced ends reads that were still under way when the file had to be replaced by a snapshot. Read again.
var ErrReplaced = errors.New("the database is being replaced by a snapshot; try again")

// replaceGrace is how long a read may begin queries once the file is to be replaced.
const replaceGrace = 5 * time.Second

// gate counts who reads, and lets one shut it to replace the file.
type gate struct {
	mu      sync.Mutex
	inside  map[*visit]struct{}
	closed  chan struct{} // nil while open; closed when it opens again
	empty   chan struct{} // closed when the last one leaves a shut gate
	forever bool
}

type visit struct{ cancel context.CancelCauseFunc }

// enter waits while the gate is shut. The context returned ends with the visit, or when the visit must end.
func (g *gate) enter(ctx context.Context) (context.Context, func(), error) {
	for {
		g.mu.Lock()
		if g.forever {
			g.mu.Unlock()
			return nil, nil, ErrClosed
		}
		if g.closed == nil {
			break
		}
		closed := g.closed
		g.mu.Unlock()
		select {
		case <-closed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	defer g.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	v := &visit{cancel: cancel}
	if g.inside == nil {
		g.inside = map[*visit]struct{}{}
	}
	g.inside[v] = struct{}{}
	return ctx, func() { g.leave(v) }, nil
}

func (g *gate) leave(v *visit) {
	v.cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, v)
	if len(g.inside) == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// shut keeps everyone out until the function returned is called. Who is inside may finish, but for no longer than
// replaceGrace; then their context ends with the cause. One at a time.
func (g *gate) shut(ctx context.Context, cause error) (reopen func()) {
	g.mu.Lock()
	for g.closed != nil {
		closed := g.closed
		g.mu.Unlock()
		<-closed
		g.mu.Lock()
	}
	g.closed = make(chan struct{})
	var empty chan struct{}
	if len(g.inside) > 0 {
		empty = make(chan struct{})
		g.empty = empty
	}
	g.mu.Unlock()
	if empty != nil {
		g.clear(ctx, cause, empty)
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.closed)
		g.closed = nil
	}
}

func (g *gate) clear(ctx context.Context, cause error, empty chan struct{}) {
	grace := time.NewTimer(replaceGrace)
	defer grace.Stop()
	select {
	case <-empty:
		return
	case <-grace.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	for v := range g.inside {
		v.cancel(cause)
	}
	g.mu.Unlock()
	<-empty
}

// end lets nobody in any more.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forever = true
}
