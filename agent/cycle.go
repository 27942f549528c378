package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"thatch/agent/report"
	"thatch/agent/scan"
	"thatch/agentapi"
)

const (
	defaultCheckIn = 4 * time.Hour
	defaultScan    = 24 * time.Hour
	leastWait      = 5 * time.Second
)

// due says whether something last done then is to be done again, by the site's interval of scans.
func (a *Agent) due(last time.Time) bool {
	return !a.cfg.Now().Before(last.Add(a.scanEvery()))
}

func (a *Agent) scanEvery() time.Duration {
	if stored := a.settings(); stored.ScanSeconds > 0 {
		return time.Duration(stored.ScanSeconds) * time.Second
	}
	return defaultScan
}

func (a *Agent) settings() agentapi.Settings {
	if a.ordered == nil {
		return agentapi.Settings{}
	}
	return a.ordered.Answer.Settings
}

// Cycle is what one round came to.
type Cycle struct {
	States    []agentapi.UpdateState `json:"states"`
	Installed int                    `json:"installed"` // installs that succeeded
	Failed    int                    `json:"failed"`
	Names     map[uint32]string      `json:"names,omitempty"` // of the updates in States
	Next      time.Time              `json:"next"`            // when there is something to do again
	Counts    Counts                 `json:"counts"`
}

// Counts are the sizes of the three sets. Missing and superseded make up the applicable ones: those that are needless
// once others are installed, which are missing themselves, are superseded.
type Counts struct {
	Applicable int `json:"applicable"`
	Missing    int `json:"missing"`
	Superseded int `json:"superseded"`
	Installed  int `json:"installed"`
	Unknown    int `json:"unknown"`
}

// RunOnce makes one round: renew, learn the rules, scan, report, ask what is ordered, install it, report again. How it
// went is written down for Status.
func (a *Agent) RunOnce(ctx context.Context) (Cycle, error) { return a.runOnce(ctx, false) }

// runOnce makes a round; one that only looks leaves what is ordered alone.
func (a *Agent) runOnce(ctx context.Context, looks bool) (Cycle, error) {
	cycle, err := a.round(ctx, looks)
	if err == nil {
		a.node.Heard(ctx)
	}
	switch {
	case err != nil:
	case looks && cycle.Next.Before(a.next) || !looks:
		a.next = cycle.Next
	}
	if looks && !a.next.IsZero() {
		cycle.Next = a.next
	}
	note := outcome{At: a.cfg.Now(), Cycle: cycle}
	if err != nil {
		note.Error = err.Error()
	}
	if failed := a.folder.Write(outcomeFile, note); failed != nil {
		a.cfg.Log.Warn("the outcome of the round is not written down", "error", failed)
	}
	return cycle, err
}

func (a *Agent) round(ctx context.Context, looks bool) (Cycle, error) {
	var cycle Cycle
	if a.identity == nil {
		return cycle, fmt.Errorf("%w: run enrol with a token of its site", ErrNotEnrolled)
	}
	if _, err := a.machine(ctx); err != nil {
		return cycle, err
	}
	if err := a.node.Connect(); err != nil {
		return cycle, err
	}
	if err := a.renew(ctx); err != nil {
		if !a.cfg.Now().Before(a.identity.certificate.NotAfter) {
			return cycle, fmt.Errorf("%w; the certificate ended on %s: enrol this computer again", err, a.identity.certificate.NotAfter.Format(time.DateOnly))
		}
		a.cfg.Log.Warn("the certificate was not renewed", "error", err, "ends", a.identity.certificate.NotAfter)
	}
	if a.ordered == nil {
		a.ordered = a.storedAssignments()
	}
	s, err := a.scanRules(ctx)
	if err != nil {
		return cycle, err
	}
	wait, err := a.report(ctx, s, a.states(s))
	if err != nil {
		return cycle, err
	}
	if a.ordered, err = a.fetchAssignments(ctx, a.ordered); err != nil {
		return cycle, err
	}
	s.Pin(a.ordered.Updates())
	w := &work{agent: a, scan: s, cycle: &cycle, tried: map[string]bool{}}
	if !looks {
		if err := w.do(ctx); err != nil {
			return cycle, err
		}
	}
	return a.finish(ctx, w, wait)
}

// scanRules fetches the rules and looks at the computer. Looking is cheap; it is done every round, so that what
// somebody uninstalled comes back.
func (a *Agent) scanRules(ctx context.Context) (*scan.Scan, error) {
	platform := ""
	read, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if read.System != nil {
		platform = read.System.Platform
	}
	if _, err := a.fetchRules(ctx, platform); err != nil {
		return nil, err
	}
	a.step("rules")
	return a.look(ctx, read)
}

// finish reports what the round changed and says when the next is due.
func (a *Agent) finish(ctx context.Context, w *work, wait time.Duration) (Cycle, error) {
	if w.stale {
		read, err := a.read(ctx)
		if err != nil {
			return *w.cycle, err
		}
		if w.scan, err = a.look(ctx, read); err != nil {
			return *w.cycle, err
		}
	}
	situations, err := w.situations()
	if err != nil {
		return *w.cycle, err
	}
	w.cycle.States, w.cycle.Names = statesOf(situations), map[uint32]string{}
	for i := range situations {
		o := situations[i].order
		w.cycle.Names[o.Given.Number] = cmp.Or(o.Update.Name, o.ID())
	}
	again, err := a.reportChanges(ctx, w.scan, w.cycle.States)
	if err != nil {
		return *w.cycle, err
	}
	needed := map[string]bool{}
	next := a.cfg.Now().Add(a.checkIn(cmp.Or(again, wait)))
	for i := range situations {
		st := &situations[i]
		if st.choice != nil {
			for _, file := range st.choice.Payload.Files {
				needed[file.SHA256] = true
			}
		}
		if !st.starts.IsZero() && st.starts.Before(next) {
			next = later(st.starts, a.cfg.Now().Add(leastWait))
		}
	}
	a.sweep(ctx, needed)
	w.cycle.Next = next
	held, _ := w.scan.Report()
	w.cycle.Counts = Counts{Applicable: len(held.Applicable), Installed: len(held.Installed), Unknown: len(held.Unknown)}
	w.cycle.Counts.Missing, w.cycle.Counts.Superseded = w.scan.Missing()
	ordered := map[string]bool{}
	for _, o := range a.ordered.Orders {
		ordered[o.ID()] = true
	}
	return *w.cycle, a.orders.Keep(ordered)
}

func (a *Agent) checkIn(asked time.Duration) time.Duration {
	if asked <= 0 {
		asked = time.Duration(a.settings().CheckInSeconds) * time.Second
	}
	if asked <= 0 {
		asked = defaultCheckIn
	}
	return asked
}

// states are those of the orders held, for the first report of a round.
func (a *Agent) states(s *scan.Scan) []agentapi.UpdateState {
	if a.ordered == nil || a.ordered.Epoch != a.rules.Epoch {
		return nil
	}
	w := &work{agent: a, scan: s}
	situations, err := w.situations()
	if err != nil {
		a.cfg.Log.Warn("what is ordered cannot be judged", "error", err)
		return nil
	}
	return statesOf(situations)
}

// statesOf writes situations as they are reported, by number. Of one update that several policies order, the first in
// line counts (see rank).
func statesOf(situations []situation) []agentapi.UpdateState {
	states := []agentapi.UpdateState{}
	for i := range situations {
		st := &situations[i]
		state := agentapi.UpdateState{
			Number: st.order.Given.Number, Policy: st.order.Assigned.Document.ID, Status: st.status, Text: report.Cut(st.text, agentapi.MaxText),
		}
		if !st.starts.IsZero() {
			starts := st.starts.UTC()
			state.Starts = &starts
		}
		if st.progress != nil {
			state.LastApplied = st.progress.LastApplied
		}
		states = append(states, state)
	}
	slices.SortFunc(states, func(x, y agentapi.UpdateState) int { return cmp.Compare(x.Number, y.Number) })
	return states
}
