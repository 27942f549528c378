package computers

import (
	"context"
	"slices"
	"sync"
	"time"

	"thatch/node/store"
)

// Room is the computers of a site. It is safe for use by several goroutines.
type Room struct {
	reader   store.Reader
	writer   store.Writer
	now      func() time.Time
	gatherer *Gatherer
	seen     *seen

	refreshing sync.Mutex
	loaded     int64 // index that memory holds
	memory     *inverse

	rivals rivals
}

// New makes the room and loads its memory.
func New(ctx context.Context, reader store.Reader, writer store.Writer, now func() time.Time) (*Room, error) {
	r := &Room{reader: reader, writer: writer, now: now, seen: newSeen(), memory: newInverse(), rivals: newRivals()}
	r.gatherer = newGatherer(writer, now, func(ctx context.Context, index uint64) error {
		return r.refresh(store.AtLeast(ctx, index))
	})
	return r, r.refresh(ctx)
}

// Gatherer is what writes reports and enrolments. Somebody must Run it, or Flush it at times.
func (r *Room) Gatherer() *Gatherer { return r.gatherer }

// Intervals of Run.
const (
	gatherEvery = 100 * time.Millisecond
	seenEvery   = 5 * time.Minute
)

// Run gathers reports, writes last-seen times and follows the database until ctx ends.
func (r *Room) Run(ctx context.Context, changed <-chan struct{}) error {
	gather, seen := time.NewTicker(gatherEvery), time.NewTicker(seenEvery)
	defer gather.Stop()
	defer seen.Stop()
	var running sync.WaitGroup
	running.Go(func() { r.gatherer.Run(ctx, gather.C) })
	running.Go(func() { r.writeSeen(ctx, seen.C) })
	err := r.Follow(ctx, changed)
	running.Wait()
	return err
}

func sortByNumber(all []Member) {
	slices.SortFunc(all, func(a, b Member) int { return int(a.Number) - int(b.Number) })
}
