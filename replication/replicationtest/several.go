package replicationtest

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/quorum"
	"thatch/node/sites"
	"thatch/replication"
	"thatch/replication/joining"
	"thatch/replication/round"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// Several is a site of several nodes that run.
type Several struct {
	*nodetest.Site
	mu     sync.Mutex
	halves map[*node.Node]*Linked
}

// StartSeveral starts a site of three nodes. It is stopped with the test.
func StartSeveral(t testing.TB, name string, languages ...string) *Several {
	t.Helper()
	s := &Several{halves: map[*node.Node]*Linked{}}
	s.Site = nodetest.NewSiteWith(t, nodetest.SiteConfig{
		Tuning: quorum.Tuning{Heartbeat: 2 * time.Second}, Config: node.Config{Site: name, Languages: languages, Version: "test"},
		Doors: func(n *node.Node) map[string]http.Handler {
			l := &Linked{Node: n, Parent: server.New(n), Link: replication.New(n)}
			l.Rounds = round.New(n, l.Link, l.Parent)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.halves[n] = l
			return map[string]http.Handler{wire.Prefix: l.Parent}
		},
	})
	return s
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
