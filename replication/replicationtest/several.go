package replicationtest

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/sites"
	"thatch/replication/joining"
)

// Several is a site of several nodes that run.
type Several struct {
	*nodetest.Site
	mu     sync.Mutex
	halves map[*node.Node]*Linked
}

// StartSeveral starts a site of several nodes, of three where nothing else is said. It is stopped with the test.
func StartSeveral(t testing.TB, cfg Config) *Several {
	t.Helper()
	s := &Several{halves: map[*node.Node]*Linked{}}
	if cfg.Tuning.Heartbeat == 0 {
		cfg.Tuning.Heartbeat = 2 * time.Second
	}
	s.Site = nodetest.NewSiteWith(t, nodetest.SiteConfig{
		Nodes: cfg.Nodes, Tuning: cfg.Tuning,
		Config: node.Config{Site: cfg.Name, Languages: cfg.Languages, Now: cfg.Now, Version: "test"},
		Doors: func(n *node.Node) map[string]http.Handler {
			l := newLinked(n)
			l.Several, l.stop = s, []func(){s.stop}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.halves[n] = l
			return cfg.doors(l)
		},
	})
	return s
}

// stop stops all nodes.
func (s *Several) stop() {
	for i := range s.Size() {
		s.Stop(i)
	}
}

// At is a node by its number, with both halves of the wire.
func (s *Several) At(i int) *Linked {
	n := s.Node(i)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halves[n]
}

// Lead is the node that leads.
func (s *Several) Lead() *Linked { return s.At(s.Leads()) }

// LoseLeader kills the node that leads, waits until another one does, and starts it again.
func (s *Several) LoseLeader() {
	lost := s.Leads()
	s.Kill(lost)
	s.Leads()
	s.Start(lost)
}

// JoinAt makes the site the child of another one, at the address of one of that one's nodes, whether it leads or not.
func (s *Several) JoinAt(t testing.TB, parent *Linked) {
	t.Helper()
	token, err := parent.Sites.NewToken(t.Context(), sites.Token{Name: "for a site", Expires: parent.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := joining.Join(t.Context(), s.Node(s.Follower()), parent.URL(), token.Token, false); err != nil {
		t.Fatal(err)
	}
}
