package computers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/node/store"
	"thatch/node/store/storetest"
)

// rooms opens a room on every node of a site, with its gatherer and follower running.
func rooms(t *testing.T, site *storetest.Site, now func() time.Time) []*Room {
	t.Helper()
	var all []*Room
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	for _, node := range site.Running() {
		r, err := New(t.Context(), node.DB, node.Quorum, now)
		if err != nil {
			t.Fatal(err)
		}
		watch, ticker := node.DB.Watch(Topic), time.NewTicker(2*time.Millisecond)
		running.Go(func() {
			defer ticker.Stop()
			r.Gatherer().Run(ctx, ticker.C)
		})
		running.Go(func() {
			defer watch.Close()
			if err := r.Follow(ctx, watch.C); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		all = append(all, r)
	}
	return all
}

// Computers enrol at and report to whichever node answers; all nodes come to hold the same, and what the agents hold.
func TestAnyNodeWillDo(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	site, clock := storetest.Three(t), newClock()
	all := rooms(t, site, clock.now)
	const machines, limit, rounds = 12, 9, 15
	storetest.Write(t, site, storetest.Batch(store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES ('token', '', 0)`}))
	use := store.Statement{SQL: `UPDATE setting SET version = version + 1 WHERE name = 'token' AND version < 9`, Want: 1}
	var enrolled atomic.Int64
	var working sync.WaitGroup
	held := make([]Sets, machines)
	ids := make([]string, machines)
	for i := range machines {
		working.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(i)))
			n := newcomer(fmt.Sprint("pc", i))
			place, err := all[random.IntN(len(all))].Place(t.Context(), n)
			if err != nil {
				t.Error(err)
				return
			}
			c, err := all[random.IntN(len(all))].Enrol(t.Context(), n, place, fmt.Sprint(i), use)
			if errors.Is(err, ErrRaced) {
				return // the token was used up
			}
			if err != nil {
				t.Error(err)
				return
			}
			enrolled.Add(1)
			ids[i], held[i] = c.ID, wander(t, all, c.ID, clock, random, rounds)
		})
	}
	working.Wait()
	if enrolled.Load() != limit {
		t.Fatalf("%d enrolled with a token for %d, at three nodes at once", enrolled.Load(), limit)
	}
	index := storetest.Write(t, site, storetest.Batch(storetest.Set("done", "1"))).Index
	for at, r := range all {
		if err := r.refresh(store.AtLeast(t.Context(), index)); err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if id == "" {
				continue
			}
			if got := setsIn(r, r.Member(id).Number); !got.Equal(held[i]) {
				t.Errorf("node %d holds %v of pc%d, its agent %v", at+1, got, i, held[i])
			}
		}
	}
	site.Equal()
}

// wander has an agent report to one node after the other, and returns what it holds in the end.
func wander(t *testing.T, all []*Room, id string, clock *clock, random *rand.Rand, rounds int) Sets {
	a := &agent{sets: NewSets(), sent: NewSets()}
	for round := 0; round < rounds || a.counter == 0; round++ {
		if round > 10*rounds {
			t.Errorf("%s: no report gets through", id)
			break
		}
		if round < rounds {
			a.sets = Sets{roaring.BitmapOf(random.Uint32N(50), random.Uint32N(50)), roaring.BitmapOf(random.Uint32N(50)), roaring.New()}
		}
		clock.add(time.Second)
		taken, err := all[random.IntN(len(all))].Report(t.Context(), id, a.next(clock.now()))
		switch {
		case errors.Is(err, store.ErrNotFound): // that node has not heard of the computer yet
			round--
		case err != nil:
			t.Error(err)
			return a.sets
		case random.IntN(5) > 0 || taken.Resend: // else the answer is lost
			a.answered(taken, a.sets)
		default:
			a.counter = max(a.counter, 1) // what it knows is old
		}
	}
	// The last state must have come through.
	for range 20 {
		taken, err := all[0].Report(t.Context(), id, a.next(clock.now()))
		if err != nil {
			t.Error(err)
			break
		}
		a.answered(taken, a.sets)
		if !taken.Resend {
			break
		}
		clock.add(time.Second)
	}
	return a.sets
}
