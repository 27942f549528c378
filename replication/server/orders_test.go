package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"thatch/replication/wire"
)

// TestWhatANodeOfAChildLacks: it is told what it took and does not name, and what it names in vain; other nodes and
// other children are told nothing of that.
func TestWhatANodeOfAChildLacks(t *testing.T) {
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	o := &orders{}
	order := func(id, child, node string) *Order {
		one := &Order{ID: id, Child: child, Began: began.Add(time.Duration(len(o.open))), asked: wire.RunOrder{ID: id}, done: make(chan struct{})}
		if !o.add(one) {
			t.Fatalf("%s was not taken", id)
		}
		o.gave(one, node)
		return one
	}
	order("z", "north", "1")
	order("a", "north", "1")
	order("other node's", "north", "2")
	order("other child's", "south", "1")
	order("cancelled", "north", "1").cancelled = true
	order("done", "north", "1")
	o.ended("south", wire.RanRequest{Order: "done"}) // not its own
	if !o.open["done"].Ended.IsZero() {
		t.Error("a child ended the order of another one")
	}
	o.ended("north", wire.RanRequest{Order: "done", Error: "why"})
	if done := o.open["done"]; done.Ended.IsZero() || done.Error != "why" {
		t.Errorf("done: %+v", done)
	}
	for _, c := range []struct {
		node        string
		named       []string
		again, over []string
	}{
		{"1", nil, []string{"z", "a"}, nil},
		{"1", []string{"z", "a"}, nil, nil},
		{"1", []string{"a", "done", "cancelled", "never", "other child's"}, []string{"z"}, []string{"done", "cancelled", "never", "other child's"}},
		{"2", []string{"a"}, []string{"other node's"}, nil},
		{"3", nil, nil, nil},
	} {
		again, over := o.missing("north", c.node, c.named)
		var ids []string
		for _, order := range again {
			ids = append(ids, order.ID)
		}
		if !slices.Equal(ids, c.again) || !slices.Equal(over, c.over) {
			t.Errorf("node %s names %v: again %v, over %v", c.node, c.named, ids, over)
		}
		if given := o.given("north", c.node); given != (c.node != "3") {
			t.Errorf("node %s has orders: %v", c.node, given)
		}
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
