package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// orders are the runs that this site asked children for, and what they ended with.
type orders struct {
	mu   sync.Mutex
	open map[string]*Order
}

// Order is a run that a child was asked for.
type Order struct {
	ID    string            `json:"id"`
	Child string            `json:"child"` // id of the site
	Name  string            `json:"name"`
	Began time.Time         `json:"began"`
	Ended time.Time         `json:"ended,omitzero"`
	Runs  []wire.RanRequest `json:"runs"`
	done  chan struct{}
}

// Bounds of what is remembered of orders, and of each.
const (
	maxOrders = 256
	maxRuns   = 16
)

// Run asks a child for a run, of one type or of all, and answers with the order; Wait waits for what it ends with.
func (s *Parent) Run(ctx context.Context, child sites.Child, o wire.RunOrder) (*Order, error) {
	o.ID = uuid.NewString()
	order := &Order{ID: o.ID, Child: child.ID, Name: child.Name, Began: s.node.Now().UTC(), done: make(chan struct{})}
	s.orders.add(order)
	if !s.streams.tell(child.ID, wire.Event{Run: &o}) {
		s.orders.drop(o.ID)
		return nil, notConnected(child)
	}
	return order, nil
}

// Reach is nil where a child is connected, so that it can be asked for a run.
func (s *Parent) Reach(child sites.Child) error {
	if s.streams.connected(child.ID) {
		return nil
	}
	return notConnected(child)
}

func notConnected(child sites.Child) error {
	return wire.NoLink("child %s is not connected: it opens the connection itself, and does so as soon as it can", child.Name)
}

// Cancel ends a run that a child was asked for.
func (s *Parent) Cancel(order *Order) bool {
	return s.streams.tell(order.Child, wire.Event{Cancel: order.ID})
}

// Wait waits for the end of an order.
func (s *Parent) Wait(ctx context.Context, order *Order) error {
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for away := 0; ; {
		select {
		case <-order.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for child %s: %w", order.Name, ctx.Err())
		case <-look.C:
		}
		if away++; s.streams.connected(order.Child) {
			away = 0
		}
		if away >= 3 {
			return fmt.Errorf("child %s is gone in the middle: its connection was cut and did not come back", order.Name)
		}
	}
}

// lookAfter is how often it is looked whether a child that was asked for a run is still there.
const lookAfter = 10 * time.Second

// Order is one by its id.
func (s *Parent) Order(id string) (Order, error) {
	s.orders.mu.Lock()
	defer s.orders.mu.Unlock()
	if o := s.orders.open[id]; o != nil {
		return *o, nil
	}
	return Order{}, store.NotFound("run asked for", id)
}

func (o *orders) add(order *Order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[string]*Order{}
	}
	for len(o.open) >= maxOrders {
		oldest := order
		for _, other := range o.open {
			if other.Began.Before(oldest.Began) || oldest == order {
				oldest = other
			}
		}
		delete(o.open, oldest.ID)
	}
	o.open[order.ID] = order
}

func (o *orders) drop(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, id)
}

// ended takes what a child says of a run that serves an order.
func (o *orders) ended(child string, ran wire.RanRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order := o.open[ran.Order]
	switch {
	case order == nil || order.Child != child || !order.Ended.IsZero():
	case ran.Type == "":
		order.Ended = time.Now().UTC()
		close(order.done)
	case len(order.Runs) < maxRuns:
		order.Runs = append(order.Runs, ran)
	}
}
