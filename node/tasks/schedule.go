package tasks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/schedule"
)

// lookAgain is how often the schedules are read although nobody said that they changed: another node may have.
const lookAgain = time.Minute

// makeTasks makes the tasks that kinds bring along and that were never made.
func (r *Room) makeTasks(ctx context.Context) error {
	var statements []store.Statement
	known, err := r.names(ctx)
	if err != nil {
		return err
	}
	for _, k := range r.Kinds() {
		for _, t := range k.Tasks {
			if known[t.Name] {
				continue
			}
			t.Kind = k.Name
			if err := t.check(); err != nil {
				return err
			}
			statements = append(statements, store.Statement{
				SQL: `INSERT INTO task (name, kind, params, schedule, enabled, version) VALUES (?, ?, ?, ?, ?, 1)
					ON CONFLICT DO NOTHING`,
				Args: []any{t.Name, t.Kind, string(t.Params), t.Schedule, t.Enabled},
			})
		}
	}
	if len(statements) == 0 {
		return nil
	}
	return r.write(ctx, "make the tasks of this version", statements...)
}

func (r *Room) names(ctx context.Context) (map[string]bool, error) {
	tasks, err := r.readTasks(ctx)
	names := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		names[t.Name] = true
	}
	return names, err
}

func (t *Task) check() error {
	if t.Name == "" || len(t.Name) > 200 {
		return store.Invalid("a task's name has 1 to 200 bytes, this one has %d", len(t.Name))
	}
	if len(t.Params) == 0 {
		t.Params = json.RawMessage("{}")
	}
	if len(t.Params) > maxParams || !json.Valid(t.Params) {
		return store.Invalid("task %s: its parameters are no JSON of at most %d bytes", t.Name, maxParams)
	}
	if t.Schedule == "" {
		return nil
	}
	if _, err := schedule.ParseRecurrence(t.Schedule); err != nil {
		return store.Invalid("task %s: %v", t.Name, err)
	}
	return nil
}

// Change sets the schedule of a task, its parameters, and whether it is enabled. Version is that of the task which the
// change was made from; 0 is any.
func (r *Room) Change(ctx context.Context, t Task) (Task, error) {
	now, err := r.Task(ctx, t.Name)
	if err != nil {
		return t, err
	}
	if t.Version == 0 {
		t.Version = now.Version
	}
	if t.Params == nil {
		t.Params = now.Params
	}
	if err := t.check(); err != nil {
		return t, err
	}
	err = r.write(ctx, "change task "+t.Name, store.Statement{
		SQL:  `UPDATE task SET schedule = ?, enabled = ?, params = ?, version = version + 1 WHERE name = ? AND version = ?`,
		Args: []any{t.Schedule, t.Enabled, string(t.Params), t.Name, t.Version}, Want: 1,
	})
	if err != nil {
		return t, fmt.Errorf("change task %s: %w", t.Name, err)
	}
	r.wake()
	return r.Task(ctx, t.Name)
}

// SwitchOff is the statement after which the schedule of a task starts it no more.
func SwitchOff(name string) store.Statement {
	return store.Statement{SQL: `UPDATE task SET enabled = 0, version = version + 1 WHERE name = ? AND enabled`, Args: []any{name}}
}

// Task is one task.
func (r *Room) Task(ctx context.Context, name string) (Task, error) {
	tasks, err := r.Tasks(ctx)
	if err != nil {
		return Task{}, err
	}
	for _, t := range tasks {
		if t.Name == name {
			return t, nil
		}
	}
	return Task{}, store.NotFound("task", name)
}

var (
	lastRuns = rows.Columns{Order: "task", From: runFields + ` FROM run WHERE id IN
		(SELECT (SELECT id FROM run WHERE run.task = task.name ORDER BY started DESC, id LIMIT 1) FROM task)`}
	taskColumns = rows.Columns{Order: "name", From: `name, kind, params, schedule, enabled, version FROM task`}
)

// Tasks are all tasks by name, with their last run and when the next is due.
func (r *Room) Tasks(ctx context.Context) ([]Task, error) {
	tasks, err := r.readTasks(ctx)
	if err != nil {
		return nil, err
	}
	last, _, err := rows.List(ctx, r.cfg.Reader, store.Query{}, lastRuns, scanRun)
	if err != nil {
		return nil, fmt.Errorf("read the last runs of tasks: %w", err)
	}
	byTask := make(map[string]Run, len(last))
	for _, run := range last {
		if l := r.alive(run.ID); l != nil {
			run, _ = l.snapshot()
		}
		run.Lines, run.Result = nil, nil
		byTask[run.Task] = run
	}
	for i := range tasks {
		t := &tasks[i]
		if run, ok := byTask[t.Name]; ok {
			t.Last = &run
		}
		if k, err := r.kind(t.Kind); err == nil {
			t.Text = k.Text
		}
		if next := t.next(r.cfg.Now()); !next.IsZero() {
			t.Next = &next
		}
	}
	return tasks, nil
}

func (r *Room) readTasks(ctx context.Context) ([]Task, error) {
	tasks, _, err := rows.List(ctx, r.cfg.Reader, store.Query{}, taskColumns,
		func(row *sql.Rows) (t Task, err error) {
			var params string
			err = row.Scan(&t.Name, &t.Kind, &params, &t.Schedule, &t.Enabled, &t.Version)
			t.Params = raw(params)
			return t, err
		})
	if err != nil {
		return nil, fmt.Errorf("read the tasks: %w", err)
	}
	return tasks, nil
}

// next is when the schedule starts the task after a time; zero: never.
func (t *Task) next(after time.Time) time.Time {
	if !t.Enabled || t.Schedule == "" {
		return time.Time{}
	}
	recurrence, err := schedule.ParseRecurrence(t.Schedule)
	if err != nil {
		return time.Time{} // another version wrote it; it is shown without a next run
	}
	return recurrence.Next(after, time.Local)
}

// wake has the schedules read again.
func (r *Room) wake() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// follow starts tasks when they are due, until ctx ends. It counts from when the room started, however late the system lets
// it run first: what is due in between is not missed.
func (r *Room) follow(ctx context.Context) {
	f := follower{room: r, began: r.began, tried: map[string]time.Time{}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.poke:
		case <-timer.C:
		}
		timer.Reset(f.startDue(r.cfg.Now()))
	}
}

// follower remembers what the schedules are counted from: a task's last run or try, else when the node began. So a time
// that passed while the node was down is made up for, once.
type follower struct {
	room  *Room
	began time.Time
	tried map[string]time.Time
}

func (f *follower) due(t *Task) time.Time {
	from := f.began
	if t.Last != nil {
		from = t.Last.Started
	}
	if tried := f.tried[t.Name]; tried.After(from) {
		from = tried
	}
	return t.next(from)
}

// startDue starts what is due now, and returns how long nothing else is.
func (f *follower) startDue(now time.Time) time.Duration {
	r := f.room
	tasks, err := r.Tasks(r.base)
	if err != nil {
		if r.base.Err() == nil {
			r.cfg.Log.Error("the schedules of the tasks could not be read", "error", err)
		}
		return lookAgain
	}
	wait := lookAgain
	for i := range tasks {
		t := &tasks[i]
		due := f.due(t)
		switch {
		case due.IsZero():
			continue
		case due.After(now):
			wait = min(wait, due.Sub(now))
			continue
		}
		f.tried[t.Name] = now
		ctx := store.WithCaller(r.base, &store.Caller{Actor: "task " + t.Name})
		if _, err := r.RunTask(ctx, t.Name); errors.Is(err, store.ErrConflict) {
			r.cfg.Log.Info("a task was due while a run of it goes on; it is left out this time", "task", t.Name)
		} else if err != nil {
			r.cfg.Log.Error("a task that was due could not be started", "task", t.Name, "error", err)
		}
	}
	return wait
}
