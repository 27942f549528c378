package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/node/disk"
	"thatch/node/members"
	"thatch/node/quorum"
)

// TestWhatIsWrong has nodes tell of disks, certificates and clocks that no machine at hand has, and reads what the report says.
func TestWhatIsWrong(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const gib = 1 << 30
	roomy := &disk.Space{Free: 200 * gib, Total: 400 * gib}
	well := func() Heard {
		return Heard{At: now, Status: Status{ID: "b", Time: now, Local: Local{State: "running", Certificate: now.AddDate(0, 0, 60), Disk: roomy}}}
	}
	for name, c := range map[string]struct {
		change func(h *Heard)
		kind   string // "": nothing is wrong
		level  string
		says   string
		advice string
	}{
		"well":                   {func(*Heard) {}, "", "", "", ""},
		"a tenth is free":        {func(h *Heard) { h.Status.Disk = &disk.Space{Free: 40 * gib, Total: 400 * gib} }, "", "", "", ""},
		"less than a tenth":      {func(h *Heard) { h.Status.Disk = &disk.Space{Free: 39 * gib, Total: 400 * gib} }, ProblemDisk, LevelWarning, "disk of node paris is nearly full: 39936 MiB of 409600 MiB", "make room"},
		"less than a GiB":        {func(h *Heard) { h.Status.Disk = &disk.Space{Free: gib - 1, Total: 4 * gib} }, ProblemDisk, LevelWarning, "nearly full", "make room"},
		"disk that is not known": {func(h *Heard) { h.Status.Disk = nil }, "", "", "", ""},
		"to be renewed soon":     {func(h *Heard) { h.Status.Certificate = now.AddDate(0, 0, 22) }, "", "", "", ""},
		"not renewed":            {func(h *Heard) { h.Status.Certificate = now.AddDate(0, 0, 20) }, ProblemCertificate, LevelWarning, "the certificate of node paris ends at 2026-03-21T12:00:00Z and was not renewed", "thatch tasks run housekeeping"},
		"ended":                  {func(h *Heard) { h.Status.Certificate = now.AddDate(0, 0, -1) }, ProblemCertificate, LevelWarning, "ends at 2026-02-28", "see its log"},
		"clock on the way":       {func(h *Heard) { h.Status.Time, h.Trip = now.Add(-2*time.Second), 4*time.Second }, "", "", "", ""},
		"clock behind":           {func(h *Heard) { h.Status.Time = now.Add(-time.Hour) }, ProblemClock, LevelWarning, "the clock of node paris is off by -1h0m0s", "NTP"},
		"clock ahead":            {func(h *Heard) { h.Status.Time = now.Add(6 * time.Second) }, ProblemClock, LevelWarning, "off by 6s", "NTP"},
		"does not answer":        {func(h *Heard) { h.At, h.Err = now.Add(-time.Minute), fmt.Errorf("connection refused") }, ProblemUnreachable, LevelError, "node paris does not answer; last contact 1m0s ago: connection refused", "thatch site remove b"},
		"never answered":         {func(h *Heard) { h.At, h.Err = time.Time{}, fmt.Errorf("no route") }, ProblemUnreachable, LevelError, "did not answer since this node started: no route", "start it"},
		"waits to be upgraded":   {func(h *Heard) { h.Status.State, h.Status.Reason = "starting", "node c to be upgraded" }, ProblemSchema, LevelWarning, "waits for node c to be upgraded", "upgrade"},
		"behind":                 {func(h *Heard) { h.Status.Quorum = &quorum.Status{Applied: 10} }, ProblemLag, LevelWarning, "node paris is 4990 batches behind", "slow"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Membership{cfg: Config{Now: func() time.Time { return now }}}
			m.table.Store(&[]members.Node{{ID: "a", Name: "berlin", Votes: true}, {ID: "b", Name: "paris", Votes: true}, {ID: "c", Name: "rome", Votes: true}})
			votes := quorum.Status{Leader: "a", Applied: 5000, Voters: []quorum.Voter{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
			h := well()
			c.change(&h)
			rome := well()
			rome.Status.ID = "c"
			own := Status{ID: "a", Time: now, Quorum: &votes, Local: Local{State: "running", Certificate: now.AddDate(0, 0, 60), Disk: roomy}}
			r := m.found(own, map[string]Heard{"b": h, "c": rome})
			if c.kind == "" {
				if len(r.Problems) > 0 || r.Wrong() {
					t.Errorf("it says %+v", r.Problems)
				}
				return
			}
			at := slices.IndexFunc(r.Problems, func(p Problem) bool { return p.Kind == c.kind })
			if at < 0 || len(r.Problems) > 1 || !r.Wrong() {
				t.Fatalf("it says %+v", r.Problems)
			}
			if p := r.Problems[at]; p.Level != c.level || p.Node != "b" || !strings.Contains(p.Text, c.says) || !strings.Contains(p.Advice, c.advice) {
				t.Errorf("it says %+v", p)
			}
		})
	}
}

// TestNoLeader: what is said where nobody leads does not send people to a restore while a node is left.
func TestNoLeader(t *testing.T) {
	m := &Membership{cfg: Config{Now: time.Now}}
	m.table.Store(&[]members.Node{{ID: "a", Name: "berlin", Votes: true}})
	own := Status{ID: "a", Quorum: &quorum.Status{Voters: []quorum.Voter{{ID: "a"}, {ID: "b"}, {ID: "c"}}}}
	r := m.found(own, nil)
	if len(r.Problems) == 0 || r.Problems[0].Kind != ProblemNoQuorum || r.Living != 1 || r.Needed != 2 ||
		!strings.Contains(r.Problems[0].Advice, "thatch node recover") || !strings.Contains(r.Problems[0].Text, "1 of 3 voting nodes answer here, and 2 are needed") {
		t.Errorf("%+v", r)
	}
}
