package store

import (
	"context"
	"fmt"
	"sync"
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
	mark    string
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
