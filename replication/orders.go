package replication

import (
	"context"
	"errors"
	"slices"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

const (
	mostOrder  = 16          // orders that are not served to their end
	orderAgain = time.Second // until an order is looked at again that waits for another run
)

// order is what the parent asked for: a run of one type or of all.
type order struct {
	wire.RunOrder
	left      []leg  // runs that are still to be made; the worker's own
	run       string // that goes on for it
	cancelled bool
}

// leg is a type, as it comes down, or as it went up.
type leg struct {
	t  dataset.Type
	up bool
}

// legsOf are those of a type, or of all.
func legsOf(asked dataset.Type) (list []leg) {
	for _, t := range types {
		if asked == "" || asked == t {
			list = append(list, leg{t, false})
		}
	}
	for _, t := range dataset.Types(dataset.Up) {
		if asked == "" || asked == t {
			list = append(list, leg{t, true})
		}
	}
	return list
}

// order keeps what the parent asks for until the worker has served it.
func (l *Link) order(asked wire.RunOrder) {
	o := &order{RunOrder: asked, left: legsOf(asked.Type)}
	l.mu.Lock()
	if len(l.orders) < mostOrder {
		l.orders = append(l.orders, o)
	}
	l.mu.Unlock()
	poke(l.asked)
}

// cancelOrder ends the run of an order; no other follows.
func (l *Link) cancelOrder(ctx context.Context, id string) {
	l.mu.Lock()
	run := ""
	for _, o := range l.orders {
		if o.ID == id {
			o.cancelled, run = true, o.run
		}
	}
	l.mu.Unlock()
	poke(l.asked)
	l.cancelRun(ctx, run)
}

func (l *Link) cancelRun(ctx context.Context, run string) {
	if run == "" {
		return
	}
	if err := l.node.Tasks.Cancel(ctx, run); err != nil {
		l.log.Warn("a run could not be cancelled as the parent asked", "run", run, "error", err)
	}
}

// serves says which run goes on for an order.
func (l *Link) serves(ctx context.Context, id, run string) {
	l.mu.Lock()
	late := false
	for _, o := range l.orders {
		if o.ID == id {
			o.run, late = run, o.cancelled
		}
	}
	l.mu.Unlock()
	if late {
		l.cancelRun(ctx, run)
	}
}

// serveOrders makes the runs that the parent asked for, and says when to look again at what waits for another run.
func (s *session) serveOrders(ctx context.Context) (again time.Duration, err error) {
	s.mu.Lock()
	open := slices.Clone(s.orders)
	s.mu.Unlock()
	again = timing.FarOff
	for _, o := range open {
		err := s.serve(ctx, o)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, errGoesOn):
			again = orderAgain
			continue
		}
		_, err = wire.Call[struct{}](ctx, s.client, wire.PathRan, wire.RanRequest{Order: o.ID, State: "done"})
		if err != nil {
			s.log.Warn("the parent could not be told that what it asked for is done", "error", err)
		}
		if err != nil && wire.CodeOf(err) == "" { // it did not hear of it
			again = orderAgain
			continue
		}
		s.mu.Lock()
		s.orders = slices.DeleteFunc(s.orders, func(other *order) bool { return other == o })
		s.mu.Unlock()
	}
	return again, nil
}

// serve makes the runs of an order that are left. What they end with the parent hears from each of them; the error says that
// one could not begin yet.
func (s *session) serve(ctx context.Context, o *order) error {
	said := s.said()
	for ; len(o.left) > 0; o.left = o.left[1:] {
		s.mu.Lock()
		cancelled := o.cancelled
		s.mu.Unlock()
		if cancelled {
			return nil
		}
		t, up := o.left[0].t, o.left[0].up
		verify := o.Verify
		switch {
		case verify >= 0:
		case up:
			verify = s.percent(dataset.Languages)
		default:
			verify = s.percent(t)
		}
		if up && (verify == 0 || !said.Compares) || !up && o.Type == "" && t != dataset.Languages && !said.Sends(t) {
			continue
		}
		_, err := s.runAndWait(ctx, Params{Type: t, Up: up, Complete: o.Complete, Verify: verify, Repair: o.Repair, Order: o.ID})
		if ctx.Err() != nil || errors.Is(err, errGoesOn) {
			return err
		}
	}
	return nil
}
