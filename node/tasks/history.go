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
	"thatch/node/store/sweep"
)

// keepEvery is how often the progress of a run is written to the database, where it changed: seldom where nobody else looks.
const (
	keepEvery     = 10 * time.Second
	keepForOthers = 2 * time.Second
)

var topics = []string{"tasks"}

func (r *Room) write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Reason: reason, Topics: topics, Statements: statements})
	return errors.Join(err, applied.Err())
}

// begin records a run; that another with its key goes on is a conflict. Whoever asked for it may give up meanwhile: the
// record is made or not all the same, and a run that is recorded must begin, or it would be in the way of all others.
//
// A run that the leader begins itself hangs on its leading still; lost says that it does not.
func (r *Room) begin(ctx context.Context, run Run, key string, in *lead) (lost bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(r.base, cancel)() // the next start settles it
	statements := []store.Statement{{
		SQL: `INSERT INTO run (id, task, kind, busy, node, state, actor, params, resumes, started, progress, term)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '{}', ?) ON CONFLICT DO NOTHING`,
		Args: []any{run.ID, run.Task, run.Kind, key, run.Node, string(run.State), run.Actor, string(run.Params), run.Resumes, rows.Stamp(run.Started), in.number()},
		Want: 1,
	}}
	if in != nil {
		statements = append([]store.Statement{in.guard()}, statements...)
	}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Reason: "start " + run.Task, Topics: topics, Statements: statements})
	if in != nil && (errors.Is(err, store.ErrTakenOver) || len(applied.Conflicts) > 0 && applied.Conflicts[0].Group == store.Guard) {
		return true, errLost
	}
	if err == nil && applied.Repeated {
		return false, store.Conflicting("%s was started by this request before: see its runs", run.Task)
	}
	if err = errors.Join(err, applied.Err()); errors.Is(err, store.ErrConflict) {
		other := "another run"
		if id := r.busy(ctx, key); id != "" {
			other = "run " + id
		}
		return false, store.Conflicting("%s of %s goes on; wait for it, or cancel it", other, run.Task)
	}
	return false, err
}

func (r *Room) busy(ctx context.Context, key string) (id string) {
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id FROM run WHERE busy = ?`, key).Scan(&id)
	})
	if err != nil {
		return ""
	}
	return id
}

// keep writes the progress and log of a run in coarse steps, for other nodes and for the case of a crash.
func (r *Room) keep(l *live, stop <-chan struct{}) {
	every := keepEvery
	if r.cfg.Members != nil && len(r.cfg.Members()) > 1 {
		every = keepForOthers
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	begun, _ := l.snapshot()
	kept, lines := begun.Progress, 0
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			run, _ := l.snapshot()
			if run.Progress == kept && len(run.Lines) == lines {
				continue
			}
			kept, lines = run.Progress, len(run.Lines)
			err := r.record(l, run)
			if errors.Is(err, store.ErrTakenOver) {
				l.cancel(err)
				return
			}
			if err != nil {
				r.cfg.Log.Warn("the progress of a run could not be kept", "run", l.run.ID, "error", err)
			}
		}
	}
}

// record writes a run as it is given.
func (r *Room) record(l *live, run Run) error {
	progress, err := json.Marshal(run.Progress)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	busy, ended := any(nil), ""
	if run.Ended != nil {
		ended = rows.Stamp(*run.Ended)
	}
	update := store.Statement{
		SQL:  `UPDATE run SET state = ?, progress = ?, result = ?, error = ?, ended = ?, busy = CASE WHEN ? THEN busy ELSE ? END WHERE id = ?`,
		Args: []any{string(run.State), string(progress), string(run.Result), run.Error, ended, run.Ended == nil, busy, run.ID}, Want: 1,
	}
	// The end of a run is kept even when the run was cancelled.
	ctx, reason := context.WithoutCancel(l.ctx), string(run.State)+" "+run.Task
	for {
		lines := run.Lines[l.written:min(len(run.Lines), l.written+linesPerBatch)]
		batch := writeLines(run.ID, lines)
		last := l.written+len(lines) == len(run.Lines)
		if last {
			batch = append(batch, update)
		}
		if err := r.write(ctx, reason, batch...); err != nil {
			return err
		}
		l.written += len(lines)
		if last {
			return nil
		}
	}
}

// linesPerBatch keeps a batch well below its limit.
const linesPerBatch = 300

func writeLines(run string, lines []Line) []store.Statement {
	statements := make([]store.Statement, 0, len(lines)+1)
	for _, line := range lines {
		statements = append(statements, store.Statement{
			SQL: `INSERT INTO run_line (run, number, at, text) VALUES (?, ?, ?, ?)
				ON CONFLICT (run, number) DO UPDATE SET at = excluded.at, text = excluded.text`,
			Args: []any{run, line.Number, rows.Stamp(line.At), line.Text},
		})
	}
	return statements
}

var runColumns = rows.Columns{
	From: runFields + ` FROM run`,
	Names: map[string]string{
		"id": "id", "task": "task", "kind": "kind", "state": "state", "actor": "actor", "node": "node",
		"started": "started", "ended": "ended",
	},
	Kinds:  map[string]store.Kind{"started": store.Time, "ended": store.Time},
	Search: []string{"task", "error", "actor"}, Order: "started DESC, id",
}

// RunColumns are what runs can be filtered and sorted by.
var RunColumns = runColumns.Known()

const runFields = `id, task, kind, state, node, actor, params, resumes, started, ended, progress, result, error`

// Runs is a page of the history, newest first, without log lines, and the number of all that match. Live ones say how
// far they are now.
func (r *Room) Runs(ctx context.Context, q store.Query) ([]Run, int, error) {
	runs, total, err := rows.List(ctx, r.cfg.Reader, q, runColumns, scanRun)
	for i := range runs {
		if l := r.alive(runs[i].ID); l != nil {
			runs[i], _ = l.snapshot()
			runs[i].Lines = nil
		}
	}
	return runs, total, err
}

func scanRun(row *sql.Rows) (Run, error) {
	var run Run
	var params, started, ended, progress, result string
	err := row.Scan(&run.ID, &run.Task, &run.Kind, &run.State, &run.Node, &run.Actor, &params, &run.Resumes, &started, &ended, &progress, &result, &run.Error)
	if err != nil {
		return run, err
	}
	run.Started = rows.Unstamp(started)
	if ended != "" {
		at := rows.Unstamp(ended)
		run.Ended = &at
	}
	run.Params, run.Result = raw(params), raw(result)
	return run, json.Unmarshal([]byte(progress), &run.Progress)
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// Get is one run with its log.
func (r *Room) Get(ctx context.Context, id string) (Run, error) {
	if l := r.alive(id); l != nil {
		run, _ := l.snapshot()
		return run, nil
	}
	runs, _, err := rows.List(ctx, r.cfg.Reader, store.Query{Filter: map[string]string{"id": id}}, runColumns, scanRun)
	if err != nil {
		return Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	if len(runs) == 0 {
		return Run{}, store.NotFound("run", id)
	}
	run := runs[0]
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		run.Lines, err = readLines(ctx, tx, id)
		return err
	})
	return run, err
}

func readLines(ctx context.Context, tx *sql.Tx, run string) ([]Line, error) {
	found, err := tx.QueryContext(ctx, `SELECT number, at, text FROM run_line WHERE run = ? ORDER BY number`, run)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var lines []Line
	for found.Next() {
		var line Line
		var at string
		if err := found.Scan(&line.Number, &at, &line.Text); err != nil {
			return nil, err
		}
		line.At = rows.Unstamp(at)
		lines = append(lines, line)
	}
	return lines, found.Err()
}

// Keep is how much Prune leaves.
type Keep struct {
	Since time.Time // runs that ended since then
	Runs  int       // that ended, at most
}

// Prune forgets old runs with their lines. The last one of each task stays.
func (r *Room) Prune(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) error {
	beyond, err := sweeper.Beyond(ctx, "run", "started", keep.Runs)
	if err != nil {
		return err
	}
	return sweeper.Sweep(ctx, sweep.Rows{
		Table: "run", Key: []string{"id"}, Step: prunedAtOnce, With: []sweep.Part{{Table: "run_line", Column: "run"}},
		Old: `run.ended <> '' AND (run.ended < ? OR run.started <= ?)
AND EXISTS (SELECT 1 FROM run l WHERE l.task = run.task AND l.started > run.started)`,
		Args: []any{rows.Stamp(keep.Since), beyond},
	}, topics...)
}

// prunedAtOnce is how many runs one batch removes at most: each has up to maxLines lines.
const prunedAtOnce = 50
