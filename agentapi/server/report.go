package server

import (
	"net/http"
	"time"

	"thatch/agentapi"
	"thatch/node/computers"
	"thatch/node/places"
	"thatch/node/policies"
	"thatch/node/settings"
)

// report takes what changed on a computer.
func (s *server) report(r *http.Request, who caller, q agentapi.ReportRequest) (*agentapi.ReportResponse, error) {
	values, err := s.node.Settings.All(r.Context())
	if err != nil {
		return nil, err
	}
	answer := &agentapi.ReportResponse{CheckIn: checkIn(who.ID, settings.CheckIn.In(values))}
	cursor, err := computers.ParseCursor(q.Cursor)
	if q.Epoch != s.node.Site().Epoch || err != nil {
		// Numbers and cursors of another epoch mean nothing here. The agent fetches the rules anew, then reports whole.
		answer.Resend = true
		return answer, nil
	}
	taken, err := s.node.Computers.Report(r.Context(), who.ID, reportOf(q, cursor))
	if err != nil {
		return nil, err
	}
	answer.Counter, answer.Resend = taken.Counter, taken.Resend
	if len(q.Installed.Add)+len(q.States) > 0 && !taken.Resend {
		if err := s.node.Policies.GiveBack(r.Context(), who.ID); err != nil {
			s.log.Warn("a turn was not given back; it ends by itself", "computer", who.ID, "error", err)
		}
	}
	return answer, nil
}

// checkIn spreads the computers over a tenth of the interval, each always at the same place.
func checkIn(id string, seconds int) int {
	tenth := time.Duration(seconds) * time.Second / 10
	return seconds - seconds/20 + int(places.Spread(id, tenth)/time.Second)
}

func reportOf(q agentapi.ReportRequest, cursor computers.Cursor) computers.Report {
	rep := computers.Report{
		Base: q.Base, Cursor: cursor, At: q.At, Reasons: q.Reasons, Hardware: q.Hardware,
		Applicable: computers.Change(q.Applicable), Installed: computers.Change(q.Installed), Unknown: computers.Change(q.Unknown),
	}
	if q.Facts != nil {
		facts := computers.Facts(*q.Facts)
		rep.Facts = &facts
	}
	for _, state := range q.States {
		next := computers.State{Number: state.Number, Policy: state.Policy, Status: computers.Status(state.Status), Text: state.Text}
		if state.Starts != nil {
			next.Starts = *state.Starts
		}
		if state.LastApplied != nil {
			next.LastApplied = *state.LastApplied
		}
		rep.States = append(rep.States, next)
	}
	for _, attempt := range q.Attempts {
		rep.Attempts = append(rep.Attempts, computers.Attempt(attempt))
	}
	return rep
}

// waitingCheckIn is the longest that a computer stays away which waits for its turn.
const waitingCheckIn = 5 * 60

// assignments answers with everything that is ordered for a computer.
func (s *server) assignments(r *http.Request, who caller, q agentapi.AssignmentsRequest) (*agentapi.AssignmentsResponse, error) {
	values, err := s.node.Settings.All(r.Context())
	if err != nil {
		return nil, err
	}
	tag := q.Tag
	if q.Epoch != s.node.Site().Epoch {
		tag = ""
	}
	assigned, err := s.node.Policies.Assigned(r.Context(), who.ID, tag)
	if err != nil {
		return nil, err
	}
	answer := &agentapi.AssignmentsResponse{Tag: assigned.Tag, Settings: settingsOf(who.ID, values)}
	if assigned.Waits {
		answer.Settings.CheckInSeconds = min(answer.Settings.CheckInSeconds, waitingCheckIn)
	}
	if tag != "" && assigned.Tag == tag {
		answer.Unchanged = true
		return answer, nil
	}
	answer.Windows = assigned.Windows
	for _, p := range assigned.Policies {
		answer.Policies = append(answer.Policies, policyOf(p))
	}
	keys, err := s.keys.now(r.Context())
	if err != nil {
		return nil, err
	}
	answer.Keys = keys.docs
	return answer, nil
}

func policyOf(p policies.AssignedPolicy) agentapi.AssignedPolicy {
	next := agentapi.AssignedPolicy{Document: p.Document, Paused: p.Paused, Wait: p.Wait}
	for _, u := range p.Updates {
		next.Updates = append(next.Updates, agentapi.OrderedUpdate(u))
	}
	return next
}

func settingsOf(id string, v settings.Values) agentapi.Settings {
	return agentapi.Settings{
		CheckInSeconds: checkIn(id, settings.CheckIn.In(v)), ScanSeconds: settings.Scan.In(v),
		InstallCron: settings.InstallSchedule.In(v), Attempts: settings.Attempts.In(v),
		RequireSigned: settings.RequireSigned.In(v), Trusted: settings.Trusted.In(v), Roots: settings.Roots.In(v),
	}
}
