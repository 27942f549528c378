package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// reserve is how many bytes the heap of a node may always have. A small node collects garbage seldom: an import, or a
// wave of reports, is over before the collector has cost anything.
const reserve = 96 << 20

// The collector's bounds in per cent of what is alive; leastGarbage is Go's own default, and that of a large node.
const (
	leastGarbage = 100
	mostGarbage  = 1600
)

// keepReserve lets the heap grow to the reserve before garbage is collected, and beyond it to twice what is alive. Whoever
// sets GOGC knows better.
func keepReserve() {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := mostGarbage
	debug.SetGCPercent(percent)
	afterEachCollection(func() {
		if wanted := garbageFor(alive()); wanted != percent {
			percent = wanted
			debug.SetGCPercent(percent)
		}
	})
}

// garbageFor is how much garbage, in steps of ten per cent of what is alive, fills the reserve.
func garbageFor(alive uint64) int {
	if alive == 0 {
		return mostGarbage
	}
	percent := (float64(reserve)/float64(alive) - 1) * 10
	return min(max(int(percent)*10, leastGarbage), mostGarbage)
}

// alive is what the last collection found, in bytes.
func alive() uint64 { return figure("/gc/heap/live:bytes") }

// figure is one of the runtime's own; 0 where it knows none of that name.
func figure(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// collected is an object that each collection finds to be garbage.
type collected struct{ _ [64]byte }

func afterEachCollection(do func()) {
	runtime.SetFinalizer(new(collected), func(*collected) {
		do()
		afterEachCollection(do)
	})
}
