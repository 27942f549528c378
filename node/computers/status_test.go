package computers

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 0, 0, time.UTC)
	state := func(s Status) *State { return &State{Status: s, Text: "because"} }
	for _, c := range []struct {
		name    string
		q       Question
		status  Status
		text    string
		applied string
	}{
		{"not evaluated", Question{}, Pending, "the computer has not evaluated this revision yet", Never},
		{"not evaluated, evaluated before", Question{Applicable: true}, Pending, "the computer has not evaluated this revision yet", Never},
		{"does not concern it", Question{Covered: true}, NotApplicable, "", Never},
		{"not applicable goes before superseded", Question{Covered: true, Superseded: true}, NotApplicable, "", Never},
		{"cannot tell", Question{Covered: true, Unknown: true, Reason: "no WMI"}, CannotTell, "no WMI", Never},
		{"cannot tell is not patched", Question{Covered: true, Unknown: true, Installed: true, Reason: "no WMI"}, CannotTell, "no WMI", Never},
		{"by someone else", Question{Covered: true, Applicable: true, Installed: true}, Installed, "not installed by this agent", Never},
		{"by us", Question{Covered: true, Installed: true, State: &State{Status: Installed, LastApplied: at}}, Installed, "", "2026-02-03T04:05:00Z"},
		{"installed although the agent's word is older", Question{Covered: true, Installed: true, State: state(FailedToInstall)}, Installed, "not installed by this agent", Never},
		{"superseded by what is installed, as its agent says", Question{Covered: true, State: state(Superseded)}, Superseded, "because", Never},
		{"superseded", Question{Covered: true, Applicable: true, Superseded: true, State: state(Scheduled)}, Superseded, "another update replaces it", Never},
		{"failed", Question{Covered: true, Applicable: true, State: state(FailedToInstall)}, FailedToInstall, "because", Never},
		{"rescheduled", Question{Covered: true, Applicable: true, State: state(FailedRescheduled)}, FailedRescheduled, "because", Never},
		{"scheduled", Question{Covered: true, Applicable: true, State: state(Scheduled)}, Scheduled, "because", Never},
		{"retry", Question{Covered: true, Applicable: true, State: state(Retry)}, Retry, "because", Never},
		{"download", Question{Covered: true, Applicable: true, State: state(DownloadRequired)}, DownloadRequired, "because", Never},
		{"restart", Question{Covered: true, Applicable: true, Installed: true, State: state(WaitingForRestart)}, WaitingForRestart, "because", Never},
		{"uninstalled by hand", Question{Covered: true, Applicable: true, Ordered: true, State: &State{Status: Installed, LastApplied: at}}, Pending, "ordered; the agent has not said how far it is", "2026-02-03T04:05:00Z"},
		{"ordered just now", Question{Covered: true, Applicable: true, Ordered: true}, Pending, "ordered; the agent has not said how far it is", Never},
		{"nobody ordered it", Question{Covered: true, Applicable: true}, DownloadRequired, "no policy in force orders it here", Never},
	} {
		a := Judge(c.q)
		if a.Status != c.status || a.Text != c.text || a.Applied() != c.applied {
			t.Errorf("%s: %q %q, last applied %q; want %q %q, %q", c.name, a.Status, a.Text, a.Applied(), c.status, c.text, c.applied)
		}
	}
}

// Of what is judged by its own rules alone, what the agent says of the order stands, whatever the sets say.
func TestJudgeAlone(t *testing.T) {
	for _, q := range []Question{{}, {Covered: true, Installed: true}, {Covered: true, Applicable: true, Superseded: true}, {Unknown: true, Reason: "no WMI"}} {
		q.Alone, q.Ordered = true, true
		if a := Judge(q); a.Status != Pending || a.Applied() != Never {
			t.Errorf("%+v before the agent said anything: %+v", q, a)
		}
		for _, status := range Statuses {
			q.State = &State{Status: status, Text: "why"}
			if a := Judge(q); a.Status != status || a.Text != "why" && status != Installed {
				t.Errorf("%+v, the agent says %s: %+v", q, status, a)
			}
		}
		q.State = &State{Status: Installed, LastApplied: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		if a := Judge(q); a.Status != Installed || a.Applied() != "2026-01-02T03:04:05Z" || a.Text != "" {
			t.Errorf("installed by the agent: %+v", a)
		}
	}
}
