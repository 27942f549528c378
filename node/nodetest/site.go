package nodetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"thatch/node"
	"thatch/node/identity/sealed"
	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// Patience is how long a test waits for what a site comes to by itself: long after a busy machine would have.
const Patience = 2 * time.Minute

// SiteConfig says how the nodes of a site start.
type SiteConfig struct {
	Nodes     int           // 0: three
	Heartbeat time.Duration // see quorum.Tuning; 0: one second
	Tuning    quorum.Tuning
	Config    node.Config                                                  // of every node; its folder is ignored
	Doors     func(n *node.Node) map[string]http.Handler                   // nil: none
	Beside    func(ctx context.Context, n *node.Node, t testing.TB) func() // begins what runs beside each node, and is given back how to wait for its end; nil: nothing
}

// Site is a site of some whole nodes in one process, whose batches go over a transport that can be parted.
type Site struct {
	t    testing.TB
	cfg  SiteConfig
	Wire *Wire

	mu      sync.Mutex
	members []*member
}

// member is one node, also while it does not run.
type member struct {
	id, dir string
	listen  string     // once it ran: it is reached there again
	node    *node.Node // nil while it does not run
	end     func() error
}

// NewSite starts a site of as many nodes; the first leads at first. It is stopped with the test.
func NewSite(t testing.TB, nodes int) *Site {
	t.Helper()
	return NewSiteWith(t, SiteConfig{Nodes: nodes})
}

// NewSiteWith does so as configured.
func NewSiteWith(t testing.TB, cfg SiteConfig) *Site {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Config.Site == "" {
		cfg.Config.Site = "Test"
	}
	if cfg.Config.Languages == nil {
		cfg.Config.Languages = []string{"en", "de"}
	}
	if cfg.Tuning.Heartbeat == 0 {
		cfg.Tuning.Heartbeat = max(cfg.Heartbeat, time.Second)
	}
	s := &Site{t: t, cfg: cfg, Wire: newWire()}
	dir := t.TempDir()
	for i := range cfg.Nodes {
		m := &member{id: uuid.NewString(), dir: filepath.Join(dir, fmt.Sprint("n", i+1))}
		if err := errors.Join(os.Mkdir(m.dir, 0o700), os.WriteFile(filepath.Join(m.dir, "node.id"), []byte(m.id), 0o600)); err != nil {
			t.Fatal(err)
		}
		s.members = append(s.members, m)
	}
	t.Cleanup(func() {
		for i := len(s.members) - 1; i >= 0; i-- {
			s.Kill(i)
		}
	})
	for i := range s.members {
		s.join(i)
	}
	return s
}

// join starts a node for the first time: the first makes the site, the others come to it.
func (s *Site) join(i int) {
	s.t.Helper()
	if i == 0 {
		s.Start(0)
		return
	}
	s.admit(i)
	added := make(chan error, 1)
	go func() {
		added <- s.Leader().Votes().AddVoter(context.Background(), quorum.Voter{ID: s.members[i].id, Address: s.members[i].id})
	}()
	s.Start(i)
	if err := <-added; err != nil {
		s.t.Fatal(err)
	}
}

// admit seals the site's keys to a node that comes.
func (s *Site) admit(i int) {
	s.t.Helper()
	key, err := sealed.NodeKey(s.members[i].dir)
	if err != nil {
		s.t.Fatal(err)
	}
	leader := s.Leader()
	statement, err := leader.Identity.SealTo(s.members[i].id, key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	applied, err := leader.Writer().Write(context.Background(), store.Batch{Actor: "task test", Reason: "admit a node", Statements: []store.Statement{statement}})
	if err = errors.Join(err, applied.Err()); err != nil {
		s.t.Fatal(err)
	}
}

// Start starts a node that does not run, where it stood.
func (s *Site) Start(i int) {
	s.t.Helper()
	m := s.members[i]
	cfg := s.cfg.Config
	cfg.Dir, cfg.Listen = m.dir, m.listen
	if cfg.Log == nil && os.Getenv("THATCH_TEST_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", fmt.Sprint(cfg.Site, " ", i+1))
	}
	cfg.Quorum.Tuning, cfg.Quorum.Join = s.cfg.Tuning, i > 0
	cfg.Quorum.Transport, cfg.Quorum.Forward = s.Wire.open(m.id), forwarder{s, m.id}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	n, err := open(ctx, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.cfg.Doors != nil {
		for prefix, door := range s.cfg.Doors(n) {
			n.Mount(prefix, door)
		}
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	select {
	case <-n.Listening():
	case err := <-ended:
		s.t.Fatalf("node %d did not start: %v", i+1, errors.Join(err, n.Close()))
	}
	beside := func() {}
	if s.cfg.Beside != nil {
		beside = s.cfg.Beside(running, n, s.t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.node, m.listen = n, n.Address()
	m.end = func() error {
		stop()
		beside()
		return errors.Join(<-ended, n.Close())
	}
}

// Stop stops a node in good order.
func (s *Site) Stop(i int) {
	s.t.Helper()
	if end := s.take(i); end != nil {
		if err := end(); err != nil {
			s.t.Errorf("node %d ended with: %v", i+1, err)
		}
		s.Wire.close(s.members[i].id)
	}
}

// Kill ends a node so that nothing it does at its end is heard by the others: as kill -9 does, as far as that goes within
// a process.
func (s *Site) Kill(i int) {
	s.t.Helper()
	s.mu.Lock()
	n := s.members[i].node
	s.mu.Unlock()
	end := s.take(i)
	if end == nil {
		return
	}
	s.Wire.close(s.members[i].id)
	_ = n.Votes().Close() // what it writes from now on is nobody's
	_ = end()
}

func (s *Site) take(i int) (end func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[i]
	end, m.node, m.end = m.end, nil, nil
	return end
}

// Node is a node by its number from 0, nil while it does not run.
func (s *Site) Node(i int) *node.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members[i].node
}

// Size is how many nodes there are, those that do not run among them.
func (s *Site) Size() int { return len(s.members) }

// ID is the id of a node, also while it does not run.
func (s *Site) ID(i int) string { return s.members[i].id }

// Dir is the folder of a node.
func (s *Site) Dir(i int) string { return s.members[i].dir }

// Nodes are those that run.
func (s *Site) Nodes() []*node.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*node.Node
	for _, m := range s.members {
		if m.node != nil {
			list = append(list, m.node)
		}
	}
	return list
}

// Leads waits until a node leads that is not parted, and is its number.
func (s *Site) Leads() int {
	s.t.Helper()
	leads := -1
	s.Until("a node leads", func() error {
		for i, m := range s.members {
			if n := s.Node(i); n != nil && !s.Wire.isParted(m.id) {
				if leading, _, _ := n.Votes().Leading(); leading {
					leads = i
					return nil
				}
			}
		}
		return errors.New("nobody does")
	})
	return leads
}

// Leader is the node that leads.
func (s *Site) Leader() *node.Node { s.t.Helper(); return s.Node(s.Leads()) }

// Follower is the number of a node that runs, is not parted, and does not lead.
func (s *Site) Follower() int {
	s.t.Helper()
	leads := s.Leads()
	for i, m := range s.members {
		if i != leads && s.Node(i) != nil && !s.Wire.isParted(m.id) {
			return i
		}
	}
	s.t.Fatal("no other node runs")
	return -1
}

// Cut parts a node from all others, or joins it to them again.
func (s *Site) Cut(i int, parted bool) { s.Wire.cut(s.members[i].id, parted) }

// Until waits until a condition holds.
func (s *Site) Until(what string, holds func() error) {
	s.t.Helper()
	end := time.Now().Add(Patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: %v", what, err)
		}
		again := time.NewTimer(10 * time.Millisecond)
		<-again.C
	}
}

// Equal fails the test unless all nodes that run come to hold the same in every table. Nothing else may write meanwhile.
func (s *Site) Equal() {
	s.t.Helper()
	s.Until("the nodes hold the same", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		leader := s.Leader()
		if err := leader.Votes().Barrier(ctx); err != nil {
			return err
		}
		at := leader.Index()
		want, err := tables(ctx, leader, at)
		if err != nil {
			return err
		}
		var differ []error
		for _, n := range s.Nodes() {
			got, err := tables(ctx, n, at)
			if err != nil {
				return err
			}
			for i := range want {
				if len(got) != len(want) || got[i] != want[i] {
					differ = append(differ, fmt.Errorf("table %s: %d rows at one node, %d at the leader", want[i].Name, got[i].Rows, want[i].Rows))
				}
			}
			if n.Index() != at {
				return fmt.Errorf("something writes: index %d, then %d", at, n.Index())
			}
		}
		if err := errors.Join(differ...); err != nil {
			s.t.Fatal(err) // at one index, they never may
		}
		return nil
	})
}

func tables(ctx context.Context, n *node.Node, at uint64) (list []sqlite.Table, err error) {
	ctx = store.AtLeast(ctx, at)
	err = n.Reader().View(ctx, func(tx *sql.Tx) (err error) {
		list, err = sqlite.Tables(ctx, tx)
		return err
	})
	return list, err
}
