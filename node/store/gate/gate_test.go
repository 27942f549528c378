package gate_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"thatch/node/store/gate"
)

var errAway = errors.New("away")

func TestManyAreInsideAtOnce(t *testing.T) {
	var g gate.Gate
	_, first, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, second, err := g.Enter(t.Context())
	if err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err())
	}
	first()
	if ctx.Err() != nil {
		t.Error("one visit ended with the other")
	}
	second()
	if ctx.Err() == nil {
		t.Error("a visit's context outlives it")
	}
	g.Shut(t.Context(), errAway)() // nobody is inside
}

func TestShutWaitsForThoseInsideAndKeepsOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate.Gate
		inside, leave, err := g.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shut, entered := make(chan func(), 1), make(chan error, 1)
		go func() { shut <- g.Shut(t.Context(), errAway) }()
		synctest.Wait()
		if len(shut) > 0 {
			t.Fatal("shut with somebody inside")
		}
		late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, _, err := g.Enter(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("entered a gate that shuts: %v", err)
		}
		go func() {
			_, leave, err := g.Enter(t.Context())
			if err == nil {
				leave()
			}
			entered <- err
		}()
		if inside.Err() != nil {
			t.Error("who was inside was thrown out at once")
		}
		leave()
		open := <-shut
		synctest.Wait()
		if len(entered) > 0 {
			t.Fatalf("entered a shut gate: %v", <-entered)
		}
		open()
		if err := <-entered; err != nil {
			t.Error(err)
		}
	})
}

func TestThoseWhoStayAreTold(t *testing.T) {
	var g gate.Gate
	inside, leave, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-inside.Done()
		leave()
	}()
	hurry, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	g.Shut(hurry, errAway)()
	if cause := context.Cause(inside); !errors.Is(cause, errAway) {
		t.Errorf("told %v", cause)
	}
}

func TestOneAtATimeHasItForItself(t *testing.T) {
	var g gate.Gate
	var alone, visits atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				if i < 2 {
					open := g.Shut(t.Context(), errAway)
					if alone.Add(1) != 1 || visits.Load() != 0 {
						t.Error("not alone")
					}
					alone.Add(-1)
					open()
					continue
				}
				_, leave, err := g.Enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				visits.Add(1)
				if alone.Load() != 0 {
					t.Error("inside a shut gate")
				}
				visits.Add(-1)
				leave()
			}
		})
	}
	all.Wait()
}

func TestEndedGateLetsNobodyIn(t *testing.T) {
	var g gate.Gate
	_, leave, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.End(errAway)
	if _, _, err := g.Enter(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("entered: %v", err)
	}
	leave()
}
