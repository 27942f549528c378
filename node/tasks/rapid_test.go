package tasks_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/store/storetest"
	"thatch/node/tasks"
)

// TestAnyHistory starts, ends, fails and cancels runs of a few kinds, and restarts the node, in any order, and holds
// the room against a model: at most one run of a kind goes on, each run ends once and stays as it ended, and a restart
// goes on with what asks for it and with nothing else.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		defer func() { h.room.Stop() }()
		rt.Repeat(map[string]func(*rapid.T){
			"start":   h.start,
			"end":     func(rt *rapid.T) { h.end(rt, nil, tasks.Done) },
			"fail":    func(rt *rapid.T) { h.end(rt, errors.New("no luck"), tasks.Failed) },
			"cancel":  h.cancel,
			"restart": h.restart,
			"":        h.check,
		})
	})
}

type history struct {
	t      *testing.T
	db     *store.DB
	clock  *nodetest.Clock
	room   *tasks.Room
	began  chan *going
	going  map[string]*going // by kind
	states map[string]tasks.State
}

// going is a run that waits to be told how it ends.
type going struct {
	id, kind, resumes string
	end               chan error
}

var resuming = map[string]bool{"import": true, "stage": true, "sweep": false}

func newHistory(t *testing.T, rt *rapid.T) *history {
	h := &history{
		t: t, db: storetest.Open(t), clock: nodetest.NewClock(), began: make(chan *going, 10),
		going: map[string]*going{}, states: map[string]tasks.State{},
	}
	h.open(rt)
	return h
}

func (h *history) open(rt *rapid.T) {
	h.room = tasks.New(tasks.Config{
		Node: "n", Reader: h.db, Writer: store.Signed(h.db, h.clock.Now, nil), Watch: h.db.Watch, Now: h.clock.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	for kind, resume := range resuming {
		h.room.Register(tasks.Kind{Name: kind, Resume: resume, Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			g := &going{id: job.ID, kind: kind, resumes: job.Resumes, end: make(chan error)}
			h.began <- g
			select {
			case err := <-g.end:
				return nil, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
	}
	h.room.Start(h.t.Context())
	if err := takeLead(h.t.Context(), h.db, h.room); err != nil {
		rt.Fatal(err)
	}
}

func (h *history) start(rt *rapid.T) {
	kind := rapid.SampledFrom(slices.Sorted(maps.Keys(resuming))).Draw(rt, "kind")
	id, err := h.room.Run(h.t.Context(), kind, nil)
	if h.going[kind] != nil {
		if !errors.Is(err, store.ErrConflict) {
			rt.Fatalf("a second run of %s: %v", kind, err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	g := <-h.began
	if g.id != id || g.resumes != "" {
		rt.Fatalf("began %+v, started %s", g, id)
	}
	h.going[kind], h.states[id] = g, tasks.Running
}

// pick is one of the runs that go on, nil when there is none.
func (h *history) pick(rt *rapid.T) *going {
	if len(h.going) == 0 {
		rt.Skip("nothing goes on")
	}
	return h.going[rapid.SampledFrom(slices.Sorted(maps.Keys(h.going))).Draw(rt, "of")]
}

func (h *history) ended(rt *rapid.T, g *going, state tasks.State) {
	if _, err := h.room.Wait(h.t.Context(), g.id); err != nil {
		rt.Fatal(err)
	}
	delete(h.going, g.kind)
	h.states[g.id] = state
}

func (h *history) end(rt *rapid.T, how error, state tasks.State) {
	g := h.pick(rt)
	g.end <- how
	h.ended(rt, g, state)
}

func (h *history) cancel(rt *rapid.T) {
	g := h.pick(rt)
	if err := h.room.Cancel(h.t.Context(), g.id); err != nil {
		rt.Fatal(err)
	}
	h.ended(rt, g, tasks.Cancelled)
}

func (h *history) restart(rt *rapid.T) {
	h.room.Stop()
	expected := map[string]string{} // kind -> run that is gone on with
	for kind, g := range h.going {
		h.states[g.id] = tasks.Interrupted
		if resuming[kind] {
			expected[kind] = g.id
		}
	}
	clear(h.going)
	h.open(rt)
	for range expected {
		g := <-h.began
		if expected[g.kind] != g.resumes || g.resumes == "" {
			rt.Fatalf("%s goes on with %q, want %q", g.kind, g.resumes, expected[g.kind])
		}
		h.going[g.kind], h.states[g.id] = g, tasks.Running
	}
}

func (h *history) check(rt *rapid.T) {
	if len(h.began) > 0 {
		rt.Fatalf("a run began that nobody started")
	}
	// A run is on record as ended a moment before the room has let go of it.
	tick, limit := time.NewTicker(time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for late := false; h.room.Live() != len(h.going) && !late; {
		select {
		case <-tick.C:
		case <-limit.C:
			late = true
		}
	}
	if h.room.Live() != len(h.going) {
		rt.Fatalf("%d runs are live, want %d", h.room.Live(), len(h.going))
	}
	runs, total, err := h.room.Runs(h.t.Context(), store.Query{})
	if err != nil || total != len(h.states) {
		rt.Fatalf("%d runs, want %d, %v", total, len(h.states), err)
	}
	for _, run := range runs {
		if run.State != h.states[run.ID] || (run.Ended == nil) != (run.State == tasks.Running) {
			rt.Fatalf("run %s is %s, want %s", run.ID, run.State, h.states[run.ID])
		}
	}
}
