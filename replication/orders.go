package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/replication/orders"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

// orderAgain is until an order is looked at again that waits for another run.
const orderAgain = time.Second

// takeOrders takes what the parent asks for again, and ends what it does not wait for.
func (l *Link) takeOrders(ctx context.Context, asks wire.Asks) {
	for _, order := range asks.Orders {
		l.orders.Take(order)
	}
	for _, id := range asks.Over {
		l.cancelOrder(ctx, id)
	}
}

// cancelOrder ends the run of an order; no other follows.
func (l *Link) cancelOrder(ctx context.Context, id string) { l.cancelRun(ctx, l.orders.Cancel(id)) }

func (l *Link) cancelRun(ctx context.Context, run string) {
	if run == "" {
		return
	}
	if err := l.node.Tasks.Cancel(ctx, run); err != nil {
		l.log.Warn("a run could not be cancelled as the parent asked", "run", run, "error", err)
	}
}

// refuse tells the parent of what it asked for and is not done, whatever goes on.
func (s *session) refuse(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-s.orders.Refused:
			s.log.Warn("a run that the parent asked for is refused", "order", r.ID, "reason", r.Reason)
			_, err := wire.Call[struct{}](ctx, s.client, wire.PathRan, wire.RanRequest{Order: r.ID, State: "refused", Error: r.Reason})
			if err != nil && wire.CodeOf(err) == "" {
				return fmt.Errorf("tell the parent what is refused: %w", err) // it asks again when the link stands again
			}
		}
	}
}

// serveOrders makes the runs that the parent asked for, and says when to look again at what waits for another run.
func (s *session) serveOrders(ctx context.Context) (again time.Duration, err error) {
	again = timing.FarOff
	for _, o := range s.orders.Open() {
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
		s.orders.Served(o.ID)
	}
	return again, nil
}

// serve makes the runs of an order that are left. What they end with the parent hears from each of them; the error says that
// one could not begin yet.
func (s *session) serve(ctx context.Context, o *orders.Order) error {
	said := s.said()
	for ; len(o.Left) > 0; o.Left = o.Left[1:] {
		if s.orders.Cancelled(o.ID) {
			return nil
		}
		t, up := o.Left[0].Type, o.Left[0].Up
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
