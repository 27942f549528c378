// Package gate lets many in and now and then keeps everyone out: who replaces a file has it for itself.
package gate

import (
	"context"
	"sync"
	"time"
)

// grace is how long a visit may go on once everyone is asked to leave.
const grace = 5 * time.Second

// Gate counts visits. The zero Gate is open. All methods may be used at once.
type Gate struct {
	mu      sync.Mutex
	inside  map[*visit]struct{}
	closed  chan struct{} // nil while open; closed when it opens again
	empty   chan struct{} // closed when the last one leaves a shut gate
	forever error
}

type visit struct{ cancel context.CancelCauseFunc }

// Enter waits while the gate is shut. The context returned ends with the visit, or when the visit must end.
func (g *Gate) Enter(ctx context.Context) (context.Context, func(), error) {
	for {
		g.mu.Lock()
		if err := g.forever; err != nil {
			g.mu.Unlock()
			return nil, nil, err
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

func (g *Gate) leave(v *visit) {
	v.cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, v)
	if len(g.inside) == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// Shut keeps everyone out until the function returned is called. Who is inside may finish, but for no longer than
// some seconds, or until ctx ends; then their context ends with the cause. One at a time.
func (g *Gate) Shut(ctx context.Context, cause error) (reopen func()) {
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

func (g *Gate) clear(ctx context.Context, cause error, empty chan struct{}) {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-empty:
		return
	case <-patience.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	for v := range g.inside {
		v.cancel(cause)
	}
	g.mu.Unlock()
	<-empty
}

// End lets nobody in any more: Enter answers with the error. Who is inside, or waits, is not touched.
func (g *Gate) End(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forever = why
}
