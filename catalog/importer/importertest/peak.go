package importertest

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"thatch/catalog/importer"
)

// Peak runs something and returns the most heap that was in use above what was at its beginning, in bytes. It collects
// garbage often meanwhile, so that what is counted is what is held.
func Peak(do func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	var at runtime.MemStats
	runtime.ReadMemStats(&at)
	from, most := at.HeapAlloc, at.HeapAlloc
	stop := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
	})
	do()
	close(stop)
	sampling.Wait()
	return int64(most - from)
}

// Discard is a sink that keeps nothing and counts. The zero value is ready.
type Discard struct {
	Saves, All, Documents int // All: parts
	Largest               int // bytes of parts in one save
	Ended                 []importer.FileState
}

// Known implements importer.Sink.
func (*Discard) Known(context.Context, string) (map[string]string, error) { return nil, nil }

// Failures implements importer.Sink.
func (*Discard) Failures(context.Context, string) ([]importer.Failure, error) { return nil, nil }

// Parts implements importer.Sink.
func (*Discard) Parts(context.Context, string, []string) ([]importer.Part, error) { return nil, nil }

// FileKeys implements importer.Sink.
func (*Discard) FileKeys(context.Context, string, string) ([]string, error) { return nil, nil }

// Save implements importer.Sink.
func (d *Discard) Save(ctx context.Context, s importer.Saved) (int, error) {
	d.Saves++
	size := 0
	for _, p := range s.Parts {
		size += len(p.Body)
	}
	d.Largest = max(d.Largest, size)
	d.All += len(s.Parts)
	d.Documents += len(s.Documents)
	for _, file := range s.Files {
		if file.Fingerprint != "" {
			d.Ended = append(d.Ended, file)
		}
	}
	return len(s.Documents), ctx.Err()
}
