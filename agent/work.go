package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/agent/install"
	"thatch/agent/order"
	"thatch/agent/progress"
	"thatch/agent/report"
	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/rule"
)

// work is the installing part of one round.
type work struct {
	agent *Agent
	scan  *scan.Scan
	cycle *Cycle
	tried map[string]bool // ids of packages
	alone bool            // nothing else may be installed in this round
	stale bool            // the computer was looked at again, for the orders alone
}

// rank puts the situation that people should see, and that is acted on, first among those of one update.
func (st *situation) rank() int {
	switch {
	case st.ready:
		return 0
	case st.fetch:
		return 1
	case st.order.Err == nil:
		return 2
	}
	return 3
}

// situations judges every order; of one update ordered by several policies the best situation stands.
func (w *work) situations() ([]situation, error) {
	a := w.agent
	best := map[string]int{}
	var all []situation
	for _, o := range a.ordered.Orders {
		if !o.Meant(w.scan) {
			continue
		}
		st, err := a.stand(o, a.ordered, w.scan)
		if err != nil {
			return nil, err
		}
		at, seen := best[o.ID()]
		switch {
		case !seen:
			best[o.ID()] = len(all)
			all = append(all, st)
		case st.rank() < all[at].rank(), st.rank() == all[at].rank() && st.rank() < 2 && st.starts.Before(all[at].starts):
			all[at] = st
		}
	}
	return all, nil
}

// do settles what was interrupted, downloads what is needed, and installs what may be installed now.
func (w *work) do(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	for {
		// Asked again after every install: an update of several packages needs the next one now.
		if err := w.fetch(ctx); err != nil {
			return err
		}
		st, err := w.next()
		if err != nil || st == nil {
			return err
		}
		w.tried[st.choice.Doc.ID] = true
		same, err := w.confirm(ctx, st)
		if err != nil {
			return err
		}
		if !same {
			continue // judged again under what is ordered now
		}
		if err := w.install(ctx, st); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fetch downloads the payloads of what is needed. One that fails waits; the others go on.
func (w *work) fetch(ctx context.Context) error {
	situations, err := w.situations()
	if err != nil {
		return err
	}
	for i := range situations {
		st := &situations[i]
		if st.status != agentapi.DownloadRequired || st.choice == nil {
			continue
		}
		w.agent.step("download")
		err := w.agent.download(ctx, st.choice)
		w.agent.step("downloaded")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p := st.progress
		switch {
		case err != nil:
			p.Next, p.Text = w.agent.cfg.Now().Add(w.agent.downloadAgain(err)), report.Cut(err.Error(), agentapi.MaxText)
			w.agent.cfg.Log.Warn("download failed", "update", st.order.Update.Name, "error", err)
			if errors.Is(err, content.ErrDiskFull) {
				w.agent.makeRoom(ctx)
			}
		case p.Attempts == 0:
			p.Next, p.Text = time.Time{}, ""
		default:
			continue
		}
		if err := w.agent.orders.Save(p); err != nil {
			return err
		}
	}
	return nil
}

// next is the update to install now: those that need no restart first, exclusive ones last and alone.
func (w *work) next() (*situation, error) {
	if w.alone {
		return nil, nil
	}
	situations, err := w.situations()
	if err != nil {
		return nil, err
	}
	restartPending := slices.ContainsFunc(situations, func(st situation) bool { return st.status == agentapi.WaitingForRestart })
	ready := slices.DeleteFunc(situations, func(st situation) bool { return !st.ready || w.tried[st.choice.Doc.ID] })
	slices.SortStableFunc(ready, func(x, y situation) int {
		return cmp.Or(
			cmp.Compare(one(x.choice.Package.Exclusive), one(y.choice.Package.Exclusive)),
			cmp.Compare(x.order.Restarts(x.choice), y.order.Restarts(y.choice)),
			cmp.Compare(x.order.Given.Number, y.order.Given.Number),
		)
	})
	for i := range ready {
		if ready[i].choice.Package.Exclusive && (restartPending || w.cycle.Installed+w.cycle.Failed > 0) {
			continue // in a round of its own
		}
		return &ready[i], nil
	}
	return nil, nil
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// confirm asks, as the last thing before an install, whether it is still ordered, and looks whether it is still
// needed. A node that does not answer confirms nothing.
func (w *work) confirm(ctx context.Context, st *situation) (same bool, err error) {
	a := w.agent
	former := a.ordered
	current, err := a.fetchAssignments(ctx, former)
	if err != nil {
		return false, fmt.Errorf("nothing is installed that the site does not confirm: %w", err)
	}
	a.ordered = current
	w.scan.Pin(current.Updates())
	if err := w.lookAgain(ctx); err != nil {
		return false, err
	}
	situations, err := w.situations()
	if err != nil {
		return false, err
	}
	for i := range situations {
		if situations[i].order.ID() == st.order.ID() && situations[i].ready {
			*st = situations[i]
			return true, nil
		}
	}
	return false, nil
}

// lookAgain reads the computer anew, for the orders alone: what is reported keeps its verdicts until the end of the round.
func (w *work) lookAgain(ctx context.Context) error {
	read, err := w.agent.read(ctx)
	if err != nil {
		return err
	}
	machine, err := w.agent.machine(ctx)
	if err != nil {
		return err
	}
	w.stale = true
	w.scan.Look(machine, read)
	return nil
}

// install lays out, verifies, runs, and asks the rules. The attempt is written down before the installer starts.
func (w *work) install(ctx context.Context, st *situation) error {
	a, o, c := w.agent, st.order, st.choice
	w.alone = c.Package.Exclusive
	attempt := agentapi.Attempt{
		ID: newID(), Number: o.Given.Number, Policy: o.Assigned.Document.ID, Package: c.Doc.ID, Started: a.cfg.Now().UTC(),
	}
	defer a.clear(attempt.ID)
	run, err := a.stage(c, attempt.ID)
	if err == nil {
		a.step("laid out")
		err = a.verify(c, run, a.ordered)
	}
	if err != nil {
		return w.refuse(st, err)
	}
	a.step("verified")
	st.progress.Running = &attempt
	if err := a.orders.Save(st.progress); err != nil {
		return err
	}
	a.step("started")
	a.cfg.Log.Info("install", "update", o.Update.Name, "package", c.Package.Name, "policy", o.Policy.Name)
	job := install.Job{Type: c.Package.Installer.Type, File: run, Arguments: c.Package.Installer.Arguments, Limit: a.cfg.Limit}
	if o.Pin.CommandLine != "" {
		job.Arguments = o.Pin.CommandLine
	}
	outcome, err := a.cfg.Runner.Run(ctx, job)
	a.step("ran")
	return w.ended(ctx, st, outcome, err)
}

// refuse notes an install that did not start, because what was laid out is not what was ordered. The payload is
// fetched anew.
func (w *work) refuse(st *situation, err error) error {
	a := w.agent
	a.cfg.Log.Error("an install is refused", "update", st.order.Update.Name, "error", err)
	w.cycle.Failed++
	for _, file := range st.choice.Payload.Files {
		if err := a.payloads.Remove(file.SHA256); err != nil {
			a.cfg.Log.Warn("a refused payload stays", "error", err)
		}
	}
	return w.fail(st.progress, agentapi.Attempt{
		ID: newID(), Number: st.order.Given.Number, Policy: st.order.Assigned.Document.ID, Package: st.choice.Doc.ID,
		Started: a.cfg.Now().UTC(), Code: -1,
	}, err.Error())
}

// fail counts a failed attempt and puts it into the outbox.
func (w *work) fail(p *progress.Progress, attempt agentapi.Attempt, text string) error {
	a := w.agent
	text = report.Cut(strings.TrimSpace(text), agentapi.MaxText)
	attempt.Ended, attempt.Success, attempt.Text = a.cfg.Now().UTC(), false, text
	p.Attempts++
	p.Next, p.Text, p.Running = a.cfg.Now().Add(a.cfg.Retry), text, nil
	return w.record(p, attempt)
}

// record writes the outbox before the progress: after a power cut between the two the attempt is told twice under one
// id, which the site takes for one.
func (w *work) record(p *progress.Progress, attempt agentapi.Attempt) error {
	a := w.agent
	a.memory.Outbox = append(slices.DeleteFunc(a.memory.Outbox, func(o agentapi.Attempt) bool { return o.ID == attempt.ID }), attempt)
	if err := a.folder.Write(memoryFile, a.memory); err != nil {
		return err
	}
	return a.orders.Save(p)
}

// ended reads what the installer answered and asks the rules whether it is so.
func (w *work) ended(ctx context.Context, st *situation, outcome install.Outcome, failed error) error {
	attempt := *st.progress.Running
	attempt.Code = outcome.Code
	meaning := install.Read(st.choice.Package.Installer, outcome.Code)
	attempt.Restart = failed == nil && meaning.Restart
	if errors.Is(failed, context.Canceled) {
		st.progress.Running = nil
		return errors.Join(failed, w.agent.orders.Save(st.progress)) // it was not started
	}
	if err := w.lookAgain(ctx); err != nil {
		return err
	}
	w.agent.step("looked")
	has := st.order.IsInstalled(w.scan, &st.choice.Package)
	switch {
	case failed != nil:
		w.cycle.Failed++
		return w.fail(st.progress, attempt, failed.Error()+"\n"+outcome.Output)
	case meaning.Result != catalog.Succeeded:
		w.cycle.Failed++
		if outcome.Code == install.CodeBusy && st.choice.Package.Installer.Type != catalog.EXE {
			st.progress.Attempts-- // another installation is under way: that was no try
		}
		return w.fail(st.progress, attempt, meaning.Text+"\n"+outcome.Output)
	case has.Answer != rule.True && !meaning.Restart:
		w.cycle.Failed++
		attempt.Remained = true
		why := "the installer succeeded, and the rules still say that it is not installed"
		if has.Answer == rule.Unknown {
			why = "the installer succeeded, and whether it is installed cannot be told: " + has.Because
		}
		return w.fail(st.progress, attempt, why)
	}
	return w.succeed(st.progress, attempt, meaning)
}

func (w *work) succeed(p *progress.Progress, attempt agentapi.Attempt, meaning install.Meaning) error {
	ended := w.agent.cfg.Now().UTC()
	attempt.Ended, attempt.Success, attempt.Text = ended, true, meaning.Text
	p.LastApplied, p.Running, p.Next, p.Text = &ended, nil, time.Time{}, ""
	p.Restarting, p.RestartBoot = attempt.Restart, ""
	if attempt.Restart {
		p.RestartBoot = w.scan.Machine.Boot
	}
	if !attempt.Restart {
		p.Attempts = 0
	}
	w.cycle.Installed++
	return w.record(p, attempt)
}

// settle judges installs whose end this agent did not see, because it or the computer was ended: the rules decide
// whether they are installed. After a restart it judges those that asked for one.
func (w *work) settle(ctx context.Context) error {
	for _, o := range w.agent.ordered.Orders {
		if o.Err != nil || !o.Meant(w.scan) {
			continue
		}
		p, err := w.agent.orders.Of(o, w.agent.cfg.Now(), w.agent.cfg.Retry)
		if err != nil {
			return err
		}
		if err := w.settleOne(o, p); err != nil {
			return err
		}
	}
	return w.settleOrphans()
}

// settleOrphans judges interrupted installs of what is not ordered any more by the catalog's present rules.
func (w *work) settleOrphans() error {
	for id, p := range w.agent.orders.All() {
		if p.Running == nil || slices.ContainsFunc(w.agent.ordered.Orders, func(o *order.Order) bool { return o.ID() == id && o.Err == nil }) {
			continue
		}
		var err error
		if w.scan.Has(id) {
			err = w.succeed(p, *p.Running, install.Meaning{Text: interruptedInstalled})
		} else {
			err = w.fail(p, *p.Running, interruptedMissing)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What is said of installs whose end this agent did not see.
const (
	interruptedInstalled = "the agent was ended during the install; it is installed"
	interruptedMissing   = "the agent was ended during the install, and it is not installed"
)

func (w *work) settleOne(o *order.Order, p *progress.Progress) error {
	if p.Running != nil {
		attempt := *p.Running
		attempt.Code = -1
		if has := o.IsInstalled(w.scan, w.agent.packageOf(o, attempt.Package)); has.Answer == rule.True {
			return w.succeed(p, attempt, install.Meaning{Text: interruptedInstalled})
		}
		w.cycle.Failed++
		return w.fail(p, attempt, interruptedMissing)
	}
	if !p.Restarting || p.RestartBoot == "" || p.RestartBoot == w.scan.Machine.Boot {
		return nil
	}
	p.Restarting, p.RestartBoot = false, ""
	if has := o.IsInstalled(w.scan, nil); has.Answer == rule.True {
		p.Attempts = 0
		return w.agent.orders.Save(p)
	}
	p.Attempts++
	p.Next = w.agent.cfg.Now().Add(w.agent.cfg.Retry)
	p.Text = "the installer succeeded, the computer was restarted, and the rules still say that it is not installed"
	return w.agent.orders.Save(p)
}

// packageOf finds the package of an attempt again, nil when it is not ordered any more.
func (a *Agent) packageOf(o *order.Order, id string) *catalog.Package {
	for i := range o.Given.Packages {
		if o.Given.Packages[i].ID == id {
			if c, err := a.reader().Package(o, &o.Given.Packages[i]); err == nil {
				return &c.Package
			}
		}
	}
	return nil
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
