// Package tasks runs what a site does by itself or for long: imports, staging, housekeeping. A task is a kind of work
// with its parameters, under a name; a run is one execution of it, with live progress, a log, a result and a history.
package tasks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"thatch/node/store"
)

// Limits of what is kept of a run.
const (
	MaxResult = 256 << 10 // bytes of JSON
	maxParams = 64 << 10
	maxLines  = 1000
	maxLine   = 1000 // bytes
)

// Kind is a sort of work that the program knows.
type Kind struct {
	Name string // "catalog-import"
	Text string // one line for people
	// Do works until it is done or ctx ends. What it returns is kept as JSON; a result together with an error is kept
	// too.
	Do func(ctx context.Context, job *Job) (result any, err error)
	// Key names what two runs must not work on at once; nil: the name of the kind.
	Key func(params json.RawMessage) string
	// Resume says that a run which a crash or stop of the node, or the loss of the lead, interrupted is started again: by the
	// next leader, or where it is a node's own by that node.
	Resume bool
	// Here says that a run is about what lies on the disk of the node where it is asked for, and goes on there, whoever leads;
	// nil: the leader runs it.
	Here func(params json.RawMessage) bool
	// Tasks are made at the first start that knows this kind.
	Tasks []Task
}

// Task is a kind of work with its parameters, under a name.
type Task struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`
	Params   json.RawMessage `json:"params,omitempty"`
	Schedule string          `json:"schedule,omitempty"` // recurrence (see schedule.ParseRecurrence), "" by hand alone
	Enabled  bool            `json:"enabled"`            // the schedule is in force
	Version  int             `json:"version"`
	Text     string          `json:"text,omitempty"` // of the kind
	Next     *time.Time      `json:"next,omitempty"`
	Last     *Run            `json:"last,omitempty"`
}

// Config is what the room needs.
type Config struct {
	Node   string // id of this node
	Reader store.Reader
	Watch  func(topics ...string) *store.Watch // of the database that Reader reads
	// Leads says whether this node leads the site; nil: it does not until Lead.
	Leads func() bool
	// Members are the nodes of the site; nil: this one alone.
	Members func() []string
	Writer  store.Writer
	Now     func() time.Time
	Log     *slog.Logger
}

// Room runs tasks. Register every kind, then Start it; have it Lead while its node leads; Stop it in the end. It is safe for
// use by several goroutines.
type Room struct {
	cfg     Config
	mu      sync.Mutex
	kinds   map[string]Kind
	live    map[string]*live // by run id
	lead    *lead            // nil while this node does not lead
	began   time.Time
	base    context.Context
	end     context.CancelCauseFunc
	working sync.WaitGroup
	poke    chan struct{} // the schedule changed
}

// Why runs end early.
var (
	errCancelled = errors.New("cancelled")
	errStopping  = errors.New("the node stops")
	errLost      = errors.New("the node does not lead the site any more; the next leader goes on where it can be gone on with")
)

// New makes the room. It runs nothing yet.
func New(cfg Config) *Room {
	base, end := context.WithCancelCause(context.Background())
	return &Room{cfg: cfg, kinds: map[string]Kind{}, live: map[string]*live{}, base: base, end: end, poke: make(chan struct{}, 1)}
}

// Register makes a kind of work known.
func (r *Room) Register(k Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kinds[k.Name] = k
}

func (r *Room) kind(name string) (Kind, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.kinds[name]
	if !ok {
		return k, store.NotFound("kind of task", name)
	}
	return k, nil
}

func (k Kind) key(params json.RawMessage) string {
	if k.Key == nil {
		return k.Name
	}
	return k.Name + " " + k.Key(params)
}

// Start settles the node's own runs that its last end interrupted, and begins to end runs that are cancelled elsewhere. At the
// node that leads, the tasks of new kinds are there when it returns.
func (r *Room) Start(ctx context.Context) {
	r.began = r.cfg.Now()
	if r.cfg.Leads != nil && r.cfg.Leads() {
		if err := r.makeTasks(ctx); err != nil {
			r.cfg.Log.Warn("the tasks of this version could not be made; it is tried again", "error", err)
		}
	}
	err := r.settleOwn(ctx)
	if err != nil {
		r.cfg.Log.Warn("runs that the node's last end interrupted could not be settled; it is tried again", "error", err)
	}
	r.working.Go(func() { r.heed(err == nil) })
}

// resume starts an interrupted run again where its kind asks for that.
func (r *Room) resume(ctx context.Context, run *open) {
	k, err := r.kind(run.Kind)
	if err != nil || !k.Resume {
		if run.State == Running {
			r.cfg.Log.Warn("a run was interrupted by the end of its node, or the loss of the lead", "task", run.Task, "run", run.ID)
		}
		return
	}
	id, err := r.start(ctx, k, run.Task, run.Params, run.ID)
	if err != nil {
		r.cfg.Log.Error("an interrupted run could not be started again", "task", run.Task, "run", run.ID, "error", err)
		return
	}
	r.cfg.Log.Info("an interrupted run goes on", "task", run.Task, "run", run.ID, "as", id)
}

// Stop ends every run and waits for them.
func (r *Room) Stop() {
	r.mu.Lock()
	r.end(errStopping)
	r.mu.Unlock()
	r.working.Wait()
}

// Run starts work of a kind and answers with the id of the run. While another run with the same key goes on, the
// error wraps store.ErrConflict and names it.
func (r *Room) Run(ctx context.Context, kind string, params any) (string, error) {
	k, err := r.kind(kind)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(params)
	if err != nil {
		return "", store.Invalid("parameters of %s: %v", kind, err)
	}
	return r.start(ctx, k, kind, text, "")
}

// RunTask starts a task by its name.
func (r *Room) RunTask(ctx context.Context, name string) (string, error) {
	t, err := r.Task(ctx, name)
	if err != nil {
		return "", err
	}
	k, err := r.kind(t.Kind)
	if err != nil {
		return "", err
	}
	return r.start(ctx, k, t.Name, t.Params, "")
}

func (r *Room) start(ctx context.Context, k Kind, task string, params json.RawMessage, resumes string) (string, error) {
	if len(params) > maxParams {
		return "", store.Invalid("parameters of %s have %d bytes, at most %d are allowed", task, len(params), maxParams)
	}
	run := Run{
		ID: uuid.NewString(), Task: task, Kind: k.Name, Params: params, State: Queued,
		Actor: store.ActorOf(ctx), Started: r.cfg.Now().UTC(), Resumes: resumes,
	}
	here := k.Here != nil && k.Here(params)
	p, err := r.enter(here)
	if err != nil {
		return "", err
	}
	if here || p.lead != nil {
		run.State, run.Node = Running, r.cfg.Node
		lost, err := r.begin(ctx, run, k.key(params), p.lead)
		if err == nil {
			r.launch(k, run, p)
			return run.ID, nil
		}
		if !lost {
			p.leave()
			return "", err
		}
		run.State, run.Node = Queued, ""
	}
	defer p.leave()
	_, err = r.begin(ctx, run, k.key(params), nil)
	return run.ID, err
}

// place is where a run counts as going on.
type place struct {
	room *Room
	lead *lead // nil: it is the node's own
}

// enter counts one more who works, unless the room stops: for the term, where it is not the node's own.
func (r *Room) enter(own bool) (place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.base.Err() != nil {
		return place{}, context.Cause(r.base)
	}
	r.working.Add(1)
	p := place{room: r}
	if !own && r.lead != nil {
		p.lead = r.lead
		p.lead.working.Add(1)
	}
	return p, nil
}

func (p place) leave() {
	if p.lead != nil {
		p.lead.working.Done()
	}
	p.room.working.Done()
}

// launch does a run that is recorded as this node's.
func (r *Room) launch(k Kind, run Run, p place) {
	l := r.enlive(run, p.lead)
	go func() {
		defer p.leave()
		r.work(k, l)
	}()
}

// Live is the number of runs going on at this node.
func (r *Room) Live() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live)
}

// Cancel ends a run, wherever it goes on. It returns when the run has been told, or the site knows that it is to end; wait
// for its end with Wait.
func (r *Room) Cancel(ctx context.Context, id string) error {
	if l := r.alive(id); l != nil {
		r.cfg.Log.Info("a run is cancelled", "task", l.run.Task, "run", id, "by", store.ActorOf(ctx))
		l.cancel(errCancelled)
		return nil
	}
	run, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	if run.Ended == nil {
		err = r.write(ctx, "cancel a run of "+run.Task, store.Statement{
			SQL: `UPDATE run SET cancel = ? WHERE id = ? AND ended = ''`, Args: []any{store.ActorOf(ctx), id}, Want: 1,
		})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if run, err = r.Get(ctx, id); err != nil {
			return err
		}
	}
	return store.Conflicting("run %s of %s is not going on, it is %s", id, run.Task, run.State)
}

func (r *Room) alive(id string) *live {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[id]
}

// Kinds are those registered, by name.
func (r *Room) Kinds() []Kind {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := make([]Kind, 0, len(r.kinds))
	for _, k := range r.kinds {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	return kinds
}
