package agent

import (
	"fmt"
	"time"

	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/schedule"
)

// situation is where one ordered update stands, and what may be done about it now.
type situation struct {
	order    *order
	progress *progress
	choice   *choice // of an update that is needed
	status   agentapi.Status
	text     string
	starts   time.Time // when it may start; zero: not known, or now
	fetch    bool      // it is needed, and its payload should be here
	ready    bool      // it may be installed now
}

func (st situation) says(status agentapi.Status, format string, args ...any) situation {
	st.status, st.text = status, fmt.Sprintf(format, args...)
	return st
}

// meant says whether the policy's target means this computer. Whether it needs an update is judged per update.
func (o *order) meant(s *scan) bool {
	if o.err != nil {
		return true // its policy or its update cannot be read, which people are to see
	}
	computer := policy.Computer{Name: s.machine.Name, Needs: true}
	if s.facts.System != nil {
		computer.System = *s.facts.System
	}
	return o.body.Target.Match(computer)
}

// stand judges one order. Nothing is changed but what progressOf writes.
func (a *Agent) stand(o *order, as *assignments, s *scan) (situation, error) {
	st := situation{order: o}
	if o.err != nil {
		return st.says(agentapi.CannotTell, "%v", o.err), nil
	}
	var err error
	if st.progress, err = a.progressOf(o); err != nil {
		return st, err
	}
	if p := st.progress; p.Restarting && (p.RestartBoot == "" || p.RestartBoot == s.machine.Boot) {
		if s.verdictOf(o).standing != installed || p.RestartBoot != "" {
			return st.says(agentapi.WaitingForRestart, "its installer asked for a restart"), nil
		}
	}
	switch v := s.verdictOf(o); v.standing {
	case installed:
		return st.says(agentapi.Installed, ""), nil
	case absent:
		return st.says(agentapi.NotApplicable, ""), nil
	case superseded:
		return st.says(agentapi.Superseded, "%s", v.why), nil
	case unknown:
		return st.says(agentapi.CannotTell, "%s", v.why), nil
	}
	return a.needed(st, as, s), nil
}

// verdictOf judges the pinned update, which may be another revision than the catalog's.
func (s *scan) verdictOf(o *order) verdict {
	v := s.judge(&o.update)
	if v.standing == applicable {
		return s.overtaken(o.id(), s.prerequisites(v, o.update.Prerequisites))
	}
	return v
}

// needed judges an order whose update is missing.
func (a *Agent) needed(st situation, as *assignments, s *scan) situation {
	o, p, now := st.order, st.progress, a.cfg.Now()
	if by := as.successor(o, s); by != "" {
		return st.says(agentapi.Superseded, "gives way to %s, which is ordered too", s.nameOf(by))
	}
	if p.Attempts >= o.attempts(as) {
		return st.says(agentapi.FailedToInstall, "%s", p.Text)
	}
	if !o.given.Held {
		return st.says(agentapi.WaitingForSuccessor, "its site does not hold the payload yet")
	}
	var err error
	if st.choice, err = a.choose(o, s); err != nil {
		return st.says(agentapi.CannotTell, "%v", err)
	}
	st.fetch = true
	if !a.held(st.choice) {
		if p.Next.After(now) {
			st.starts = p.Next
			return st.says(again(p), "%s", p.Text)
		}
		return st.says(agentapi.DownloadRequired, "")
	}
	if first := s.lacking(o.update.Prerequisites); first != "" {
		return st.says(agentapi.Pending, "%s must be installed first", first)
	}
	return a.timed(st, as, now)
}

// timed judges an order whose payload is here: when may it start?
func (a *Agent) timed(st situation, as *assignments, now time.Time) situation {
	o, p := st.order, st.progress
	start, text, err := a.start(o, p, as, now)
	if err != nil {
		return st.says(agentapi.CannotTell, "%v", err)
	}
	waiting := agentapi.Scheduled
	if p.Next.After(now) || p.Attempts > 0 {
		waiting, text = again(p), p.Text
	}
	st.starts = later(start, p.Next)
	switch {
	case o.assigned.Paused:
		st.starts = time.Time{}
		return st.says(agentapi.Scheduled, "its policy is paused")
	case st.starts.After(now) || start.IsZero():
		return st.says(waiting, "%s", text)
	case o.assigned.Wait:
		return st.says(agentapi.Scheduled, "as many computers as its policy allows are installing")
	}
	st.ready = true
	return st.says(waiting, "%s", text)
}

// start is when the plan and the maintenance windows let an order start, or let it start again; not after now when
// that is now, zero when that is never.
func (a *Agent) start(o *order, p *progress, as *assignments, now time.Time) (time.Time, string, error) {
	plan := schedule.Plan{When: schedule.When(o.body.Plan.When), At: o.body.Plan.At, Spread: o.body.Plan.SpreadMinutes}
	var usual schedule.Recurrence
	if cron := as.answer.Settings.InstallCron; cron != "" {
		var err error
		if usual, err = schedule.ParseRecurrence(cron); err != nil {
			return time.Time{}, "", fmt.Errorf("%w: the site's settings: %w", ErrRefused, err)
		}
	}
	start, err := plan.Start(p.Ordered, usual, a.cfg.Zone, schedule.Key(a.identity.Computer, o.assigned.Document.ID))
	if err != nil {
		return time.Time{}, "", fmt.Errorf("%w: policy %q: %w", ErrRefused, o.body.Name, err)
	}
	if o.body.OverrideWindows || len(as.answer.Windows) == 0 {
		return start, "", nil
	}
	at := later(start, now)
	if _, open := as.windows.Open(at, a.cfg.Zone); open {
		return start, "", nil
	}
	opens, _ := as.windows.Next(at, a.cfg.Zone)
	text := "waits for its maintenance window"
	if opens.IsZero() {
		text = "no maintenance window opens again"
		if as.closed != "" {
			text = as.closed
		}
	}
	return opens, text, nil
}

// again is the status of what will be tried again: an install that failed, or a step before the first.
func again(p *progress) agentapi.Status {
	if p.Attempts > 0 {
		return agentapi.FailedRescheduled
	}
	return agentapi.Retry
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const defaultAttempts = 3

// attempts is how often an install is tried.
func (o *order) attempts(as *assignments) int {
	switch {
	case o.body.Attempts > 0:
		return o.body.Attempts
	case as.answer.Settings.Attempts > 0:
		return as.answer.Settings.Attempts
	}
	return defaultAttempts
}

// successor finds an update that supersedes the ordered one and is itself ordered for this computer, held by the site,
// and missing here.
func (as *assignments) successor(o *order, s *scan) string {
	return s.successor(o.id(), func(id string, _ *known) bool {
		for _, other := range as.orders {
			if other.err == nil && other.id() == id && other.given.Held && other.meant(s) {
				return s.verdictOf(other).standing == applicable
			}
		}
		return false
	})
}

// restarts says how an install is expected to end: 0 without a restart, 1 perhaps with one, 2 with one.
func (st *situation) restarts() int {
	restart := st.choice.body.Restart
	if restart == "" {
		restart = st.order.update.Restart
	}
	switch restart {
	case catalog.RestartNever:
		return 0
	case catalog.RestartAlways:
		return 2
	}
	return 1
}

// isInstalled asks the rules after an install: the package's own where it has one, because an update of several
// packages is not installed before the last of them, else the update's.
func (s *scan) isInstalled(o *order, pack *catalog.Package) rule.Verdict {
	v := s.evaluator.Evaluate(o.update.Installed)
	if v.Answer != rule.True && pack != nil && pack.Installed != nil {
		return s.evaluator.Evaluate(pack.Installed)
	}
	return v
}
