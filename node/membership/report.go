package membership

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/node/disk"
	"thatch/node/members"
	"thatch/node/quorum"
)

// Roles of nodes.
const (
	RoleLeader    = "leader"
	RoleFollower  = "follower"
	RoleCandidate = "candidate" // stands for election
	RoleNonVoter  = "non-voter" // holds everything, and is not to vote
	RoleJoining   = "joining"   // has no vote yet, and is to have one
)

// Node is how a node of the site fares. What is not known is left out.
type Node struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Self      bool     `json:"self"` // the one that answers
	Role      string   `json:"role"`
	Votes     bool     `json:"votes"`  // it is to vote
	Living    bool     `json:"living"` // it answers
	Address   string   `json:"address,omitempty"`
	Addresses []string `json:"addresses"`
	Program
	Progress
	Storage
	Certificate time.Time `json:"certificate_ends,omitzero"`
	Contact     time.Time `json:"last_contact,omitzero"` // when this node last heard it answer
	ClockOff    float64   `json:"clock_off_seconds,omitempty"`
	Problem     string    `json:"problem,omitempty"`
}

// Program is what runs at a node.
type Program struct {
	State   string    `json:"state,omitempty"` // starting, running
	Version string    `json:"version,omitempty"`
	Schema  int       `json:"schema,omitempty"` // newest that its program knows
	Started time.Time `json:"started,omitzero"`
}

// Progress is how far a node has come with what the site agreed on.
type Progress struct {
	Term  uint64 `json:"term,omitempty"`
	Index uint64 `json:"index,omitempty"` // of the last batch in its database
	Lag   uint64 `json:"lag"`             // batches that others hold and it does not yet
}

// Storage is where a node keeps what it holds.
type Storage struct {
	Disk     *disk.Space `json:"disk,omitempty"` // of its data folder
	Database int64       `json:"database_bytes,omitempty"`
}

// Levels of what a Problem is.
const (
	LevelError   = "error"   // something does not work
	LevelWarning = "warning" // something will not
	LevelHint    = "hint"    // nothing is wrong, and something could be better
)

// Kinds of problems.
const (
	ProblemNoQuorum    = "no_quorum"
	ProblemUnreachable = "unreachable"
	ProblemStarting    = "starting"
	ProblemLag         = "lagging"
	ProblemDisk        = "disk"
	ProblemCertificate = "certificate"
	ProblemClock       = "clock"
	ProblemSchema      = "schema"
	ProblemEven        = "even"
	ProblemVersions    = "versions"
	ProblemBackup      = "backup"
	ProblemCopies      = "copies"
)

// Problem is something that is wrong, and what to do about it.
type Problem struct {
	Level  string `json:"level"`
	Kind   string `json:"kind"`
	Node   string `json:"node,omitempty"` // id; "" the site's
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// Report is how a site fares.
type Report struct {
	Site     string    `json:"site"` // id
	Node     string    `json:"node"` // id of the one that answers
	Leader   string    `json:"leader,omitempty"`
	Term     uint64    `json:"term"`
	Voters   int       `json:"voters"` // nodes that vote
	Living   int       `json:"living"` // of them, those that answer
	Needed   int       `json:"needed"` // of them, so many for anything to be written
	Nodes    []Node    `json:"nodes"`
	Problems []Problem `json:"problems"`
}

// Wrong says whether there is something that is more than a hint.
func (r Report) Wrong() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Level != LevelHint })
}

// Report asks all nodes, and says what is wrong.
func (m *Membership) Report(ctx context.Context) Report {
	heard := m.Greeted(ctx)
	r := m.found(m.Status(), heard)
	r.Site = m.creds.Site()
	if m.cfg.More != nil {
		r.Problems = append(r.Problems, m.cfg.More(ctx)...)
	}
	return r
}

// found makes the report of what this node knows of itself and heard of the others.
func (m *Membership) found(own Status, heard map[string]Heard) Report {
	r := Report{Node: own.ID, Nodes: []Node{}, Problems: []Problem{}}
	var votes quorum.Status
	if own.Quorum != nil {
		votes = *own.Quorum
	}
	r.Leader, r.Term, r.Voters = votes.Leader, votes.Term, len(votes.Voters)
	r.Needed = r.Voters/2 + 1
	var most uint64 // batches that a node holds
	for _, member := range m.all(votes) {
		n := m.node(member, votes, own, heard[member.ID])
		if n.Living && isIn(votes.Voters, n.ID) {
			r.Living++
		}
		most = max(most, n.Index)
		r.Nodes = append(r.Nodes, n)
	}
	for i := range r.Nodes {
		if n := &r.Nodes[i]; n.Index > 0 {
			n.Lag = most - n.Index
		}
	}
	m.judge(&r, heard)
	return r
}

// all are the nodes of the table, with those that only the quorum knows.
func (m *Membership) all(votes quorum.Status) []members.Node {
	var list []members.Node
	for _, n := range *m.table.Load() {
		if n.Removed.IsZero() {
			list = append(list, n)
		}
	}
	for _, v := range slices.Concat(votes.Voters, votes.NonVoters) {
		if _, known := m.find(v.ID); !known {
			list = append(list, members.Node{ID: v.ID, Name: v.ID, Votes: true})
		}
	}
	return list
}

func isIn(list []quorum.Voter, id string) bool {
	return slices.ContainsFunc(list, func(v quorum.Voter) bool { return v.ID == id })
}

func (m *Membership) node(member members.Node, votes quorum.Status, own Status, h Heard) Node {
	n := Node{
		ID: member.ID, Name: member.Name, Self: member.ID == own.ID, Votes: member.Votes, Addresses: m.Addresses(member.ID),
		Program: Program{Version: member.Version, Schema: member.Schema},
	}
	if n.Self {
		n.Addresses = m.cfg.Self.Addresses
	}
	if len(n.Addresses) > 0 {
		n.Address = n.Addresses[0]
	}
	status := own
	if !n.Self {
		status, n.Contact = h.Status, h.At
		n.Living = h.Err == nil && !h.At.IsZero()
		if h.Err != nil {
			n.Problem = h.Err.Error()
		}
		if n.Living {
			n.ClockOff = (status.Time.Sub(h.At) + h.Trip/2).Seconds()
		}
	} else {
		n.Living, n.Contact = true, own.Time
	}
	n.State, n.Started, n.Certificate, n.Disk, n.Database = status.State, status.Started, status.Certificate, status.Disk, status.Database
	if status.Version != "" {
		n.Version, n.Schema = status.Version, status.Schema
	}
	if status.Quorum != nil {
		n.Index, n.Term = status.Quorum.Applied, status.Quorum.Term
	}
	n.Role = roleOf(n, votes, status)
	return n
}

func roleOf(n Node, votes quorum.Status, status Status) string {
	switch {
	case n.ID == votes.Leader:
		return RoleLeader
	case isIn(votes.Voters, n.ID) && n.Living && status.Quorum != nil && strings.EqualFold(status.Quorum.State, RoleCandidate):
		return RoleCandidate
	case isIn(votes.Voters, n.ID):
		return RoleFollower
	case n.Votes:
		return RoleJoining
	}
	return RoleNonVoter
}

// Limits beyond which something is said.
const (
	mostLag      = 1000                // batches
	leastFree    = 1 << 30             // bytes
	leastShare   = 10                  // a tenth of the disk
	leastLeft    = 21 * 24 * time.Hour // of a certificate, which is renewed when a third of ninety days is left
	mostClockOff = 5 * time.Second
)

// judge says what is wrong.
func (m *Membership) judge(r *Report, heard map[string]Heard) {
	say := func(level, kind, node, advice, format string, args ...any) {
		r.Problems = append(r.Problems, Problem{Level: level, Kind: kind, Node: node, Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	if r.Leader == "" {
		say(LevelError, ProblemNoQuorum, "", "start the nodes that do not run, or mend the network between them; where a majority is lost for good, make a site of the node that is left (thatch node recover)",
			"no node leads the site: %d of %d voting nodes answer here, and %d are needed; what is written waits and is then refused, reads go on", r.Living, r.Voters, r.Needed)
	}
	versions := map[string]bool{}
	for _, n := range r.Nodes {
		m.judgeNode(n, heard[n.ID], say)
		if n.Version != "" {
			versions[n.Version] = true
		}
	}
	if r.Voters == 2 || r.Voters == 4 {
		say(LevelHint, ProblemEven, "", "have one more node join: thatch node token create, then there thatch node join; or take a vote: thatch site votes NODE off",
			"%d nodes vote, so no more of them may fail than of %d; an odd number is better", r.Voters, r.Voters-1)
	}
	if len(versions) > 1 {
		say(LevelHint, ProblemVersions, "", "upgrade the others: what needs the newer version waits for the last of them", "the nodes run %d versions of the program", len(versions))
	}
}

func (m *Membership) judgeNode(n Node, h Heard, say func(level, kind, node, advice, format string, args ...any)) {
	now := m.cfg.Now()
	switch {
	case !n.Living && !n.Self && n.Contact.IsZero():
		say(LevelError, ProblemUnreachable, n.ID, "start it, or mend the network; if it is gone for good: thatch site remove "+n.ID,
			"node %s did not answer since this node started: %s", n.Name, n.Problem)
		return
	case !n.Living:
		say(LevelError, ProblemUnreachable, n.ID, "start it, or mend the network; if it is gone for good: thatch site remove "+n.ID,
			"node %s does not answer; last contact %s ago: %s", n.Name, now.Sub(n.Contact).Round(time.Second), n.Problem)
		return
	case n.State == "starting" && strings.Contains(h.Status.Reason, "upgraded"):
		say(LevelWarning, ProblemSchema, n.ID, "upgrade the nodes that it waits for", "node %s waits for %s", n.Name, h.Status.Reason)
	case n.State == "starting" && !n.Self:
		say(LevelWarning, ProblemStarting, n.ID, "wait, or see its log", "node %s is starting: it waits for %s", n.Name, h.Status.Reason)
	}
	if n.Lag > mostLag {
		say(LevelWarning, ProblemLag, n.ID, "see whether its disk or its network is slow, and its log", "node %s is %d batches behind", n.Name, n.Lag)
	}
	if d := n.Disk; d != nil && (d.Free < leastFree || d.Free < d.Total/leastShare) {
		say(LevelWarning, ProblemDisk, n.ID, "make room, or give it a larger disk: a node whose disk is full stops",
			"the disk of node %s is nearly full: %d MiB of %d MiB are free", n.Name, d.Free>>20, d.Total>>20)
	}
	if !n.Certificate.IsZero() && n.Certificate.Sub(now) < leastLeft {
		say(LevelWarning, ProblemCertificate, n.ID, "run housekeeping (thatch tasks run housekeeping) or start the node again, and see its log",
			"the certificate of node %s ends at %s and was not renewed", n.Name, n.Certificate.UTC().Format(time.RFC3339))
	}
	if off := time.Duration(n.ClockOff * float64(time.Second)); off.Abs() > mostClockOff {
		say(LevelWarning, ProblemClock, n.ID, "set the clocks by the network (NTP) on both machines",
			"the clock of node %s is off by %s against this node's", n.Name, off.Round(time.Second))
	}
}
