package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"thatch/node/store"
)

// State is where a run stands.
type State string

// The states of a run.
const (
	Queued      State = "queued" // until the leader takes it up
	Running     State = "running"
	Done        State = "done"
	Failed      State = "failed"
	Cancelled   State = "cancelled"
	Interrupted State = "interrupted" // its node ended before it, or ceased to lead
)

// Run is one execution of a task.
type Run struct {
	ID       string          `json:"id"`
	Task     string          `json:"task"`
	Kind     string          `json:"kind"`
	State    State           `json:"state"`
	Node     string          `json:"node,omitempty"` // id of the node that runs it
	Actor    string          `json:"actor"`
	Params   json.RawMessage `json:"params,omitempty"`
	Resumes  string          `json:"resumes,omitempty"` // id of the interrupted run that it goes on with
	Started  time.Time       `json:"started"`
	Ended    *time.Time      `json:"ended,omitempty"`
	Progress Progress        `json:"progress"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
	Lines    []Line          `json:"lines,omitempty"` // of its log; in lists left out
}

// Progress is how far a run is.
type Progress struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total"`          // 0: not known
	Unit  string `json:"unit,omitempty"` // "bytes", "files"
	Text  string `json:"text,omitempty"` // what it is at
}

// Line is one line of a run's log.
type Line struct {
	Number int       `json:"number"` // from 1
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

// Job is what a run's function works with.
type Job struct {
	ID      string
	Params  json.RawMessage
	Resumes string // id of the interrupted run that this one goes on with, "" none
	live    *live
}

// Decode reads the parameters.
func (j *Job) Decode(into any) error {
	if err := json.Unmarshal(j.Params, into); err != nil {
		return store.Invalid("parameters: %v", err)
	}
	return nil
}

// Progress says how far the run is. It is cheap, and may be called from several goroutines.
func (j *Job) Progress(p Progress) { j.live.set(func(r *Run) { r.Progress = p }) }

// Log adds a line to the run's log.
func (j *Job) Log(format string, args ...any) { j.live.log(fmt.Sprintf(format, args...)) }

// live is a run that goes on at this node.
type live struct {
	now     func() time.Time
	cancel  context.CancelCauseFunc
	ctx     context.Context
	ended   chan struct{}
	mu      sync.Mutex
	run     Run           // with all lines
	changed chan struct{} // closed at the next change
	dropped int           // lines beyond maxLines
	written int           // lines in the database
	lead    *lead         // nil: it is the node's own
}

// enlive makes a run live here. All that it writes hangs on its being this node's still.
func (r *Room) enlive(run Run, lead *lead) *live {
	caller := &store.Caller{Actor: "task " + run.Task, Guard: store.Statement{
		SQL: `UPDATE run SET term = term WHERE id = ? AND state = 'running' AND term = ?`, Args: []any{run.ID, lead.number()},
	}}
	ctx, cancel := context.WithCancelCause(store.WithCaller(r.base, caller))
	l := &live{now: r.cfg.Now, ctx: ctx, cancel: cancel, run: run, changed: make(chan struct{}), ended: make(chan struct{}), lead: lead}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[run.ID] = l
	if lead != nil && r.lead != lead {
		cancel(errLost)
	}
	return l
}

func (l *live) set(change func(*Run)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.run)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *live) log(text string) {
	if len(text) > maxLine {
		text = text[:maxLine] + "..."
	}
	l.set(func(r *Run) {
		if len(r.Lines) >= maxLines {
			l.dropped++
			return
		}
		r.Lines = append(r.Lines, Line{Number: len(r.Lines) + 1, At: l.now().UTC(), Text: text})
	})
}

// snapshot is the run as it is now, and a channel closed at its next change.
func (l *live) snapshot() (Run, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	run := l.run
	run.Lines = run.Lines[:len(run.Lines):len(run.Lines)]
	return run, l.changed
}

// work does the run and records its end.
func (r *Room) work(k Kind, l *live) {
	stop := make(chan struct{})
	var keeping sync.WaitGroup
	keeping.Go(func() { r.keep(l, stop) })
	result, err := do(l.ctx, k, &Job{ID: l.run.ID, Params: l.run.Params, Resumes: l.run.Resumes, live: l})
	close(stop)
	keeping.Wait()
	r.finish(l, result, err)
}

// do calls the kind's function; a panic in it ends the run, not the node.
func do(ctx context.Context, k Kind, job *Job) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the program is at fault, please report it: %v\n%s", p, debug.Stack())
		}
	}()
	return k.Do(ctx, job)
}

func (r *Room) finish(l *live, result any, err error) {
	cause := context.Cause(l.ctx)
	at := r.cfg.Now().UTC()
	encoded, tooLarge := encodeResult(result)
	if err == nil {
		err = tooLarge
	}
	l.set(func(run *Run) {
		if l.dropped > 0 {
			run.Lines[maxLines-1].Text = fmt.Sprintf("and %d more lines, which are not kept", l.dropped+1)
			l.written = min(l.written, maxLines-1)
		}
	})
	run, _ := l.snapshot()
	run.Ended, run.Result = &at, encoded
	run.State, run.Error = outcome(cause, err)
	// Recorded before anybody hears of it: whoever waited for the end may start the next run at once. That a run was cut by the
	// loss of the lead is for the next leader to say.
	if run.State != Interrupted || !errors.Is(cause, errLost) {
		if err := r.record(l, run); errors.Is(err, store.ErrTakenOver) {
			r.cfg.Log.Warn("a run ended that the site had given up, or another node has taken over", "run", l.run.ID)
		} else if err != nil {
			r.cfg.Log.Error("the end of a run could not be kept; the leader finds it interrupted", "run", l.run.ID, "error", err)
		}
	}
	l.set(func(now *Run) { *now = run })
	r.cfg.Log.Info("run ended", "task", run.Task, "run", run.ID, "state", run.State, "took", at.Sub(run.Started).Round(time.Millisecond), "error", run.Error)
	r.mu.Lock()
	delete(r.live, run.ID)
	r.mu.Unlock()
	l.cancel(nil)
	close(l.ended)
	r.wake()
}

// outcome tells the state of a run from why its context ended and what its function said.
func outcome(cause, err error) (State, string) {
	switch {
	case err == nil:
		return Done, ""
	case errors.Is(cause, errCancelled):
		return Cancelled, errCancelled.Error()
	case errors.Is(cause, errStopping), errors.Is(cause, errLost):
		return Interrupted, cause.Error()
	case errors.Is(err, store.ErrTakenOver):
		return Interrupted, err.Error()
	}
	return Failed, err.Error()
}

func encodeResult(result any) (json.RawMessage, error) {
	if result == nil {
		return nil, nil
	}
	text, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	if len(text) > MaxResult {
		return nil, fmt.Errorf("the result has %d bytes, at most %d are kept", len(text), MaxResult)
	}
	return text, nil
}

// Wait waits for the end of a run, wherever it goes on.
func (r *Room) Wait(ctx context.Context, id string) (ended Run, err error) {
	err = r.Watch(ctx, id, 0, func(run Run) error {
		ended = run
		return nil
	})
	if err != nil {
		return Run{}, fmt.Errorf("wait for run %s: %w", id, err)
	}
	return ended, nil
}

// Watch calls see with a run now and at each change, until it has ended, see returns an error, or ctx ends. Changes that come
// faster than every pause are one. Of a run that goes on at another node, see hears what that one has written down.
func (r *Room) Watch(ctx context.Context, id string, pause time.Duration, see func(Run) error) error {
	watch := r.cfg.Watch(topics...)
	defer watch.Close()
	for {
		changed, ended := watch.C, (<-chan struct{})(nil)
		run, err := Run{}, error(nil)
		if l := r.alive(id); l != nil {
			run, changed = l.snapshot()
			ended = l.ended
		} else if run, err = r.Get(ctx, id); err != nil {
			return err
		}
		if err := see(run); err != nil || run.Ended != nil {
			return err
		}
		if err := next(ctx, changed, ended, pause); err != nil {
			return err
		}
	}
}

// next waits for a change, and then until the pause is over; the end of the run is told at once.
func next(ctx context.Context, changed, ended <-chan struct{}, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-changed:
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-timer.C:
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
