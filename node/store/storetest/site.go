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
	"sync"
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
	mu     sync.Mutex
	nodes  []*Node
	wires  map[string]*raft.InmemTransport
}

// One returns a site of one node.
func One(t testing.TB) *Site { return NewSite(t, 1, quorum.Tuning{}) }

// Three returns a site of three nodes, ready to be written to. It is closed with the test.
func Three(t testing.TB) *Site { return NewSite(t, 3, quorum.Tuning{}) }

// NewSite returns a site of as many nodes, with the log tuned as wanted.
func NewSite(t testing.TB, nodes int, tuning quorum.Tuning) *Site {
	t.Helper()
	if tuning.Heartbeat == 0 {
		tuning.Heartbeat = 200 * time.Millisecond
	}
	if tuning.SegmentBytes == 0 {
		tuning.SegmentBytes = 1 << 20
	}
	s := &Site{t: t, tuning: tuning, wires: map[string]*raft.InmemTransport{}}
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
		Tuning: s.tuning, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Wait: 20 * time.Second,
	}
	if len(s.nodes) > 1 {
		config.Forward = s
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

// Forward implements quorum.Forwarder.
func (s *Site) Forward(ctx context.Context, leader quorum.Voter, encoded []byte) (store.Applied, error) {
	for _, n := range s.Running() {
		if n.ID == leader.ID {
			return n.Quorum.Accept(ctx, encoded)
		}
	}
	return store.Applied{}, fmt.Errorf("%w: node %s does not run", quorum.ErrNotLeader, leader.ID)
}

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

// Write implements store.Writer through the nodes that run, in turn of their answers.
func (s *Site) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	running := s.Running()
	return running[len(b.Statements)%len(running)].Quorum.Write(ctx, b)
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
