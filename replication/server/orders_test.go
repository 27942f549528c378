package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"thatch/replication/wire"
)

// TestWhatAChildLacks: it is told what was asked of it and it does not name, and what it names in vain; other children are told
// nothing of that. A node of it that leads since another one was lost names nothing, and hears of everything.
func TestWhatAChildLacks(t *testing.T) {
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	o := &orders{}
	order := func(id, child string) *Order {
		one := &Order{ID: id, Child: child, Began: began.Add(time.Duration(len(o.open))), asked: wire.RunOrder{ID: id}, done: make(chan struct{})}
		if !o.add(one) {
			t.Fatalf("%s was not taken", id)
		}
		return one
	}
	order("z", "north")
	order("a", "north")
	order("other child's", "south")
	order("cancelled", "north").cancelled = true
	order("done", "north")
	o.ended("south", wire.RanRequest{Order: "done"}) // not its own
	if !o.open["done"].Ended.IsZero() {
		t.Error("a child ended the order of another one")
	}
	o.ended("north", wire.RanRequest{Order: "done", Error: "why"})
	if done := o.open["done"]; done.Ended.IsZero() || done.Error != "why" {
		t.Errorf("done: %+v", done)
	}
	for _, c := range []struct {
		child       string
		named       []string
		again, over []string
	}{
		{"north", nil, []string{"z", "a"}, nil},
		{"north", []string{"z", "a"}, nil, nil},
		{"north", []string{"a", "done", "cancelled", "never", "other child's"}, []string{"z"}, []string{"done", "cancelled", "never", "other child's"}},
		{"south", []string{"a"}, []string{"other child's"}, []string{"a"}},
		{"west", nil, nil, nil},
	} {
		again, over := o.missing(c.child, c.named)
		var ids []string
		for _, order := range again {
			ids = append(ids, order.ID)
		}
		if !slices.Equal(ids, c.again) || !slices.Equal(over, c.over) {
			t.Errorf("%s names %v: again %v, over %v", c.child, c.named, ids, over)
		}
		if given := o.given(c.child); given != (c.child != "west") {
			t.Errorf("%s has orders: %v", c.child, given)
		}
	}
}

// TestTheNodeThatHoldsTheLink: of two streams of one child, the one that came last is told, and when that ends the other one.
func TestTheNodeThatHoldsTheLink(t *testing.T) {
	s := &streams{}
	if s.connected("north") || s.tell("north", wire.Event{}) {
		t.Error("a child that never called takes an event")
	}
	former := s.enter("north")
	latter := s.enter("north")
	if !s.tell("north", wire.Event{Cancel: "1"}) || len(former) != 0 || len(latter) != 1 {
		t.Errorf("%d events at the former stream, %d at the latter", len(former), len(latter))
	}
	s.leave("north", latter)
	if !s.connected("north") || !s.tell("north", wire.Event{}) || len(former) != 1 {
		t.Error("the stream that is left is not told")
	}
	for range cap(former) - 1 {
		s.tell("north", wire.Event{})
	}
	if s.tell("north", wire.Event{}) {
		t.Error("a stream that is full takes more")
	}
	s.leave("north", former)
	if s.connected("north") || len(s.open) > 0 {
		t.Error("a child that went is connected")
	}
}

// TestOpenOrdersAreNotForgotten: those that ended give way to new ones, and where none has, no other is taken.
func TestOpenOrdersAreNotForgotten(t *testing.T) {
	o := &orders{}
	for i := range maxOrders {
		if !o.add(&Order{ID: fmt.Sprint(i), Child: "north", done: make(chan struct{})}) {
			t.Fatalf("order %d was not taken", i)
		}
	}
	if o.add(&Order{ID: "more"}) {
		t.Error("an open order was forgotten for another one")
	}
	o.ended("north", wire.RanRequest{Order: "7"})
	if !o.add(&Order{ID: "more"}) || o.open["7"] != nil || len(o.open) != maxOrders {
		t.Errorf("%d orders", len(o.open))
	}
}

// TestARunThatIsMadeAgain takes the place of the one that was cut.
func TestARunThatIsMadeAgain(t *testing.T) {
	o := &orders{}
	o.add(&Order{ID: "1", Child: "north", done: make(chan struct{})})
	for _, ran := range []wire.RanRequest{
		{Type: "data", State: "cancelled", Error: "the node stopped"}, {Type: "data", Up: true, State: "done"}, {Type: "data", State: "done"},
	} {
		ran.Order = "1"
		o.ended("north", ran)
	}
	if runs := o.open["1"].Runs; len(runs) != 2 || !runs[0].Up || runs[1].State != "done" {
		t.Errorf("%+v", runs)
	}
}
