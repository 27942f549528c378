package subject

import (
	"context"
	"sync"
)

// Turns lets calls that change things of one kind go one after the other, so that none changes what another has just read.
type Turns struct {
	mu    sync.Mutex
	kinds map[string]chan struct{}
}

// Take waits for the turn of a kind, which lasts until done is called.
func (t *Turns) Take(ctx context.Context, kind string) (done func(), err error) {
	t.mu.Lock()
	if t.kinds == nil {
		t.kinds = map[string]chan struct{}{}
	}
	turn := t.kinds[kind]
	if turn == nil {
		turn = make(chan struct{}, 1)
		t.kinds[kind] = turn
	}
	t.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
