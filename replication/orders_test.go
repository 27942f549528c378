package replication_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/orders"
	"thatch/replication/replicationtest"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// below is a child as its parent knows it.
func below(t *testing.T, parent, child *replicationtest.Linked) sites.Child {
	t.Helper()
	known, err := parent.Sites.Child(t.Context(), child.Site().ID)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// ordered asks a child for a run.
func ordered(t *testing.T, parent *replicationtest.Linked, of sites.Child, what wire.RunOrder) *server.Order {
	t.Helper()
	var o *server.Order
	parent.Eventually(t, "the child is connected", func() (err error) {
		o, err = parent.Parent.Run(t.Context(), of, what)
		return err
	})
	return o
}

// waited waits for the end of an order.
func waited(t *testing.T, parent *replicationtest.Linked, o *server.Order) server.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := parent.Parent.Wait(ctx, o); err != nil {
		t.Fatal(err)
	}
	now, err := parent.Parent.Order(o.ID)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// TestAChildThatStartsAgainDoesWhatItWasAskedFor stops a child in the first run of an order: after its start it hears of the
// order again, and makes all its runs. One that was cancelled meanwhile is not made.
func TestAChildThatStartsAgainDoesWhatItWasAskedFor(t *testing.T) {
	line := hold()
	cfg := replicationtest.Config{Dir: t.TempDir(), Name: "North", Languages: []string{"de"}}
	parent, child := pair(t, replicationtest.Config{Before: line.Before}, cfg, 3)
	firstRuns(t, child)
	known := below(t, parent, child)
	line.next(wire.PathComplete)
	o := ordered(t, parent, known, wire.RunOrder{Complete: true})
	soon(t, "the child does not do what it was asked for", line.came)
	given := ordered(t, parent, known, wire.RunOrder{Type: dataset.Data, Complete: true})
	child.Tasks.Stop() // a node that stops ends its runs before its link
	parent.Eventually(t, "the parent hears that the run was cut", func() error {
		if now, err := parent.Parent.Order(o.ID); err != nil || len(now.Runs) == 0 {
			return fmt.Errorf("%+v, %w", now, err)
		}
		return nil
	})
	brief, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := parent.Parent.Wait(brief, o); err == nil {
		t.Error("what was cut is said to be done")
	}
	child.Stop()
	if parent.Parent.Cancel(given) {
		t.Log("the parent has not seen yet that the child is gone")
	}
	replicationtest.Start(t, cfg)
	now := waited(t, parent, o)
	var types []dataset.Type
	for _, ran := range now.Runs {
		types = append(types, ran.Type)
		if ran.Error != "" {
			t.Errorf("%s ended with: %s", ran.Type, ran.Error)
		}
	}
	if slices.Sort(types); !slices.Equal(types, slices.Sorted(slices.Values(dataset.Types(dataset.Down)))) || now.Error != "" {
		t.Errorf("runs of %v, %s", types, now.Error)
	}
	waited(t, parent, ordered(t, parent, known, wire.RunOrder{Type: dataset.Settings})) // it would come after the cancelled one
	if now, err := parent.Parent.Order(given.ID); err != nil || len(now.Runs) > 0 {
		t.Errorf("the cancelled order was made: %+v, %v", now, err)
	}
}

// TestOrdersThatAreTooMany are refused at once, with the reason, while others wait for their turn.
func TestOrdersThatAreTooMany(t *testing.T) {
	line := hold()
	parent, child := settled(t, line)
	known := below(t, parent, child)
	line.next(wire.PathComplete)
	taken := []*server.Order{ordered(t, parent, known, wire.RunOrder{Type: dataset.Settings, Complete: true})}
	soon(t, "the child does not do what it was asked for", line.came)
	for len(taken) < orders.Most {
		taken = append(taken, ordered(t, parent, known, wire.RunOrder{Type: dataset.Settings}))
	}
	more := waited(t, parent, ordered(t, parent, known, wire.RunOrder{Type: dataset.Settings}))
	if !strings.Contains(more.Error, "wait here already") || len(more.Runs) > 0 {
		t.Errorf("one more than are taken: %+v", more)
	}
	unknown := waited(t, parent, ordered(t, parent, known, wire.RunOrder{Type: "weather"}))
	if !strings.Contains(unknown.Error, `no type "weather"`) {
		t.Errorf("a type that nobody knows: %+v", unknown)
	}
	close(line.release)
	for i, o := range taken {
		if now := waited(t, parent, o); now.Error != "" || len(now.Runs) != 1 || now.Runs[0].Error != "" {
			t.Errorf("order %d: %+v", i, now)
		}
	}
}
