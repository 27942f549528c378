package tasks_test

import (
	"context"
	"log/slog"
	"testing"

	"thatch/node/store"
	"thatch/node/tasks"
)

// leaving is a writer whose caller gives up while a batch is on its way, which is applied all the same.
type leaving struct {
	store.Writer
	leave context.CancelFunc
}

func (l leaving) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	applied, err := l.Writer.Write(context.WithoutCancel(ctx), b)
	if l.leave != nil {
		l.leave()
	}
	if ctx.Err() != nil {
		return store.Applied{}, ctx.Err()
	}
	return applied, err
}

// TestARunWhoseCallerLeavesIsNotInTheWay has the caller of Run give up while the run is being recorded: it may begin or
// not, but must not be taken for going on for ever.
func TestARunWhoseCallerLeavesIsNotInTheWay(t *testing.T) {
	f := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	w := &leaving{Writer: store.Signed(f.db, f.clock.Now, nil)}
	r := tasks.New(tasks.Config{Node: "node-1", Reader: f.db, Writer: w, Watch: f.db.Watch, Now: f.clock.Now, Log: slog.New(slog.DiscardHandler)})
	r.Register(doing("work", func(context.Context, *tasks.Job) (any, error) { return "done", nil }))
	t.Cleanup(r.Stop)
	f.start(t, r)
	w.leave = leave
	if id, err := r.Run(ctx, "work", nil); err == nil {
		ended(t, r, id)
	}
	w.leave = nil
	if _, err := r.Run(ctx, "work", nil); err == nil {
		t.Error("a caller who has given up begins a run")
	}
	id, err := r.Run(t.Context(), "work", nil)
	if err != nil {
		t.Fatalf("the next run: %v", err)
	}
	if run := ended(t, r, id); run.State != tasks.Done {
		t.Errorf("%+v", run)
	}
}
