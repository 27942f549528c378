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
	Running     State = "running"
	Done        State = "done"
	Failed      State = "failed"
	Cancelled   State = "cancelled"
	Interrupted State = "interrupted" // the node ended before it
)

// Run is one execution of a task.
type Run struct {
	ID       string          `json:"id"`
	Task     string          `json:"task"`
	Kind     string          `json:"kind"`
	State    State           `json:"state"`
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
}

func (r *Room) enlive(run Run) *live {
	caller := &store.Caller{Actor: "task " + run.Task}
	ctx, cancel := context.WithCancelCause(store.WithCaller(r.base, caller))
	l := &live{now: r.cfg.Now, ctx: ctx, cancel: cancel, run: run, changed: make(chan struct{}), ended: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[run.ID] = l
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
	// Recorded before anybody hears of it: whoever waited for the end may start the next run at once.
	if err := r.record(l, run); err != nil {
		r.cfg.Log.Error("the end of a run could not be kept; the next start finds it interrupted", "run", l.run.ID, "error", err)
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
	case errors.Is(cause, errStopping):
		return Interrupted, errStopping.Error()
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

// Wait waits for the end of a run.
func (r *Room) Wait(ctx context.Context, id string) (Run, error) {
	if l := r.alive(id); l != nil {
		select {
		case <-l.ended:
			run, _ := l.snapshot()
			return run, nil
		case <-ctx.Done():
			return Run{}, fmt.Errorf("wait for run %s: %w", id, ctx.Err())
		}
	}
	return r.Get(ctx, id)
}

// Watch calls see with a run now and at each change, until it has ended, see returns an error, or ctx ends. Changes that come
// faster than every pause are one.
func (r *Room) Watch(ctx context.Context, id string, pause time.Duration, see func(Run) error) error {
	l := r.alive(id)
	if l == nil {
		run, err := r.Get(ctx, id)
		if err != nil {
			return err
		}
		return see(run)
	}
	for {
		run, changed := l.snapshot()
		if err := see(run); err != nil || run.Ended != nil {
			return err
		}
		if err := l.next(ctx, changed, pause); err != nil {
			return err
		}
	}
}

// next waits for a change, and then until the pause is over; the end of the run is told at once.
func (l *live) next(ctx context.Context, changed <-chan struct{}, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-timer.C:
	case <-l.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
