package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbageFillsTheReserveAndNoMore(t *testing.T) {
	for _, c := range []struct {
		alive uint64
		want  int
	}{
		{0, mostGarbage},
		{1 << 20, mostGarbage},
		{reserve / 5, 400},
		{reserve / 4, 300},
		{reserve / 2, leastGarbage},
		{reserve, leastGarbage},
		{8 << 30, leastGarbage},
	} {
		got := garbageFor(c.alive)
		if got != c.want {
			t.Errorf("%d bytes alive: %d %%, want %d %%", c.alive, got, c.want)
		}
		if heap := c.alive + c.alive/100*uint64(got); got > leastGarbage && heap > reserve {
			t.Errorf("%d bytes alive: the heap may grow to %d", c.alive, heap)
		}
	}
}

func TestLargeHeapIsCollectedAsUsual(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	keepReserve()
	large := make([]byte, reserve)
	deadline := time.Now().Add(20 * time.Second)
	for figure("/gc/gogc:percent") != leastGarbage {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are alive and the collector waits for %d %% of garbage", alive(), figure("/gc/gogc:percent"))
		}
		runtime.GC()
		runtime.Gosched()
	}
	runtime.KeepAlive(large)
}

func TestWhoeverSetsTheCollectorIsHeard(t *testing.T) {
	t.Setenv("GOGC", "50")
	before := debug.SetGCPercent(70)
	defer debug.SetGCPercent(before)
	keepReserve()
	if percent := figure("/gc/gogc:percent"); percent != 70 {
		t.Errorf("the collector was set to %d %%", percent)
	}
}
