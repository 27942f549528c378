package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/store/storetest"
	"thatch/node/store/sweep"
	"thatch/node/tasks"
)

type fixture struct {
	db    *store.DB
	clock *nodetest.Clock
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	return fixture{storetest.Open(t), nodetest.NewClock()}
}

// room opens a room over the fixture's database, as a start of the node does.
func (f fixture) room(t *testing.T, kinds ...tasks.Kind) *tasks.Room {
	t.Helper()
	r := tasks.New(tasks.Config{
		Node: "node-1", Reader: f.db, Writer: store.Signed(f.db, f.clock.Now, nil), Watch: f.db.Watch, Now: f.clock.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	for _, k := range kinds {
		r.Register(k)
	}
	t.Cleanup(r.Stop)
	return r
}

// start starts a room and has it lead, in a term of its own.
func (f fixture) start(t *testing.T, r *tasks.Room) {
	t.Helper()
	r.Start(t.Context())
	if err := takeLead(t.Context(), f.db, r); err != nil {
		t.Fatal(err)
	}
}

var terms atomic.Uint64

// takeLead has a room lead until it is stopped.
func takeLead(ctx context.Context, db *store.DB, r *tasks.Room) error {
	term := terms.Add(1)
	applied, err := db.Write(ctx, store.Batch{Reason: "lead", Statements: []store.Statement{tasks.Claim("node-1", "epoch", term, time.Now())}})
	if err = errors.Join(err, applied.Err()); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- r.Lead(context.WithoutCancel(ctx), term) }()
	for !r.Leading() {
		select {
		case err := <-failed:
			return fmt.Errorf("the room does not lead: %w", err)
		default:
			runtime.Gosched()
		}
	}
	return nil
}

func ended(t *testing.T, r *tasks.Room, id string) tasks.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run, err := r.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func doing(name string, do func(ctx context.Context, job *tasks.Job) (any, error)) tasks.Kind {
	return tasks.Kind{Name: name, Do: do}
}

// waiting is a kind that says that it began and then waits for its end.
func waiting(name string, began chan<- string) tasks.Kind {
	return doing(name, func(ctx context.Context, job *tasks.Job) (any, error) {
		began <- job.Resumes
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

func TestOutcomes(t *testing.T) {
	f := newFixture(t)
	r := f.room(t,
		doing("good", func(_ context.Context, job *tasks.Job) (any, error) {
			var in struct{ N int }
			err := job.Decode(&in)
			job.Progress(tasks.Progress{Done: 1, Total: 2, Unit: "files", Text: "at it"})
			job.Log("n is %d", in.N)
			return map[string]int{"n": in.N}, err
		}),
		doing("bad", func(context.Context, *tasks.Job) (any, error) {
			return map[string]int{"half": 1}, errors.New("no luck")
		}),
		doing("mad", func(context.Context, *tasks.Job) (any, error) { panic("oh") }),
		doing("huge", func(context.Context, *tasks.Job) (any, error) { return strings.Repeat("x", tasks.MaxResult), nil }),
		doing("odd", func(context.Context, *tasks.Job) (any, error) { return func() {}, nil }),
		doing("chatty", func(_ context.Context, job *tasks.Job) (any, error) {
			for i := range 1500 {
				job.Log("line %d %s", i+1, strings.Repeat("y", 2000))
			}
			return nil, nil
		}))
	f.start(t, r)
	for _, c := range []struct {
		kind   string
		state  tasks.State
		result string
		err    string
	}{
		{"good", tasks.Done, `{"n":7}`, ""},
		{"bad", tasks.Failed, `{"half":1}`, "no luck"},
		{"mad", tasks.Failed, "", "oh"},
		{"huge", tasks.Failed, "", "at most"},
		{"odd", tasks.Failed, "", "encode the result"},
		{"chatty", tasks.Done, "", ""},
	} {
		id, err := r.Run(t.Context(), c.kind, map[string]int{"N": 7})
		if err != nil {
			t.Fatal(err)
		}
		live := ended(t, r, id)
		kept, err := r.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range []tasks.Run{live, kept} {
			if run.State != c.state || string(run.Result) != c.result || !strings.Contains(run.Error, c.err) || run.Ended == nil {
				t.Errorf("%s: %s, result %s, error %.80s", c.kind, run.State, run.Result, run.Error)
			}
		}
		switch c.kind {
		case "good":
			if len(kept.Lines) != 1 || kept.Lines[0].Text != "n is 7" || kept.Progress.Total != 2 {
				t.Errorf("good: %+v", kept)
			}
		case "chatty":
			if n := len(kept.Lines); n != 1000 || !strings.Contains(kept.Lines[n-1].Text, "501 more lines") {
				t.Errorf("chatty: %d lines, the last %.60q", n, kept.Lines[n-1].Text)
			}
		}
	}
	if _, err := r.Run(t.Context(), "nobody", nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown kind: %v", err)
	}
	if _, err := r.Run(t.Context(), "good", strings.Repeat("x", 100_000)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("huge parameters: %v", err)
	}
	if _, err := r.Run(t.Context(), "good", func() {}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("parameters that are no JSON: %v", err)
	}
	failed, total, err := r.Runs(t.Context(), store.Query{Filter: map[string]string{"state": "failed"}, Sort: "task"})
	if err != nil || total != 4 || failed[0].Task != "bad" || failed[0].Lines != nil {
		t.Errorf("%d failed runs: %+v, %v", total, failed, err)
	}
}

func TestOneRunPerKey(t *testing.T) {
	f := newFixture(t)
	began := make(chan string, 10)
	k := waiting("import", began)
	k.Key = func(params json.RawMessage) string { return string(params) }
	r := f.room(t, k)
	f.start(t, r)
	first, err := r.Run(t.Context(), "import", "msrc")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Run(t.Context(), "import", "msrc")
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), first) {
		t.Errorf("a second run of the same key: %v", err)
	}
	second, err := r.Run(t.Context(), "import", "sdp")
	if err != nil {
		t.Errorf("another key: %v", err)
	}
	<-began
	<-began
	if r.Live() != 2 {
		t.Errorf("%d live runs", r.Live())
	}
	if runs, _, err := r.Runs(t.Context(), store.Query{}); err != nil || len(runs) != 2 || runs[0].State != tasks.Running {
		t.Errorf("%+v, %v", runs, err)
	}
	ctx := store.WithCaller(t.Context(), &store.Caller{Actor: "operator anna"})
	for _, id := range []string{first, second} {
		if err := r.Cancel(ctx, id); err != nil {
			t.Fatal(err)
		}
		if run := ended(t, r, id); run.State != tasks.Cancelled {
			t.Errorf("%+v", run)
		}
	}
	if err := r.Cancel(ctx, first); !errors.Is(err, store.ErrConflict) {
		t.Errorf("cancelling what has ended: %v", err)
	}
	if err := r.Cancel(ctx, "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("cancelling nothing: %v", err)
	}
	again, err := r.Run(t.Context(), "import", "msrc")
	if err != nil {
		t.Fatalf("the key is not free again: %v", err)
	}
	if err := r.Cancel(ctx, again); err != nil {
		t.Fatal(err)
	}
}

func TestRacingStartsYieldOneRun(t *testing.T) {
	f := newFixture(t)
	began := make(chan string, 100)
	r := f.room(t, waiting("import", began))
	f.start(t, r)
	var racing sync.WaitGroup
	ids := make(chan string, 20)
	for range 20 {
		racing.Go(func() {
			id, err := r.Run(t.Context(), "import", nil)
			if err == nil {
				ids <- id
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if len(ids) != 1 {
		t.Errorf("%d runs started", len(ids))
	}
}

func TestStopInterruptsAndStartResumes(t *testing.T) {
	f := newFixture(t)
	began := make(chan string, 10)
	resumes, not := waiting("import", began), waiting("other", began)
	resumes.Resume = true
	r := f.room(t, resumes, not)
	f.start(t, r)
	first, err := r.Run(t.Context(), "import", "msrc")
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.Run(t.Context(), "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	<-began
	<-began
	r.Stop()
	if _, err := r.Run(t.Context(), "other", nil); err == nil {
		t.Error("a stopped room starts runs")
	}
	for _, id := range []string{first, other} {
		if run, err := r.Get(t.Context(), id); err != nil || run.State != tasks.Interrupted {
			t.Errorf("%+v, %v", run, err)
		}
	}
	again := f.room(t, resumes, not)
	f.start(t, again)
	if was := <-began; was != first {
		t.Errorf("resumed %q, want %q", was, first)
	}
	runs, _, err := again.Runs(t.Context(), store.Query{Filter: map[string]string{"state": "running"}})
	if err != nil || len(runs) != 1 || runs[0].Resumes != first || string(runs[0].Params) != `"msrc"` {
		t.Errorf("running: %+v, %v", runs, err)
	}
	again.Stop()
	third := f.room(t, resumes, not)
	f.start(t, third)
	if was := <-began; was != runs[0].ID {
		t.Errorf("the third start resumed %q, want only the latest, %q", was, runs[0].ID)
	}
	select {
	case was := <-began:
		t.Errorf("%q was resumed too", was)
	default:
	}
}

// TestCrash has a run that the database says is running although nobody works on it, as after kill -9.
func TestCrash(t *testing.T) {
	f := newFixture(t)
	insert := func(id, node string) {
		t.Helper()
		_, err := f.db.Write(t.Context(), store.Batch{Reason: "crash", Statements: []store.Statement{{
			SQL: `INSERT INTO run (id, task, kind, busy, node, state, actor, params, resumes, started, progress)
				VALUES (?, 'import', 'import', ?, ?, 'running', 'x', 'null', '', '2026-01-01T00:00:00.000Z', '{}')`,
			Args: []any{id, "busy " + id, node},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	insert("mine", "node-1")
	insert("theirs", "node-2")
	r := f.room(t)
	f.start(t, r)
	if run, err := r.Get(t.Context(), "mine"); err != nil || run.State != tasks.Interrupted || run.Ended == nil {
		t.Errorf("%+v, %v", run, err)
	}
	if run, err := r.Get(t.Context(), "theirs"); err != nil || run.State != tasks.Running {
		t.Errorf("another node's run: %+v, %v", run, err)
	}
}

func TestSchedule(t *testing.T) {
	f := newFixture(t)
	ran := make(chan time.Time, 10)
	k := doing("sweep", func(context.Context, *tasks.Job) (any, error) { ran <- f.clock.Now(); return nil, nil })
	k.Tasks = []tasks.Task{{Name: "sweep all", Schedule: "@every 90m", Enabled: true}, {Name: "sweep some", Schedule: "0 3 * * *"}}
	r := f.room(t, k)
	f.start(t, r)
	all, err := r.Tasks(t.Context())
	if err != nil || len(all) != 2 || all[0].Next == nil || all[1].Next != nil {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, bad := range []tasks.Task{{Name: "sweep all", Schedule: "whenever"}, {Name: "sweep all", Params: json.RawMessage("{")}} {
		if _, err := r.Change(t.Context(), bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := r.Change(t.Context(), tasks.Task{Name: "nobody"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	f.clock.Move(89 * time.Minute)
	poke(t, r)
	if len(ran) != 0 {
		t.Error("it ran before its time")
	}
	f.clock.Move(time.Minute)
	poke(t, r)
	if at := <-ran; !at.Equal(f.clock.Now()) {
		t.Errorf("ran at %s", at)
	}
	if last, err := r.Task(t.Context(), "sweep all"); err != nil || last.Last == nil {
		t.Fatalf("%+v, %v", last, err)
	} else {
		ended(t, r, last.Last.ID) // what is due while a run goes on is left out
	}
	f.clock.Move(10 * time.Hour) // several times passed: made up for once
	poke(t, r)
	<-ran
	if len(ran) != 0 {
		t.Error("every missed time was made up for")
	}
	stale, err := r.Change(t.Context(), tasks.Task{Name: "sweep all", Schedule: "@daily", Enabled: false, Version: 1})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a change made from an old version: %+v, %v", stale, err)
	}
}

// poke has the schedules read again: any change of a task does.
func poke(t *testing.T, r *tasks.Room) {
	t.Helper()
	other, err := r.Task(t.Context(), "sweep all")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Change(t.Context(), other); err != nil {
		t.Fatal(err)
	}
}

func TestTasksAreMadeOnce(t *testing.T) {
	f := newFixture(t)
	k := doing("sweep", nil)
	k.Tasks = []tasks.Task{{Name: "sweep", Schedule: "@daily", Enabled: true}}
	r := f.room(t, k)
	f.start(t, r)
	if _, err := r.Change(t.Context(), tasks.Task{Name: "sweep"}); err != nil {
		t.Fatal(err)
	}
	again := f.room(t, k)
	f.start(t, again)
	if task, err := again.Task(t.Context(), "sweep"); err != nil || task.Schedule != "" || task.Enabled || task.Version != 2 {
		t.Errorf("the second start changed what a person set: %+v, %v", task, err)
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	step, seen := make(chan int), make(chan tasks.Run)
	r := f.room(t, doing("count", func(ctx context.Context, job *tasks.Job) (any, error) {
		for n := range step {
			job.Progress(tasks.Progress{Done: int64(n)})
			job.Log("at %d", n)
		}
		return nil, nil
	}))
	f.start(t, r)
	id, err := r.Run(t.Context(), "count", nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- r.Watch(t.Context(), id, time.Microsecond, func(run tasks.Run) error {
			seen <- run
			return nil
		})
	}()
	<-seen
	last := tasks.Run{}
	for n := range 5 {
		step <- n
		for last.Progress.Done != int64(n) || len(last.Lines) != n+1 {
			last = <-seen
		}
	}
	close(step)
	for last.Ended == nil {
		last = <-seen
	}
	if err := <-done; err != nil || last.State != tasks.Done {
		t.Errorf("%+v, %v", last, err)
	}
	if err := r.Watch(t.Context(), "nobody", 0, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	stop := errors.New("enough")
	if err := r.Watch(t.Context(), id, 0, func(tasks.Run) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a watcher that has enough: %v", err)
	}
}

func TestPrune(t *testing.T) {
	f := newFixture(t)
	r := f.room(t, doing("x", func(_ context.Context, job *tasks.Job) (any, error) { job.Log("hello"); return nil, nil }))
	f.start(t, r)
	old, err := r.Run(t.Context(), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, r, old)
	f.clock.Move(time.Hour)
	young, err := r.Run(t.Context(), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, r, young)
	if err := r.Prune(t.Context(), sweep.New(f.db, f.db), tasks.Keep{Since: f.clock.Now(), Runs: 100}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), old); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old one: %v", err)
	}
	if run, err := r.Get(t.Context(), young); err != nil || len(run.Lines) != 1 {
		t.Errorf("the young one: %+v, %v", run, err)
	}
}
