package computers

import (
	"context"
	"slices"
	"sync"
	"time"

	"thatch/node/computers/gather"
	"thatch/node/computers/prompts"
	"thatch/node/computers/seen"
	"thatch/node/store"
)

// Room is the computers of a site. It is safe for use by several goroutines.
type Room struct {
	reader   store.Reader
	writer   store.Writer
	now      func() time.Time
	gatherer *gather.Gatherer
	seen     *seen.Room

	refreshing sync.Mutex
	loaded     int64 // index that memory holds; 0: it holds nothing, or is not known to be whole
	memory     *inverse
	moved      chan struct{} // of capacity 1

	rivals rivals

	Prompts *prompts.Room // of the same computers
}

// New makes the room and loads its memory.
func New(ctx context.Context, reader store.Reader, writer store.Writer, now func() time.Time) (*Room, error) {
	r := &Room{reader: reader, writer: writer, now: now, seen: seen.New(reader, writer, now), memory: newInverse(), rivals: newRivals(), moved: make(chan struct{}, 1)}
	model := store.Batch{Actor: "agents", Reason: "reports and enrolments", Topics: []string{Topic}}
	r.gatherer = gather.New(writer, model, now, func(ctx context.Context, index uint64) error {
		return r.refresh(store.AtLeast(ctx, index))
	})
	r.Prompts = prompts.New(reader, writer, now, Topic, r.gatherer)
	return r, r.refresh(ctx)
}

// Gatherer is what writes reports and enrolments. Somebody must Run it, or Flush it at times.
func (r *Room) Gatherer() *gather.Gatherer { return r.gatherer }

// ErrBusy says that more is waiting to be written than the node takes on: try again later.
var ErrBusy = gather.ErrBusy

// Intervals of Run.
const (
	gatherEvery = 100 * time.Millisecond
	seenEvery   = 5 * time.Minute
)

// SeenStep is how far what one node knows of a computer's last-seen time may lie behind what another one knows.
const SeenStep = seen.Step

// Silent says whether a computer is silent, or not reporting: it never reported (zero), or was last heard of before a time, which the
// setting health.silent gives.
func Silent(reported, heard, since time.Time) bool { return reported.IsZero() || heard.Before(since) }

// At says at which node this is, by its id.
func (r *Room) At(node string) { r.seen.At(node) }

// NodeOf is the id of the node that a computer last spoke to, as far as that is known here; other nodes tell within minutes.
func (r *Room) NodeOf(number uint32) string { return r.seen.Node(number) }

// Seen notes that a computer was heard of.
func (r *Room) Seen(number uint32, at time.Time) { r.seen.Note(number, at) }

// WriteSeen has other nodes, and the next start, know when computers were last heard of.
func (r *Room) WriteSeen(ctx context.Context) error { return r.seen.Write(ctx) }

// Run gathers reports, writes last-seen times and follows the database until ctx ends.
func (r *Room) Run(ctx context.Context, changed <-chan struct{}) error {
	gathering, seeing := time.NewTicker(gatherEvery), time.NewTicker(seenEvery)
	defer gathering.Stop()
	defer seeing.Stop()
	var running sync.WaitGroup
	running.Go(func() { r.gatherer.Run(ctx, gathering.C) })
	running.Go(func() { r.seen.Run(ctx, seeing.C) })
	err := r.Follow(ctx, changed)
	running.Wait()
	return err
}

func sortByNumber(all []Member) {
	slices.SortFunc(all, func(a, b Member) int { return int(a.Number) - int(b.Number) })
}
