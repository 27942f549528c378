package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

// TaskKind is the kind of task that a run of replication is: one type, from the parent.
const TaskKind = "replication"

// Params are those of a run.
type Params struct {
	Type     dataset.Type `json:"type"`
	Complete bool         `json:"complete,omitempty"`
	Verify   int          `json:"verify,omitempty"` // percent of the buckets; 0: none
	Repair   bool         `json:"repair,omitempty"` // of a verification by hand: mend what differs (a rule's always does)
	Up       bool         `json:"up,omitempty"`     // verify what went up, instead of taking what comes down
	Order    string       `json:"order,omitempty"`  // of the parent, that this run serves
	Asked    bool         `json:"asked,omitempty"`  // by a person here
}

// mends says whether a verification repairs what it finds: one of a rule does, one by hand when asked to.
func (p Params) mends() bool { return p.Repair || p.Order == "" && !p.Asked }

// byHand says whether a person asked for the run, here or at the parent: windows do not hold it up.
func (p Params) byHand() bool { return p.Asked || p.Order != "" }

func (l *Link) kind() tasks.Kind {
	return tasks.Kind{
		Name: TaskKind, Text: "Take over from the parent what is meant for this site, and verify it",
		Key: func(raw json.RawMessage) string {
			var p Params
			_ = json.Unmarshal(raw, &p) // what cannot be read fails when it runs
			if p.Up {
				return "up " + string(p.Type)
			}
			return string(p.Type)
		},
		Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			var p Params
			if err := job.Decode(&p); err != nil {
				return nil, err
			}
			s, err := l.current()
			if err != nil {
				return nil, err
			}
			return s.run(ctx, job, p)
		},
	}
}

// Hurry has the parent called at once where there is no connection.
func (l *Link) Hurry() { poke(l.hurry) }

// Start starts a run that a person asks for, and names it. Where there is no connection, one is tried at once.
func (l *Link) Start(ctx context.Context, p Params) (run string, err error) {
	if _, err := l.current(); err != nil && l.leads() {
		l.Hurry()
		return "", err
	}
	p.Asked = true
	return l.node.Tasks.Run(ctx, TaskKind, p)
}

// runAndWait has a run made and waits for its end.
func (s *session) runAndWait(ctx context.Context, p Params) (wire.RunResult, error) {
	var result wire.RunResult
	id, err := s.node.Tasks.Run(ctx, TaskKind, p)
	if err != nil { // another one goes on, or this node begins nothing more
		return result, fmt.Errorf("%w: %w", errGoesOn, err)
	}
	if s.orders.Serves(p.Order, id) { // it was cancelled meanwhile
		s.cancelRun(ctx, id)
	}
	run, err := s.node.Tasks.Wait(ctx, id)
	if err != nil {
		return result, err
	}
	if len(run.Result) > 0 {
		if err := json.Unmarshal(run.Result, &result); err != nil {
			return result, fmt.Errorf("result of run %s: %w", id, err)
		}
	}
	failure := s.failure(id)
	if run.State == tasks.Interrupted {
		return result, fmt.Errorf("%w: run %s: %s", errGoesOn, id, run.Error)
	}
	if failure != nil {
		return result, failure
	}
	if run.State != tasks.Done {
		return result, fmt.Errorf("run %s: %s", id, run.Error)
	}
	return result, nil
}

// errGoesOn says that another run of the type goes on, or that this node stops, or leads no more: whoever comes next begins it.
var errGoesOn = errors.New("it is not the turn of this run")

// failure is the error with which a run of this session ended, with the parent's code in it.
func (s *session) failure(run string) error {
	s.failed.Lock()
	defer s.failed.Unlock()
	err := s.failures[run]
	delete(s.failures, run)
	return err
}

// run is one run: take over what is new or everything, then verify.
func (s *session) run(ctx context.Context, job *tasks.Job, p Params) (result wire.RunResult, err error) {
	r := &run{session: s, job: job, params: p, began: s.client.Bytes()}
	r.result.Type, r.result.Started = p.Type, s.now().UTC()
	if p.byHand() {
		ctx = wire.ByHand(ctx)
		if open, change := timing.Window(s.said().Limits, s.now()); !open && p.Type != dataset.Languages {
			r.result.OutsideWindow = true
			job.Log("The windows of the link are closed until %s; this run goes on because a person asked for it.", s.now().Add(change).UTC().Format(time.RFC3339))
		}
	}
	defer func() {
		r.result.Bytes = s.client.Bytes() - r.began
		r.result.Seconds = s.now().Sub(r.result.Started).Seconds()
		telling, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })()
		if !p.Up {
			r.tellAside(telling)
		}
		r.result.Fit(tasks.MaxResult / 2)
		result = r.result
		state := tasks.Done
		switch {
		case err != nil && ctx.Err() != nil:
			state = tasks.Cancelled
		case err != nil:
			state = tasks.Failed
		}
		s.ended(telling, job.ID, r, state, err)
	}()
	if p.Up {
		defer r.up.Alone()()
	}
	if err := r.bring(ctx); err != nil {
		return r.result, err
	}
	if p.Verify > 0 {
		verified, err := r.verify(ctx)
		r.result.Verified = &verified
		if err != nil {
			return r.result, fmt.Errorf("verify %s: %w", p.Type, err)
		}
	}
	return r.result, nil
}

// bring has the end that receives come up to the other one.
func (r *run) bring(ctx context.Context) error {
	if !r.params.Up {
		return r.take(ctx)
	}
	sent, err := r.up.Types(ctx)
	r.result.Documents += sent
	return err
}

// ended keeps what a run ended with, here and at the parent.
func (s *session) ended(ctx context.Context, id string, r *run, state tasks.State, err error) {
	text := ""
	if err != nil {
		text = wire.Text(err.Error())
		s.failed.Lock()
		if !r.params.Asked { // for runAndWait
			s.failures[id] = err
		}
		s.failed.Unlock()
	}
	told := wire.RanRequest{Order: r.params.Order, Run: id, Type: r.params.Type, Up: r.params.Up, State: string(state), Result: r.result, Error: text}
	entry, kept := told.History(s.parent.ID, s.now())
	if kept == nil {
		kept = s.node.Sites.Ran(ctx, entry)
	}
	if kept != nil {
		s.log.Error("the history of replication lacks a run", "run", id, "error", kept)
	}
	if _, err := wire.Call[struct{}](ctx, s.client, wire.PathRan, told); err != nil {
		s.log.Debug("the parent could not be told of a run", "run", id, "error", err)
	}
}

// maxAside bounds the list of what is in quarantine in a result.
const maxAside = 1000

// lastWords is how long a run that was ended may take to say so.
const lastWords = 5 * time.Second

// run is one run under way.
type run struct {
	*session
	job    *tasks.Job
	params Params
	result wire.RunResult
	began  int64 // the client's count of bytes
}

// needsComplete says whether the parent's answer calls for a complete run, and why; alarm whether a person should know.
func needsComplete(err error) (why string, alarm, yes bool) {
	switch wire.CodeOf(err) {
	case wire.CodeOld:
		return "this site was away for longer than the parent remembers", false, true
	case wire.CodeEpoch:
		return "the parent was restored from a backup", false, true
	case wire.CodeAudience:
		return "the parent's rules select other documents", false, true
	case wire.CodeDiverged:
		return "the parent went back in time unknowingly", true, true
	}
	return "", false, false
}

// take takes over what is new, or everything where that is asked for or needed.
func (r *run) take(ctx context.Context) error {
	err := r.takeOnce(ctx)
	if wire.CodeOf(err) == wire.CodeNotAlerted { // the languages have just changed, or the parent lost the alert: tell, and ask again
		if err := errors.Join(r.node.Sites.Tell(ctx), r.up.Alert(ctx)); err != nil {
			return err
		}
		err = r.takeOnce(ctx)
	}
	if err != nil {
		return err
	}
	return r.tryAside(ctx)
}

func (r *run) takeOnce(ctx context.Context) error {
	if r.params.Complete {
		err := r.complete(ctx, "asked for by a rule or a person")
		r.params.Complete = err != nil // what its verification catches up with afterwards is new
		return err
	}
	err := r.differential(ctx)
	why, alarm, yes := needsComplete(err)
	if !yes {
		return err
	}
	r.job.Log("A complete run follows: %s.", why)
	if alarm {
		if err := r.node.Sites.Raise(ctx, divergedAlarm(r.parent, r.params.Type, err)); err != nil {
			return err
		}
	}
	return r.complete(ctx, why)
}

// above is the parent as the room of replicas knows it.
func (s *session) above(ctx context.Context) (replicas.Neighbour, error) {
	tree, err := s.node.Sites.Tree(ctx)
	if err != nil {
		return replicas.Neighbour{}, err
	}
	return replicas.Neighbour{ID: s.parent.ID, Direction: dataset.Down, Below: tree.Below(tree.Self), Joined: s.parent.Joined}, nil
}

// cursor is how far this site holds what the parent sends of a type.
func (s *session) cursor(ctx context.Context, t dataset.Type) (dataset.Cursor, error) {
	c, _, err := s.node.Replicas.Cursor(ctx, replicas.Neighbour{ID: s.parent.ID, Direction: dataset.Down}, t)
	return c, err
}
