package computers

import "time"

// Status is what people see of an update on a computer; the texts are the product's words and those of agents.
type Status string

// The statuses.
const (
	FailedToInstall   Status = "Failed to Install"
	FailedRescheduled Status = "Installation Failed - Rescheduled"
	Installed         Status = "Installed"
	Scheduled         Status = "Installation Scheduled"
	NotApplicable     Status = "Not Applicable"
	Pending           Status = "Pending"
	DownloadRequired  Status = "Download required"
	Retry             Status = "Retry"
	Superseded        Status = "Superseded"
	CannotTell        Status = "Cannot tell"
	WaitingForRestart Status = "Waiting for restart"
	WaitingForSite    Status = "Waiting for its site"
)

// Statuses lists them all.
var Statuses = []Status{
	FailedToInstall, FailedRescheduled, Installed, Scheduled, NotApplicable, Pending, DownloadRequired, Retry, Superseded,
	CannotTell, WaitingForRestart, WaitingForSite,
}

// Never is shown as Last Applied of an update that the agent did not install itself.
const Never = "Never"

// State is where one ordered update stands on a computer, as its agent says.
type State struct {
	Number      uint32    `json:"number"`
	Policy      string    `json:"policy"`
	Status      Status    `json:"status"`
	Text        string    `json:"text,omitempty"`
	Starts      time.Time `json:"starts,omitzero"`
	LastApplied time.Time `json:"last_applied,omitzero"`
	At          time.Time `json:"at"` // of the report
}

// Question is what the status of an update on a computer follows from.
type Question struct {
	Covered    bool // the computer evaluated the update's present revision
	Superseded bool // by an update that is not withdrawn
	Never      bool // its bulletin is never offered
	Applicable bool
	Installed  bool
	Unknown    bool
	Reason     string // why unknown
	State      *State // of an ordered update; nil: its agent said nothing
	Ordered    bool   // by a policy in force
	// Alone says that what is ordered is judged by its own rules and not by the catalog's: the sets say nothing of it, and
	// what the agent says of the order stands.
	Alone bool
}

// Answer is what people see.
type Answer struct {
	Status      Status    `json:"status"`
	Text        string    `json:"text,omitempty"` // why
	LastApplied time.Time `json:"last_applied,omitzero"`
	Starts      time.Time `json:"starts,omitzero"`
}

// Applied is the text of Last Applied: a time as in RFC 3339, in UTC, or Never.
func (a Answer) Applied() string {
	if a.LastApplied.IsZero() {
		return Never
	}
	return a.LastApplied.UTC().Format(time.RFC3339)
}

// Judge says what the status of an update on a computer is. What the sets say of today goes before what an agent said
// of an order; what was not evaluated is pending, and what cannot be told is neither patched nor not applicable.
func Judge(q Question) Answer {
	var a Answer
	if q.State != nil {
		a.LastApplied, a.Starts = q.State.LastApplied, q.State.Starts
	}
	say := func(status Status, text string) Answer {
		a.Status, a.Text = status, text
		return a
	}
	switch {
	case q.Alone && q.State == nil:
		return say(Pending, "ordered; the agent has not said how far it is")
	case q.Alone && q.State.Status == Installed && a.LastApplied.IsZero():
		return say(Installed, "not installed by this agent")
	case q.Alone:
		return say(q.State.Status, q.State.Text)
	case q.State != nil && q.State.Status == WaitingForRestart:
		return say(WaitingForRestart, q.State.Text)
	case q.Unknown:
		return say(CannotTell, q.Reason)
	case q.Installed:
		if a.LastApplied.IsZero() {
			return say(Installed, "not installed by this agent")
		}
		return say(Installed, "")
	case !q.Covered:
		return say(Pending, "the computer has not evaluated this revision yet")
	case !q.Applicable && q.State != nil && q.State.Status == Superseded:
		return say(Superseded, q.State.Text)
	case !q.Applicable:
		return say(NotApplicable, "")
	case q.Superseded:
		return say(Superseded, "another update replaces it")
	case q.Never && !q.Ordered:
		return say(NotApplicable, "its bulletin is never offered here")
	case q.State != nil && underWay(q.State.Status):
		return say(q.State.Status, q.State.Text)
	case q.Ordered:
		return say(Pending, "ordered; the agent has not said how far it is")
	}
	return say(DownloadRequired, "no policy in force orders it here")
}

// underWay says whether a status is one that only an agent can know.
func underWay(s Status) bool {
	switch s {
	case FailedToInstall, FailedRescheduled, Scheduled, DownloadRequired, Retry, WaitingForSite, Pending, Superseded:
		return true
	}
	return false
}
