package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
	Runs  []wire.RanRequest `json:"runs"`            // the last one of each type and direction
	Error string            `json:"error,omitempty"` // why the child does not do it

	asked     wire.RunOrder
	cancelled bool
	done      chan struct{}
}

// Bounds of what is remembered of orders, and of each.
const (
	maxOrders = 256
	maxRuns   = 16
)

// Run asks a child for a run, of one type or of all, and answers with the order; Wait waits for what it ends with.
func (s *Parent) Run(ctx context.Context, child sites.Child, o wire.RunOrder) (*Order, error) {
	o.ID = uuid.NewString()
	order := &Order{ID: o.ID, Child: child.ID, Name: child.Name, Began: s.node.Now().UTC(), asked: o, done: make(chan struct{})}
	if !s.orders.add(order) {
		return nil, store.Conflicting("%d runs that children were asked for have not ended; ask again when some have", maxOrders)
	}
	if !s.streams.tell(child.ID, wire.Event{Run: &o}) {
		s.orders.drop(o.ID)
		if err := s.Reach(child); err != nil {
			return nil, err
		}
		return nil, store.Conflicting("child %s takes up nothing that it is asked for now: ask again in a while", child.Name)
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

// Cancel ends a run that a child was asked for. A child that cannot be told now hears of it when it calls again.
func (s *Parent) Cancel(order *Order) (told bool) {
	s.orders.mu.Lock()
	order.cancelled = true
	s.orders.mu.Unlock()
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

// add remembers an order, in the place of the oldest one that ended where there are many.
func (o *orders) add(order *Order) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[string]*Order{}
	}
	for len(o.open) >= maxOrders {
		var oldest *Order
		for _, other := range o.open {
			if over := !other.Ended.IsZero() || other.cancelled; over && (oldest == nil || other.Began.Before(oldest.Began)) {
				oldest = other
			}
		}
		if oldest == nil {
			return false
		}
		delete(o.open, oldest.ID)
	}
	o.open[order.ID] = order
	return true
}

func (o *orders) drop(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, id)
}

// waits says whether a child is to serve an order.
func (order *Order) waits(child string) bool {
	return order.Child == child && order.Ended.IsZero() && !order.cancelled
}

// given says whether a child has orders.
func (o *orders) given(child string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, order := range o.open {
		if order.waits(child) {
			return true
		}
	}
	return false
}

// missing are the orders of a child that its node does not name, in their order, and the ids that it names of which nothing is
// waited for. A node that holds the link since another one of the child lost it names none of what that one took.
func (o *orders) missing(child string, named []string) (again []wire.RunOrder, over []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lacking []*Order
	for id, order := range o.open {
		if order.waits(child) && !slices.Contains(named, id) {
			lacking = append(lacking, order)
		}
	}
	slices.SortFunc(lacking, func(a, b *Order) int { return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID)) })
	for _, order := range lacking {
		again = append(again, order.asked)
	}
	for _, id := range named[:min(len(named), maxNamed)] {
		if order := o.open[id]; order == nil || order.Child != child || order.cancelled || !order.Ended.IsZero() {
			over = append(over, id)
		}
	}
	return again, over
}

// maxNamed are looked at of the orders that a child names.
const maxNamed = 1024

// ended takes what a child says of a run that serves an order, or of the order. A run that a child makes again, as after a
// start of its node, takes the place of the one that was cut.
func (o *orders) ended(child string, ran wire.RanRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order := o.open[ran.Order]
	if order == nil || order.Child != child || !order.Ended.IsZero() {
		return
	}
	if ran.Type == "" {
		order.Ended, order.Error = time.Now().UTC(), ran.Error
		close(order.done)
		return
	}
	order.Runs = slices.DeleteFunc(slices.Clone(order.Runs), func(r wire.RanRequest) bool { return r.Type == ran.Type && r.Up == ran.Up })
	if len(order.Runs) < maxRuns {
		order.Runs = append(order.Runs, ran)
	}
}
