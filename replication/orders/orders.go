// Package orders keeps what the parent asks a node of a child for, until it is served: runs of one type or of all. It is in
// memory: the parent sends again what a node does not know any more (see wire.LinkRequest).
package orders

import (
	"fmt"
	"slices"
	"sync"

	"thatch/node/replicas/dataset"
	"thatch/replication/wire"
)

// Most is how many orders are taken before one of them is served; those beyond are refused.
const Most = 16

// mostRefused bounds what is kept of those that are refused, until the parent has heard of it.
const mostRefused = 512

// Leg is a type, as it comes down, or as it went up.
type Leg struct {
	Type dataset.Type
	Up   bool
}

// legs are those of a type, or of all where none is named.
func legs(asked dataset.Type) (list []Leg) {
	for _, t := range dataset.Types(dataset.Down) {
		if asked == "" || asked == t {
			list = append(list, Leg{t, false})
		}
	}
	for _, t := range dataset.Types(dataset.Up) {
		if asked == "" || asked == t {
			list = append(list, Leg{t, true})
		}
	}
	return list
}

// Order is one that is not served to its end.
type Order struct {
	wire.RunOrder
	Left []Leg // runs that are still to be made; of whoever serves it alone

	run       string // that goes on for it
	cancelled bool
}

// Book holds the orders of a node. It is safe for use by several goroutines.
type Book struct {
	C       chan struct{} // there is something new
	Refused chan Refusal  // what the parent is to hear at once

	mu   sync.Mutex
	open []*Order
}

// Refusal is an order that is not taken.
type Refusal struct{ ID, Reason string }

// New makes one.
func New() *Book { return &Book{C: make(chan struct{}, 1), Refused: make(chan Refusal, mostRefused)} }

// Take keeps an order until it is Served, or refuses it. One that is here already stays as it is.
func (b *Book) Take(asked wire.RunOrder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.find(asked.ID) != nil {
		return
	}
	o, why := &Order{RunOrder: asked, Left: legs(asked.Type)}, ""
	switch {
	case len(o.Left) == 0:
		why = fmt.Sprintf("this site's version knows no type %.40q of replication", asked.Type)
	case len(b.open) >= Most:
		why = fmt.Sprintf("%d runs that the parent asked for wait here already; ask again when some of them have ended", len(b.open))
	}
	if why != "" {
		select {
		case b.Refused <- Refusal{asked.ID, why}:
		default: // the parent asks again when it hears that this node does not know of it
		}
		return
	}
	b.open = append(b.open, o)
	b.tell()
}

func (b *Book) find(id string) *Order {
	at := slices.IndexFunc(b.open, func(o *Order) bool { return o.ID == id })
	if at < 0 {
		return nil
	}
	return b.open[at]
}

func (b *Book) tell() {
	select {
	case b.C <- struct{}{}:
	default: // told already
	}
}

// Open are the orders that are not served, in the order in which they came.
func (b *Book) Open() []*Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.open)
}

// Names are the ids of Open; never nil.
func (b *Book) Names() []string {
	names := []string{}
	for _, o := range b.Open() {
		names = append(names, o.ID)
	}
	return names
}

// Cancel has no other run made for an order, and names the one that goes on, "" none does.
func (b *Book) Cancel(id string) (run string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.find(id)
	if o == nil {
		return ""
	}
	o.cancelled = true
	b.tell()
	return o.run
}

// Serves notes which run goes on for an order, and says whether the order was cancelled.
func (b *Book) Serves(id, run string) (cancelled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.find(id)
	if o == nil {
		return false
	}
	o.run = run
	return o.cancelled
}

// Cancelled says whether an order was cancelled.
func (b *Book) Cancelled(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.find(id)
	return o != nil && o.cancelled
}

// Served forgets an order: the parent has heard that it is done, or why it is not.
func (b *Book) Served(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(o *Order) bool { return o.ID == id })
}
