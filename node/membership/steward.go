package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"thatch/node/members"
	"thatch/node/quorum"
)

// stewardEvery is how often the one that leads compares the quorum with the table of nodes, if nothing calls for it before.
const stewardEvery = time.Second

// steward has the quorum follow the table of nodes while this node leads: whoever is new comes in without a vote, gets it
// when it holds what there is, and whoever was removed goes. However it is cut, the next one who leads goes on.
func (m *Membership) steward(ctx context.Context, _ uint64) {
	tick := time.NewTicker(stewardEvery)
	defer tick.Stop()
	goals := map[string]uint64{} // of nodes that are to vote: the index that each has to hold
	for ctx.Err() == nil {
		changed := m.changed.next()
		if err := m.settle(ctx, goals); err != nil && ctx.Err() == nil && !errors.Is(err, quorum.ErrNotLeader) {
			m.cfg.Log.Warn("the quorum does not follow the table of nodes yet; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-tick.C:
		}
	}
}

// settle makes the next step for every node that needs one.
func (m *Membership) settle(ctx context.Context, goals map[string]uint64) error {
	q := m.quorum.Load()
	status := q.Status()
	in := func(list []quorum.Voter, id string) bool {
		return slices.ContainsFunc(list, func(v quorum.Voter) bool { return v.ID == id })
	}
	var errs []error
	for _, n := range *m.table.Load() {
		voter, silent := in(status.Voters, n.ID), in(status.NonVoters, n.ID)
		member := quorum.Voter{ID: n.ID, Address: n.ID}
		var err error
		switch {
		case !n.Removed.IsZero() && (voter || silent):
			err = m.expel(ctx, q, n)
		case !n.Removed.IsZero():
		case !voter && !silent:
			err = q.AddNonVoter(ctx, member)
		case n.Votes && silent:
			err = m.promote(ctx, q, n, goals)
		case !n.Votes && voter:
			err = m.demote(ctx, q, n)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("node %s (%s): %w", n.Name, n.ID, err))
		}
	}
	return errors.Join(errs...)
}

// promote gives a node its vote once it holds what had been agreed on when it was looked at before: it keeps up.
func (m *Membership) promote(ctx context.Context, q *quorum.Quorum, n members.Node, goals map[string]uint64) error {
	var holds uint64
	if h := m.heard.all()[n.ID]; h.Err == nil && h.Status.Quorum != nil {
		holds = h.Status.Quorum.Applied
	}
	goal, set := goals[n.ID]
	goals[n.ID] = m.cfg.DB.Applied()
	if !set || holds < goal {
		m.greetOne(ctx, n.ID)
		return nil
	}
	if err := q.AddVoter(ctx, quorum.Voter{ID: n.ID, Address: n.ID}); err != nil {
		return err
	}
	m.cfg.Log.Info("a node holds what the site holds, and votes", "node", n.ID, "name", n.Name)
	return nil
}

// expel takes a node out that was removed. If it is this one, another has to lead first.
func (m *Membership) expel(ctx context.Context, q *quorum.Quorum, n members.Node) error {
	if n.ID == m.cfg.Self.ID {
		return q.Transfer(ctx)
	}
	return q.Remove(ctx, n.ID)
}

// demote takes a node's vote. If it is this one's, another has to lead first.
func (m *Membership) demote(ctx context.Context, q *quorum.Quorum, n members.Node) error {
	if n.ID == m.cfg.Self.ID {
		return q.Transfer(ctx)
	}
	return q.Demote(ctx, n.ID)
}
