package membership_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"thatch/node/backup"
	"thatch/node/identity/sealed"
	"thatch/node/recovery"
)

// TestKeysComeWithAVote has a node without a vote be given one: it opens the site's keys without another start, for it may
// come to lead.
func TestKeysComeWithAVote(t *testing.T) {
	c := newCluster(t)
	silent := c.grow(false)
	c.voters(1, 1)
	if c.nodes[silent].node.Identity.HoldsKeys() {
		t.Fatal("a node without a vote holds the site's keys")
	}
	if _, err := c.nodes[0].node.Sisters().SetVotes(t.Context(), c.nodes[silent].name, true); err != nil {
		t.Fatal(err)
	}
	c.until("it holds the site's keys", func() error {
		if !c.nodes[silent].node.Identity.HoldsKeys() {
			return errors.New("it does not")
		}
		return nil
	})
}

// backUp makes a backup at a node, and returns its path and the key that opens it.
func (c *cluster) backUp(i int) (path string, key *sealed.Key) {
	c.t.Helper()
	_, key, err := sealed.NewRecovery()
	if err != nil {
		c.t.Fatal(err)
	}
	n := c.nodes[i].node
	if _, err := n.Identity.SetRecoveryKey(c.t.Context(), key.Public()); err != nil {
		c.t.Fatal(err)
	}
	id, err := n.Tasks.Run(c.t.Context(), backup.Task, backup.Params{Folder: c.t.TempDir(), Here: true})
	if err != nil {
		c.t.Fatal(err)
	}
	run, err := n.Tasks.Wait(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	var made backup.Backup
	if err := json.Unmarshal(run.Result, &made); err != nil {
		c.t.Fatalf("%s %s: %v", run.State, run.Error, err)
	}
	return filepath.Join(made.Folder, made.Name), key
}

// TestOthersJoinASiteThatCameBack restores a site of two nodes, and later makes a site of one of a node that is left: each
// time another joins.
func TestOthersJoinASiteThatCameBack(t *testing.T) {
	c := newCluster(t)
	former := c.grow(true)
	c.voters(2, 0)
	path, key := c.backUp(former)
	for i := range c.nodes {
		if err := c.stop(i); err != nil {
			t.Fatal(err)
		}
	}
	place := filepath.Join(t.TempDir(), "new")
	if _, err := recovery.Restore(t.Context(), path, recovery.Config{Dir: place, Key: key}); err != nil {
		t.Fatal(err)
	}
	c.nodes = []*member{{dir: place, name: "n1", listen: c.nodes[0].listen}}
	c.start(0)
	joined := c.grow(true)
	c.voters(2, 0)
	if err := c.write(joined, `"after"`); err != nil {
		t.Error(err)
	}

	for i := range c.nodes {
		if err := c.stop(i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := recovery.Recover(t.Context(), recovery.Config{Dir: c.nodes[joined].dir}); err != nil {
		t.Fatal(err)
	}
	c.nodes = []*member{c.nodes[joined]}
	c.start(0)
	third := c.grow(true)
	c.voters(2, 0)
	if err := c.write(third, `"again"`); err != nil {
		t.Error(err)
	}
	nodes, err := c.nodes[0].node.Members.Nodes(t.Context())
	if err != nil || len(nodes) != 2 {
		t.Errorf("%+v, %v", nodes, err)
	}
}
