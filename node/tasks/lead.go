package tasks

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// Claim is the statement by which a node takes over what only the leader does. It misses its row where another did so in a
// later term.
func Claim(node, epoch string, term uint64, at time.Time) store.Statement {
	return store.Statement{
		SQL: `INSERT INTO leader (one, node, term, epoch, since) VALUES (1, ?, ?, ?, ?)
			ON CONFLICT (one) DO UPDATE SET node = excluded.node, term = excluded.term, epoch = excluded.epoch, since = excluded.since
			WHERE excluded.term > leader.term OR excluded.epoch <> leader.epoch`,
		Args: []any{node, int64(term), epoch, rows.Stamp(at)}, Want: 1,
	}
}

// Leads is the statement that misses its row once another node has made its Claim.
func Leads(term uint64) store.Statement {
	return store.Statement{SQL: `UPDATE leader SET term = term WHERE term = ?`, Args: []any{int64(term)}, Want: 1, Group: store.Guard}
}

// lead is a term in which this node leads.
type lead struct {
	term    uint64
	working sync.WaitGroup
	told    map[string]time.Time // runs of other nodes that are to end, and since when that is known here
}

// number is that of the term, 0 for what is the node's own.
func (l *lead) number() int64 {
	if l == nil {
		return 0
	}
	return int64(l.term)
}

func (l *lead) guard() store.Statement { return Leads(l.term) }

// Lead does what only the leader of the site does, after its Claim and until ctx ends: it makes the tasks of new kinds,
// settles runs that were cut and goes on with them, takes up what was asked for anywhere, and follows the schedules. When it
// returns, nothing that it began goes on.
func (r *Room) Lead(ctx context.Context, term uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.base, cancel)()
	if err := r.makeTasks(ctx); err != nil {
		return err
	}
	watch := r.cfg.Watch(topics...)
	defer watch.Close()
	in := &lead{term: term, told: map[string]time.Time{}}
	r.mu.Lock()
	r.lead = in
	r.mu.Unlock()
	defer r.endLead(in)
	if err := r.settleCut(ctx); err != nil {
		return err
	}
	in.working.Go(func() { r.follow(ctx) })
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
		case <-again.C:
		}
		if err := r.takeUp(ctx, in); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("runs that were asked for could not be looked at; it is tried again", "error", err)
		}
	}
}

// endLead ends the runs of a term and waits for them.
func (r *Room) endLead(in *lead) {
	r.mu.Lock()
	r.lead = nil
	for _, l := range r.live {
		if l.lead == in {
			l.cancel(errLost)
		}
	}
	r.mu.Unlock()
	in.working.Wait()
}

// open is a run that has not ended, as the database has it.
type open struct {
	Run
	term   uint64
	cancel string
}

// opened reads the runs that a condition fits, the oldest first.
func (r *Room) opened(ctx context.Context, where string, args ...any) ([]open, error) {
	var list []open
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		list = list[:0]
		found, err := tx.QueryContext(ctx, `SELECT id, task, kind, state, node, actor, params, term, cancel FROM run WHERE `+where+` ORDER BY started, id`, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var o open
			var params string
			if err := found.Scan(&o.ID, &o.Task, &o.Kind, &o.State, &o.Node, &o.Actor, &params, &o.term, &o.cancel); err != nil {
				return err
			}
			o.Params = raw(params)
			list = append(list, o)
		}
		return found.Err()
	})
	return list, err
}

// going are the runs that have not ended.
const going = `busy >= ''`

// cut are the runs that were interrupted, and with which nobody has gone on.
const cut = `state = 'interrupted' AND NOT EXISTS (SELECT 1 FROM run later WHERE later.resumes = run.id)`

// settleOwn settles the runs that are this node's own and that its end cut.
func (r *Room) settleOwn(ctx context.Context) error {
	list, err := r.opened(ctx, `node = ? AND term = 0 AND (state = 'running' OR `+cut+`)`, r.cfg.Node)
	if err != nil {
		return err
	}
	for i := range list {
		if err := r.settle(ctx, &list[i], "the node ended before it"); err != nil {
			return err
		}
	}
	return nil
}

// settleCut goes on with what was interrupted in former terms.
func (r *Room) settleCut(ctx context.Context) error {
	list, err := r.opened(ctx, `term > 0 AND `+cut)
	if err != nil {
		return err
	}
	for i := range list {
		r.resume(ctx, &list[i])
	}
	return nil
}

// settle says of a run that goes on no more how it ended, and goes on with it where that is asked for.
func (r *Room) settle(ctx context.Context, o *open, why string) error {
	if o.State != Interrupted {
		state := Interrupted
		if o.cancel != "" {
			state, why = Cancelled, errCancelled.Error()
		}
		err := r.write(ctx, "settle a run of "+o.Task, store.Statement{
			SQL:  `UPDATE run SET state = ?, error = ?, ended = ?, busy = NULL WHERE id = ? AND state = ? AND term = ?`,
			Args: []any{string(state), why, rows.Stamp(r.cfg.Now()), o.ID, string(o.State), int64(o.term)}, Want: 1,
		})
		if errors.Is(err, store.ErrConflict) {
			return nil // it ended by itself meanwhile
		}
		if err != nil || state != Interrupted {
			return err
		}
	}
	r.resume(ctx, o)
	return nil
}

// takeUp begins what was asked for, and settles what goes on no more: runs of earlier terms, and those of nodes that the site
// does not have any more, or that do not end what was cancelled.
func (r *Room) takeUp(ctx context.Context, in *lead) error {
	list, err := r.opened(ctx, going)
	if err != nil {
		return err
	}
	var members []string
	if r.cfg.Members != nil {
		members = r.cfg.Members()
	}
	for i := range list {
		o := &list[i]
		gone := members != nil && o.Node != "" && !slices.Contains(members, o.Node)
		switch {
		case o.State == Queued && o.cancel != "":
			err = r.settle(ctx, o, "")
		case o.State == Queued:
			err = r.begins(ctx, in, o)
		case r.alive(o.ID) != nil:
		case o.term > 0 && o.term < in.term:
			err = r.settle(ctx, o, "the leader of the site was lost before it ended")
		case gone:
			err = r.settle(ctx, o, "its node is none of the site's any more")
		case o.cancel != "" && o.Node != r.cfg.Node:
			err = r.giveUp(ctx, in, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// giveUpAfter is how long the node of a run has to end it once it was cancelled.
const giveUpAfter = 30 * time.Second

// giveUp settles a run that another node was told to end, and did not.
func (r *Room) giveUp(ctx context.Context, in *lead, o *open) error {
	since, known := in.told[o.ID]
	if !known {
		in.told[o.ID] = r.cfg.Now()
	}
	if !known || r.cfg.Now().Sub(since) < giveUpAfter {
		return nil
	}
	delete(in.told, o.ID)
	return r.settle(ctx, o, "")
}

// begins does a run that was asked for elsewhere.
func (r *Room) begins(ctx context.Context, in *lead, o *open) error {
	k, err := r.kind(o.Kind)
	if err != nil {
		return r.write(ctx, "refuse a run of "+o.Task, store.Statement{
			SQL:  `UPDATE run SET state = 'failed', error = ?, ended = ?, busy = NULL WHERE id = ? AND state = 'queued'`,
			Args: []any{"the leader's version of the program does not know this kind of task", rows.Stamp(r.cfg.Now()), o.ID}, Want: 1,
		})
	}
	p, err := r.enter(false)
	if err != nil {
		return err
	}
	if p.lead != in {
		p.leave()
		return errLost
	}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Reason: "begin " + o.Task, Topics: topics, Statements: []store.Statement{in.guard(), {
		SQL:  `UPDATE run SET state = 'running', node = ?, term = ? WHERE id = ? AND state = 'queued'`,
		Args: []any{r.cfg.Node, in.number(), o.ID}, Want: 1,
	}}})
	var run Run
	if err = errors.Join(err, applied.Err()); err == nil {
		run, err = r.Get(store.AtLeast(ctx, applied.Index), o.ID)
	}
	if err != nil {
		p.leave()
		if errors.Is(err, store.ErrConflict) {
			return nil // cancelled meanwhile, or another leads: the next look tells
		}
		return err
	}
	r.launch(k, run, p)
	return nil
}

// heed ends runs of this node that were cancelled elsewhere. Its own of before are settled first, if that was not done.
func (r *Room) heed(settled bool) {
	watch := r.cfg.Watch(topics...)
	defer watch.Close()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-r.base.Done():
			return
		case <-watch.C:
		case <-again.C:
			if !settled {
				settled = r.settleOwn(r.base) == nil
			}
		}
		if r.Live() == 0 {
			continue
		}
		list, err := r.opened(r.base, going+` AND cancel <> ''`)
		if err != nil && r.base.Err() == nil {
			r.cfg.Log.Error("cancelled runs could not be read; the next change tries again", "error", err)
		}
		for i := range list {
			if l := r.alive(list[i].ID); l != nil {
				r.cfg.Log.Info("a run is cancelled", "task", l.run.Task, "run", list[i].ID, "by", list[i].cancel)
				l.cancel(errCancelled)
			}
		}
	}
}
