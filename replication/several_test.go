package replication_test

import (
	"fmt"
	"testing"

	"thatch/catalog/document"
	"thatch/replication"
	"thatch/replication/replicationtest"
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

// Two sites of three nodes: joined through nodes that do not lead, they stay together whichever node of either dies.
func TestSitesOfThreeNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("six nodes in one process: not in short runs")
	}
	parent, child := replicationtest.StartSeveral(t, "Top", "de", "en"), replicationtest.StartSeveral(t, "North", "de")
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

	first := parent.Leads()
	parent.Kill(first)
	child.Until("the link moves", func() error { return linkedTo(child, parent) })
	put(parent.At(parent.Follower()))
	arrive("what was made after the parent's leader died")
	parent.Start(first)

	second := child.Leads()
	child.Kill(second)
	put(parent.At(first))
	child.Until("another node links", func() error { return linkedTo(child, parent) })
	arrive("what was made after the child's leader died")
	child.Start(second)
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
