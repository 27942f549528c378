package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"thatch/node/quorum"
	"thatch/node/store"
)

// Node is one node of a Site: what it is made of, while it runs.
type Node struct {
	ID     string
	Dir    string
	DB     *store.DB
	Quorum *quorum.Quorum
}

// Site is a site of some voters in one process, joined by an in-process transport: a Writer through any of its nodes,
// and a Reader of the first that runs.
type Site struct {
	t      testing.TB
	tuning quorum.Tuning
	turn   atomic.Int64
	mu     sync.Mutex
	nodes  []*Node
	wires  map[string]*raft.InmemTransport
	parted map[string]bool // from all others
	lost   atomic.Int64    // answers of the leader still to be lost, see LoseAnswers
}

// One returns a site of one node.
func One(t testing.TB) *Site { return NewSite(t, 1, quorum.Tuning{}) }

// Three returns a site of three nodes, ready to be written to. It is closed with the test.
func Three(t testing.TB) *Site { return NewSite(t, 3, quorum.Tuning{}) }

// Steady returns a site of three nodes in which the first leads, and goes on to do so however little of the machine it gets,
// until a test has it otherwise.
func Steady(t testing.TB, tuning quorum.Tuning) *Site {
	t.Helper()
	tuning.Heartbeat = 5 * time.Second
	s := NewSite(t, 1, tuning) // nobody else can lead: there is no election to wait for
	s.Add()
	s.Add()
	return s
}

// NewSite returns a site of as many nodes, with the log tuned as wanted.
func NewSite(t testing.TB, nodes int, tuning quorum.Tuning) *Site {
	t.Helper()
	if tuning.Heartbeat == 0 {
		tuning.Heartbeat = 400 * time.Millisecond
	}
	s := &Site{t: t, tuning: tuning, wires: map[string]*raft.InmemTransport{}, parted: map[string]bool{}}
	var voters []quorum.Voter
	dir := t.TempDir()
	for i := range nodes {
		id := fmt.Sprintf("n%d", i+1)
		s.nodes = append(s.nodes, &Node{ID: id, Dir: filepath.Join(dir, id)})
		voters = append(voters, quorum.Voter{ID: id, Address: id})
	}
	for _, n := range s.nodes {
		s.start(n, voters, false)
	}
	t.Cleanup(func() {
		for i := range s.nodes {
			s.Stop(i)
		}
	})
	s.Ready()
	return s
}

func (s *Site) start(n *Node, voters []quorum.Voter, join bool) {
	s.t.Helper()
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	db, err := store.Open(context.Background(), store.Config{Path: filepath.Join(n.Dir, "site.db")})
	if err != nil {
		s.t.Fatal(err)
	}
	config := quorum.Config{
		ID: n.ID, Dir: filepath.Join(n.Dir, "quorum"), DB: db, Transport: s.wire(n.ID), Voters: voters, Join: join,
		Tuning: s.tuning, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Wait: 5 * time.Second,
	}
	if len(s.nodes) > 1 {
		config.Forward = forwarder{s, n.ID}
	}
	q, err := quorum.Open(context.Background(), config)
	if err != nil {
		db.Close()
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.DB, n.Quorum = db, q
}

// wire makes a transport for a node, joined to those of all others.
func (s *Site) wire(id string) raft.Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	address, wire := raft.NewInmemTransport(raft.ServerAddress(id))
	wire.Connect(address, wire)
	for other, its := range s.wires {
		if other != id {
			its.Connect(address, wire)
			wire.Connect(its.LocalAddr(), its)
		}
	}
	s.wires[id] = wire
	return wire
}

// Wire is the transport of a node that runs.
func (s *Site) Wire(i int) *raft.InmemTransport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wires[s.nodes[i].ID]
}

// forwarder carries writes of one node to the others.
type forwarder struct {
	site *Site
	from string
}

// Forward implements quorum.Forwarder.
func (f forwarder) Forward(ctx context.Context, leader quorum.Voter, encoded []byte) (store.Applied, error) {
	for _, n := range f.site.Running() {
		if n.ID == leader.ID && !f.site.isParted(f.from) && !f.site.isParted(leader.ID) {
			applied, err := n.Quorum.Accept(ctx, encoded)
			if f.site.lost.Add(-1) >= 0 {
				return store.Applied{}, fmt.Errorf("the answer of node %s was lost", n.ID)
			}
			return applied, err
		}
	}
	return store.Applied{}, fmt.Errorf("%w: node %s cannot be reached", quorum.ErrNotLeader, leader.ID)
}

// LoseAnswers has the next answers of the leader to other nodes lost on their way.
func (s *Site) LoseAnswers(n int) { s.lost.Store(int64(n)) }

// Running returns the nodes that run.
func (s *Site) Running() []*Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Node
	for _, n := range s.nodes {
		if n.Quorum != nil {
			copied := *n
			list = append(list, &copied)
		}
	}
	return list
}

// Node returns a node, from 0 on.
func (s *Site) Node(i int) *Node { return s.nodes[i] }

// Ready waits until every node that runs serves.
func (s *Site) Ready() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, n := range s.Running() {
		if err := n.Quorum.Ready(ctx); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Leader returns the node that leads, waiting for one.
func (s *Site) Leader() *Node {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		s.Ready()
		for _, n := range s.Running() {
			if leading, _, _ := n.Quorum.Leading(); leading {
				return n
			}
		}
	}
	s.t.Fatal("no node leads")
	return nil
}

// Write implements store.Writer through the nodes that run and are not parted, in turn. A batch with a request id is tried at the next
// node when one cannot say what became of it, as a client of the site would do.
func (s *Site) Write(ctx context.Context, b store.Batch) (applied store.Applied, err error) {
	running := slices.DeleteFunc(s.Running(), func(n *Node) bool { return s.isParted(n.ID) })
	turn := int(s.turn.Add(1))
	for try := range running {
		applied, err = running[(turn+try)%len(running)].Quorum.Write(ctx, b)
		if b.Request == "" || !errors.Is(err, quorum.ErrUnavailable) && !errors.Is(err, quorum.ErrUncertain) {
			return applied, err
		}
	}
	return applied, err
}

// View implements store.Reader by the first node that runs.
func (s *Site) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	return s.Running()[0].DB.View(ctx, read)
}

// Stop stops a node, if it runs.
func (s *Site) Stop(i int) {
	s.t.Helper()
	s.mu.Lock()
	n := s.nodes[i]
	q, db := n.Quorum, n.DB
	n.Quorum, n.DB = nil, nil
	if wire, ok := s.wires[n.ID]; ok {
		for _, other := range s.wires {
			other.Disconnect(wire.LocalAddr())
		}
		delete(s.wires, n.ID)
	}
	s.mu.Unlock()
	if q == nil {
		return
	}
	if err := errors.Join(q.Close(), db.Close()); err != nil {
		s.t.Error(err)
	}
}

// Start starts a node that was stopped, where it stood.
func (s *Site) Start(i int) {
	s.t.Helper()
	s.start(s.nodes[i], nil, true)
	s.Ready()
}

// LoseDatabase removes the database of a node that was stopped; its log and snapshots stay.
func (s *Site) LoseDatabase(i int) {
	s.t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(s.nodes[i].Dir, "site.db"+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
}

// LoseEverything removes all that a node that was stopped had.
func (s *Site) LoseEverything(i int) {
	s.t.Helper()
	if err := os.RemoveAll(s.nodes[i].Dir); err != nil {
		s.t.Fatal(err)
	}
}

// Snapshot makes a snapshot on every node that runs, so that its log is shortened.
func (s *Site) Snapshot() {
	s.t.Helper()
	for _, n := range s.Running() {
		if err := n.Quorum.Snapshot(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Equal fails the test unless all nodes that run come to hold the same in every table.
func (s *Site) Equal() {
	s.t.Helper()
	leader := s.Leader()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := leader.Quorum.Barrier(ctx); err != nil {
		s.t.Fatal(err)
	}
	ctx = store.AtLeast(ctx, leader.DB.Applied())
	want, err := leader.DB.Tables(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range s.Running() {
		got, err := n.DB.Tables(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range want {
			if len(got) != len(want) || got[i] != want[i] {
				s.t.Errorf("table %s: node %s has %d rows, %x, and leader %s %d rows, %x",
					want[i].Name, n.ID, got[i].Rows, got[i].Digest[:4], leader.ID, want[i].Rows, want[i].Digest[:4])
			}
		}
	}
}

// Add makes one node more, which joins the site as a voter, and returns its number.
func (s *Site) Add() int {
	s.t.Helper()
	leader := s.Leader()
	s.mu.Lock()
	n := &Node{ID: fmt.Sprintf("n%d", len(s.nodes)+1)}
	n.Dir = filepath.Join(filepath.Dir(s.nodes[0].Dir), n.ID)
	s.nodes = append(s.nodes, n)
	number := len(s.nodes) - 1
	s.mu.Unlock()
	s.start(n, nil, true)
	if err := leader.Quorum.AddVoter(context.Background(), quorum.Voter{ID: n.ID, Address: n.ID}); err != nil {
		s.t.Fatal(err)
	}
	s.Ready()
	return number
}

func (s *Site) isParted(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parted[id]
}

// Cut parts a node from all others, or joins it to them again.
func (s *Site) Cut(i int, parted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.wires[s.nodes[i].ID]
	for id, wire := range s.wires {
		switch {
		case id == s.nodes[i].ID:
		case parted:
			own.Disconnect(wire.LocalAddr())
			wire.Disconnect(own.LocalAddr())
		default:
			own.Connect(wire.LocalAddr(), wire)
			wire.Connect(own.LocalAddr(), own)
		}
	}
	s.parted[s.nodes[i].ID] = parted
}
