package agent

import (
	"fmt"
	"time"

	"thatch/agent/order"
	"thatch/agent/progress"
	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/schedule"
)

// situation is where one ordered update stands, and what may be done about it now.
type situation struct {
	order    *order.Order
	progress *progress.Progress
	choice   *order.Choice // of an update that is needed
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

// stand judges one order. Nothing is changed but what progress.Store.Of writes.
func (a *Agent) stand(o *order.Order, as *order.Assignments, s *scan.Scan) (situation, error) {
	st := situation{order: o}
	if o.Err != nil {
		return st.says(agentapi.CannotTell, "%v", o.Err), nil
	}
	var err error
	if st.progress, err = a.orders.Of(o, a.cfg.Now(), a.cfg.Retry); err != nil {
		return st, err
	}
	if p := st.progress; p.Restarting && (p.RestartBoot == "" || p.RestartBoot == s.Machine.Boot) {
		if s.Of(o.ID(), &o.Update).Standing != scan.Installed || p.RestartBoot != "" {
			return st.says(agentapi.WaitingForRestart, "its installer asked for a restart"), nil
		}
	}
	switch v := s.Of(o.ID(), &o.Update); v.Standing {
	case scan.Installed:
		return st.says(agentapi.Installed, ""), nil
	case scan.Absent:
		return st.says(agentapi.NotApplicable, ""), nil
	case scan.Superseded:
		return st.says(agentapi.Superseded, "%s", v.Why), nil
	case scan.Unknown:
		return st.says(agentapi.CannotTell, "%s", v.Why), nil
	}
	return a.needed(st, as, s), nil
}

// needed judges an order whose update is missing.
func (a *Agent) needed(st situation, as *order.Assignments, s *scan.Scan) situation {
	o, p, now := st.order, st.progress, a.cfg.Now()
	if by := as.Successor(o, s); by != "" {
		return st.says(agentapi.Superseded, "gives way to %s, which is ordered too", s.NameOf(by))
	}
	if p.Attempts >= o.Attempts(as) {
		return st.says(agentapi.FailedToInstall, "%s", p.Text)
	}
	if !o.Given.Held {
		return st.says(agentapi.WaitingForSuccessor, "its site does not hold the payload yet")
	}
	var err error
	if st.choice, err = a.reader().Choose(o, s); err != nil {
		return st.says(agentapi.CannotTell, "%v", err)
	}
	st.fetch = true
	if !a.held(st.choice) {
		if p.Next.After(now) {
			st.starts = p.Next
			return st.says(p.Again(), "%s", p.Text)
		}
		return st.says(agentapi.DownloadRequired, "")
	}
	if first := s.Lacking(o.Update.Prerequisites); first != "" {
		return st.says(agentapi.Pending, "%s must be installed first", first)
	}
	return a.timed(st, as, now)
}

// timed judges an order whose payload is here: when may it start?
func (a *Agent) timed(st situation, as *order.Assignments, now time.Time) situation {
	o, p := st.order, st.progress
	start, text, err := a.start(o, p, as, now)
	if err != nil {
		return st.says(agentapi.CannotTell, "%v", err)
	}
	waiting := agentapi.Scheduled
	if p.Next.After(now) || p.Attempts > 0 {
		waiting, text = p.Again(), p.Text
	}
	st.starts = later(start, p.Next)
	switch {
	case o.Assigned.Paused:
		st.starts = time.Time{}
		return st.says(agentapi.Scheduled, "its policy is paused")
	case st.starts.After(now) || start.IsZero():
		return st.says(waiting, "%s", text)
	case o.Assigned.Wait:
		return st.says(agentapi.Scheduled, "as many computers as its policy allows are installing")
	}
	st.ready = true
	return st.says(waiting, "%s", text)
}

// start is when the plan and the maintenance windows let an order start, or let it start again; not after now when
// that is now, zero when that is never.
func (a *Agent) start(o *order.Order, p *progress.Progress, as *order.Assignments, now time.Time) (time.Time, string, error) {
	plan := schedule.Plan{When: schedule.When(o.Policy.Plan.When), At: o.Policy.Plan.At, Spread: o.Policy.Plan.SpreadMinutes}
	var usual schedule.Recurrence
	if cron := as.Answer.Settings.InstallCron; cron != "" {
		var err error
		if usual, err = schedule.ParseRecurrence(cron); err != nil {
			return time.Time{}, "", fmt.Errorf("%w: the site's settings: %w", order.ErrRefused, err)
		}
	}
	start, err := plan.Start(p.Ordered, usual, a.cfg.Zone, schedule.Key(a.identity.Computer, o.Assigned.Document.ID))
	if err != nil {
		return time.Time{}, "", fmt.Errorf("%w: policy %q: %w", order.ErrRefused, o.Policy.Name, err)
	}
	if o.Policy.OverrideWindows || len(as.Answer.Windows) == 0 {
		return start, "", nil
	}
	at := later(start, now)
	if _, open := as.Windows.Open(at, a.cfg.Zone); open {
		return start, "", nil
	}
	opens, _ := as.Windows.Next(at, a.cfg.Zone)
	text := "waits for its maintenance window"
	if opens.IsZero() {
		text = "no maintenance window opens again"
		if as.Closed != "" {
			text = as.Closed
		}
	}
	return opens, text, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
