package compliance

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// parallel calls work for 0 to count-1, on every processor. A panic there becomes one here, where somebody may be who
// knows what to do about it.
func parallel(count int, work func(at int)) {
	workers := min(runtime.GOMAXPROCS(0), count)
	if workers <= 1 {
		for at := range count {
			work(at)
		}
		return
	}
	var next atomic.Int64
	var failure atomic.Pointer[string]
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					text := fmt.Sprintf("%v\n%s", p, debug.Stack())
					failure.Store(&text)
				}
			}()
			for at := int(next.Add(1)) - 1; at < count && failure.Load() == nil; at = int(next.Add(1)) - 1 {
				work(at)
			}
		})
	}
	working.Wait()
	if text := failure.Load(); text != nil {
		panic(*text)
	}
}
