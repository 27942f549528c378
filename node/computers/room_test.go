package computers

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/node/store"
	"thatch/node/store/storetest"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock {
	return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fixture is a room over a database of its own, whose gatherer runs.
type fixture struct {
	*Room
	db    *store.DB
	clock *clock
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{db: storetest.Open(t), clock: newClock()}
	f.Room = f.reopen(t)
	return f
}

// reopen makes another room over the same database, as after a restart.
func (f *fixture) reopen(t testing.TB) *Room {
	t.Helper()
	r, err := New(t.Context(), f.db, f.db, f.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ticker := time.NewTicker(time.Millisecond)
	var running sync.WaitGroup
	running.Go(func() { r.gatherer.Run(ctx, ticker.C) })
	t.Cleanup(func() {
		stop()
		ticker.Stop()
		running.Wait()
	})
	return r
}

func newcomer(name string) Newcomer {
	return Newcomer{Name: name, MachineID: "machine-" + name, Hardware: "hardware-" + name, Platform: "windows", Languages: []string{"de-de"}}
}

func (f *fixture) enrol(t testing.TB, n Newcomer) Computer {
	t.Helper()
	place, err := f.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Enrol(t.Context(), n, place, "serial-"+place.Computer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fixture) report(t testing.TB, id string, rep Report) Taken {
	t.Helper()
	if rep.At.IsZero() {
		rep.At = f.clock.now()
		f.clock.add(time.Second)
	}
	taken, err := f.Report(t.Context(), id, rep)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

// setsIn collects what memory holds of a computer.
func setsIn(r *Room, number uint32) Sets {
	var sets Sets
	r.Look(func(v View) { sets = v.Sets(number) })
	return sets
}

// sameMemory holds the memory of a room against that of a room opened anew.
func (f *fixture) sameMemory(t testing.TB) {
	t.Helper()
	fresh, err := New(t.Context(), f.db, f.db, f.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	f.Look(func(v View) {
		fresh.Look(func(w View) {
			if len(v.Members()) != len(w.Members()) {
				t.Fatalf("memory has %d computers, %d after a restart", len(v.Members()), len(w.Members()))
			}
			for number, m := range v.Members() {
				other := w.Members()[number]
				a, b := *m, *other
				a.Stamp, b.Stamp = 0, 0
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Fatalf("memory has\n%v\nafter a restart\n%v", a, b)
				}
			}
			for n := range max(v.Columns(), w.Columns()) {
				sameColumn(t, n, v.Column(n), w.Column(n))
			}
		})
	})
}

func sameColumn(t testing.TB, update uint32, a, b *Column) {
	t.Helper()
	empty := newInverse().column(0)
	if a == nil {
		a = empty
	}
	if b == nil {
		b = empty
	}
	for i, set := range columnSets(a) {
		if other := columnSets(b)[i]; !set.Equals(other) {
			t.Fatalf("update %d: memory has %v, after a restart %v", update, set, other)
		}
	}
}

func columnSets(c *Column) []*roaring.Bitmap {
	return []*roaring.Bitmap{c.Applicable, c.Installed, c.Unknown, c.Failed}
}
