package membership_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"thatch/catalog/token"
	"thatch/node"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/nodetest"
	"thatch/node/store"
)

// cluster is a site of nodes that joined, each at a port of its own.
type cluster struct {
	t     *testing.T
	nodes []*member
}

// member is one of them, also while it does not run.
type member struct {
	dir, name, listen string
	node              *node.Node // nil while it does not run
	schema            *store.Schema
	now               func() time.Time
	stop              func() error
}

// newCluster starts a site of one node, for what is left out of short runs.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts several nodes, over real connections")
	}
	return alone(t)
}

// alone starts a site of one node.
func alone(t *testing.T) *cluster {
	t.Helper()
	c, dir := &cluster{t: t}, t.TempDir() // the folder first: what is cleaned up goes in reverse
	t.Cleanup(func() {
		for i := len(c.nodes) - 1; i >= 0; i-- {
			_ = c.stop(i)
		}
	})
	c.nodes = append(c.nodes, &member{dir: dir, name: "n1", listen: "127.0.0.1:0"})
	c.start(0)
	return c
}

func (c *cluster) config(i int) node.Config {
	m := c.nodes[i]
	cfg := node.Config{Dir: m.dir, Name: m.name, Site: "Test", Languages: []string{"en"}, Listen: m.listen, Passwords: nodetest.Cheap, Version: "test", Schema: m.schema, Now: m.now}
	if os.Getenv("THATCH_TEST_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", m.name)
	}
	return cfg
}

// open starts a node, which may be turned away.
func (c *cluster) open(ctx context.Context, i int) error {
	n, err := node.New(ctx, c.config(i))
	if err != nil {
		return err
	}
	running, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	select {
	case <-n.Listening():
	case err := <-ended:
		end()
		return errors.Join(err, n.Close())
	}
	c.nodes[i].node = n
	c.nodes[i].stop = func() error {
		end()
		return errors.Join(<-ended, n.Close())
	}
	return nil
}

func (c *cluster) start(i int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), nodetest.Patience)
	defer cancel()
	if err := c.open(ctx, i); err != nil {
		c.t.Fatalf("node %s: %v", c.nodes[i].name, err)
	}
}

// listenAgain has every node come back at the address that it has.
func (c *cluster) listenAgain() {
	for _, m := range c.nodes {
		m.listen = m.node.Address()
	}
}

// stop ends a node, and is what it ended with.
func (c *cluster) stop(i int) error {
	stop := c.nodes[i].stop
	c.nodes[i].node, c.nodes[i].stop = nil, nil
	if stop == nil {
		return nil
	}
	return stop()
}

// invite is a token for one node.
func (c *cluster) invite() token.Token {
	c.t.Helper()
	made, err := c.nodes[0].node.Members.NewToken(c.t.Context(), members.Token{Name: "next", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := members.ParseToken(made.Token)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// add makes a folder for one more node, and is its number and what it would ask.
func (c *cluster) add(votes bool) (i int, asked membership.Asked) {
	c.t.Helper()
	i = len(c.nodes)
	m := &member{dir: c.t.TempDir(), name: fmt.Sprint("n", i+1), listen: "127.0.0.1:0"}
	c.nodes = append(c.nodes, m)
	return i, membership.Asked{
		Dir: m.dir, At: c.nodes[0].node.Address(), Token: c.invite(), Name: m.name, Names: []string{"127.0.0.1"}, Votes: votes, Version: "test", Now: time.Now,
	}
}

// grow has one more node join, and starts it.
func (c *cluster) grow(votes bool) int {
	c.t.Helper()
	i, asked := c.add(votes)
	if _, err := membership.Join(c.t.Context(), asked); err != nil {
		c.t.Fatal(err)
	}
	c.start(i)
	return i
}

// until waits for what the site comes to by itself.
func (c *cluster) until(what string, holds func() error) {
	c.t.Helper()
	end := time.Now().Add(nodetest.Patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s: %v", what, err)
		}
		again := time.NewTimer(10 * time.Millisecond)
		<-again.C
	}
}

// voters waits until so many nodes vote and so many do not, as every node that runs sees it.
func (c *cluster) voters(votes, silent int) {
	c.t.Helper()
	c.until(fmt.Sprint(votes, " nodes vote, ", silent, " do not"), func() error {
		for _, m := range c.nodes {
			if m.node == nil {
				continue
			}
			s, _ := m.node.Quorum()
			if len(s.Voters) != votes || len(s.NonVoters) != silent {
				return fmt.Errorf("%s sees %s, and %d without a vote", m.name, s, len(s.NonVoters))
			}
		}
		return nil
	})
}

func (c *cluster) leader() int {
	c.t.Helper()
	at := -1
	c.until("a node leads", func() error {
		for i, m := range c.nodes {
			if m.node != nil {
				if leading, _, _ := m.node.Votes().Leading(); leading {
					at = i
					return nil
				}
			}
		}
		return errors.New("none does")
	})
	return at
}

// write has a batch written through a node.
func (c *cluster) write(i int, value string) error {
	ctx := store.WithCaller(c.t.Context(), &store.Caller{Actor: "task test"})
	applied, err := c.nodes[i].node.Writer().Write(ctx, store.Batch{Reason: "test", Statements: []store.Statement{{
		SQL:  `INSERT INTO setting (name, value, version) VALUES ('test', ?, 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		Args: []any{value}, Want: 1,
	}}})
	return errors.Join(err, applied.Err())
}

func TestOneNodeBecomesThree(t *testing.T) {
	c := alone(t)
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	for i := range c.nodes {
		if err := c.write(i, fmt.Sprint(`"`, i, `"`)); err != nil {
			t.Errorf("a write at node %d: %v", i, err)
		}
	}
}

// A node begins to answer before the table says where it is reached: who joins in that moment finds it all the same.
func TestAJoinDoesNotWaitForTheTable(t *testing.T) {
	c := alone(t)
	c.until("the table names the first node", func() error {
		all, err := c.nodes[0].node.Members.Nodes(t.Context())
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("it names %d", len(all))
		}
		return err
	})
	ctx := store.WithCaller(t.Context(), &store.Caller{Actor: "task test"})
	applied, err := c.nodes[0].node.Writer().Write(ctx, store.Batch{
		Reason: "test", Topics: []string{members.Topic}, Statements: []store.Statement{{SQL: `UPDATE node SET addresses = '[]'`, Want: 1}},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
	c.grow(true)
	c.voters(2, 0)
}
