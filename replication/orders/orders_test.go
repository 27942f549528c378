package orders_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"thatch/node/replicas/dataset"
	"thatch/replication/orders"
	"thatch/replication/wire"
)

func asked(id string, t dataset.Type) wire.RunOrder { return wire.RunOrder{ID: id, Type: t} }

// TestBook follows orders from the parent's word to their end.
func TestBook(t *testing.T) {
	b := orders.New()
	if names := b.Names(); names == nil || len(names) != 0 {
		t.Errorf("an empty book names %#v", names)
	}
	b.Take(asked("all", ""))
	b.Take(asked("data", dataset.Data))
	b.Take(asked("all", dataset.Data)) // it is here already
	b.Take(asked("health", dataset.Health))
	if got := b.Names(); !slices.Equal(got, []string{"all", "data", "health"}) {
		t.Errorf("open: %v", got)
	}
	select {
	case <-b.C:
	default:
		t.Error("nobody is told of what is new")
	}
	open := b.Open()
	if n := len(dataset.Types(dataset.Down)) + len(dataset.Types(dataset.Up)); len(open[0].Left) != n {
		t.Errorf("an order of everything: %v", open[0].Left)
	}
	if !slices.Equal(open[1].Left, []orders.Leg{{Type: dataset.Data}}) || !slices.Equal(open[2].Left, []orders.Leg{{Type: dataset.Health, Up: true}}) {
		t.Errorf("orders of a type: %v, %v", open[1].Left, open[2].Left)
	}
	if b.Serves("data", "run-1") || b.Cancelled("data") {
		t.Error("nobody cancelled it")
	}
	if run := b.Cancel("data"); run != "run-1" || !b.Cancelled("data") || !b.Serves("data", "run-2") {
		t.Errorf("cancelled, it had run %q", run)
	}
	if run := b.Cancel("nobody's"); run != "" || b.Cancelled("nobody's") || b.Serves("nobody's", "run") {
		t.Errorf("an order of nobody has run %q", run)
	}
	b.Served("all")
	b.Take(asked("all", ""))
	if got := b.Names(); !slices.Equal(got, []string{"data", "health", "all"}) {
		t.Errorf("open: %v", got)
	}
}

// TestWhatCannotBeTakenIsRefused: with a reason, and nothing that was taken suffers.
func TestWhatCannotBeTakenIsRefused(t *testing.T) {
	b := orders.New()
	refused := func(id, reason string) {
		t.Helper()
		select {
		case r := <-b.Refused:
			if r.ID != id || !strings.Contains(r.Reason, reason) {
				t.Errorf("refused: %+v, want %s for %q", r, id, reason)
			}
		default:
			t.Errorf("%s was not refused", id)
		}
	}
	b.Take(asked("newer", "weather"))
	refused("newer", `no type "weather"`)
	for i := range orders.Most {
		b.Take(asked(fmt.Sprint(i), ""))
	}
	b.Take(asked("one more", ""))
	refused("one more", "wait here already")
	b.Take(asked("0", ""))
	if got := b.Names(); len(got) != orders.Most || slices.Contains(got, "one more") || len(b.Refused) != 0 {
		t.Errorf("open: %v, refused: %d", got, len(b.Refused))
	}
	b.Served("0")
	b.Take(asked("one more", ""))
	if got := b.Names(); !slices.Contains(got, "one more") {
		t.Errorf("open: %v", got)
	}
	for i := range 2000 { // nobody listens, and nobody waits for that
		b.Take(asked(fmt.Sprintf("far too many %d", i), ""))
	}
}
