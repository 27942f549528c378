package replication_test

import (
	"fmt"
	"testing"

	"thatch/catalog/document"
	"thatch/node/quorum"
	"thatch/node/replicas/dataset"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// linkedTo is nil when a site's leader holds a link to the node that leads its parent.
func linkedTo(child, parent *replicationtest.Several) error {
	state := child.Lead().Link.State()
	if want := parent.Lead().URL(); !state.Connected || state.Address != want {
		return fmt.Errorf("linked: %v, at %s, want %s; %s", state.Connected, state.Address, want, state.Error)
	}
	return nil
}

// holdEverywhere is nil when every node of a site holds a number of bulletins.
func holdEverywhere(site *replicationtest.Several, bulletins int) error {
	for _, n := range site.Nodes() {
		if err := (&replicationtest.Linked{Node: n}).Holds(document.Bulletin, bulletins); err != nil {
			return err
		}
	}
	return nil
}

// Two sites of three nodes: joined through nodes that do not lead, they stay together whichever node of either dies, and in the
// middle of whatever: of a page, of what the parent asked for, of a snapshot.
func TestSitesOfThreeNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("six nodes in one process: not in short runs")
	}
	line := &lines{}
	parent := replicationtest.StartSeveral(t, replicationtest.Config{Name: "Top", Languages: []string{"de", "en"}, Before: line.Before})
	child := replicationtest.StartSeveral(t, replicationtest.Config{Name: "North", Languages: []string{"de"}, Tuning: quorum.Tuning{TrailingBytes: 1}})
	bulletins := 0
	put := func(by *replicationtest.Linked) {
		for range 3 {
			bulletins++
			by.Put(t, document.Bulletin, fmt.Sprintf("b-%d", bulletins), fmt.Sprintf(`{"note":"bulletin %d"}`, bulletins))
		}
	}
	arrive := func(what string) {
		t.Helper()
		child.Until(what, func() error { return holdEverywhere(child, bulletins) })
	}
	put(parent.At(0))
	child.JoinAt(t, parent.At(parent.Follower()))
	arrive("the first run")
	child.Until("the link", func() error { return linkedTo(child, parent) })

	child.Until("the first runs", func() error { return ran(t, child.Lead(), "policies", func(wire.RunResult) error { return nil }) })

	page := line.hold(wire.PathPage)
	first := parent.Leads()
	put(parent.At(parent.Follower()))
	soon(t, "nobody asks for the page", page.came)
	parent.Kill(first)
	child.Until("the link moves", func() error { return linkedTo(child, parent) })
	arrive("what was in a page when the parent's leader died")
	parent.Start(first)

	whole := line.hold(wire.PathComplete)
	asks := parent.Lead()
	order := ordered(t, asks, below(t, asks, child.Lead()), wire.RunOrder{Type: dataset.Data, Complete: true})
	soon(t, "the child does not do what it was asked for", whole.came)
	second := child.Leads()
	child.Kill(second)
	close(whole.release)
	put(parent.At(first))
	child.Until("another node links", func() error { return linkedTo(child, parent) })
	arrive("what was made after the child's leader died")
	if now := waited(t, asks, order); now.Error != "" || len(now.Runs) != 1 || now.Runs[0].State != "done" {
		t.Errorf("what the former leader was asked for: %+v", now)
	}

	third := loseInSnapshot(t, child, second, func() {
		put(parent.At(first))
		arrive("what comes while a node is away")
	})
	put(parent.At(first))
	arrive("what was made after a leader died that sent a snapshot")
	child.Start(third)
	arrive("what a node missed that was away")

	asked := child.At(child.Follower())
	if _, err := asked.Link.Start(t.Context(), replication.Params{Type: "data", Complete: true}); err != nil {
		t.Errorf("a run asked for at a node that does not lead: %v", err)
	}
	equal(t, child.Lead())
	for _, site := range []*replicationtest.Several{parent, child} {
		site.Equal()
	}
}

// Tests of sites of one node, run again. With the variable set by hand, so are all others that start and stop no site themselves.
func TestAgainWithSitesOfThreeNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("nine nodes in one process: not in short runs")
	}
	t.Setenv(replicationtest.NodesVariable, "3")
	t.Run("languages", TestLanguagesTravelUp)
	t.Run("selections", TestSelections)
}

// loseInSnapshot starts a node again that is away, has the leader send it a snapshot of what was done meanwhile, and kills the leader
// in the middle of that. It returns which node that was.
func loseInSnapshot(t *testing.T, site *replicationtest.Several, away int, meanwhile func()) (lost int) {
	t.Helper()
	meanwhile()
	lost = site.Leads()
	if err := site.Node(lost).Votes().Snapshot(); err != nil {
		t.Fatal(err)
	}
	came, release := site.Wire.CutSnapshot()
	started, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-came:
		case <-started:
			t.Error("no snapshot was sent")
			return
		}
		site.Cut(lost, true) // or it would send another one
		close(release)
		site.Kill(lost)
		site.Cut(lost, false)
	}()
	site.Start(away)
	close(started)
	<-over
	return lost
}
