package membership

import (
	"context"
	"fmt"
	"slices"
	"time"

	"thatch/node/bulletins/holdings"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/quorum"
	"thatch/node/store"
)

// settleWait is how long a verb waits for the quorum to follow.
const settleWait = 15 * time.Second

// room gives the rooms, once they are open.
func (m *Membership) room() (*rooms, error) {
	rooms := m.rooms.Load()
	if rooms == nil {
		return nil, errStarting
	}
	return rooms, nil
}

// Remove shuts a node out for ever, by its id, the beginning of its id, or its name; and waits until the quorum does without it.
func (m *Membership) Remove(ctx context.Context, what, reason string) (members.Node, error) {
	rooms, err := m.room()
	if err != nil {
		return members.Node{}, err
	}
	n, err := rooms.members.Find(ctx, what)
	if err != nil {
		return n, err
	}
	if err := rooms.members.Remove(ctx, n.ID, reason, identity.DropSealed(n.ID), holdings.DropNode(n.ID)); err != nil {
		return n, err
	}
	if n.ID == m.cfg.Self.ID { // it stops, and others go on
		return n, nil
	}
	return n, m.until(ctx, func(s quorum.Status) bool { return !isIn(s.Voters, n.ID) && !isIn(s.NonVoters, n.ID) })
}

// SetVotes says whether a node is to vote, and waits until it is so. One that gets a vote gets the site's keys with it.
func (m *Membership) SetVotes(ctx context.Context, what string, votes bool) (members.Node, error) {
	rooms, err := m.room()
	if err != nil {
		return members.Node{}, err
	}
	n, err := rooms.members.Find(ctx, what)
	if err != nil || n.Votes == votes {
		return n, err
	}
	keys := identity.DropSealed(n.ID)
	if votes {
		if keys, err = rooms.identity.SealTo(n.ID, n.SealKey); err != nil {
			return n, err
		}
	}
	if err := rooms.members.SetVotes(ctx, n.ID, votes, keys); err != nil {
		return n, err
	}
	n.Votes = votes
	return n, m.until(ctx, func(s quorum.Status) bool { return isIn(s.Voters, n.ID) == votes })
}

// HandOver has the lead handed to a node, or to whichever is best where none is named, and waits until another leads.
func (m *Membership) HandOver(ctx context.Context, what string) (leader string, err error) {
	rooms, err := m.room()
	if err != nil {
		return "", err
	}
	to, before := "", m.quorum.Load().Status().Leader
	if what != "" {
		n, err := rooms.members.Find(ctx, what)
		if err != nil {
			return "", err
		}
		if to = n.ID; !isIn(m.quorum.Load().Status().Voters, to) {
			return "", store.Conflicting("node %s does not vote, so it cannot lead: thatch site votes %s on", n.Name, n.Name)
		}
	}
	if to == before && to != "" {
		return to, nil
	}
	if len(m.quorum.Load().Status().Voters) < 2 {
		return "", store.Conflicting("no other node of the site votes: have one join with thatch node join")
	}
	if err := m.TransferLead(ctx, to); err != nil {
		return "", fmt.Errorf("hand the lead over: %w", err)
	}
	err = m.until(ctx, func(s quorum.Status) bool {
		leader = s.Leader
		return leader != "" && leader != before
	})
	return leader, err
}

// until waits until the quorum is as wanted.
func (m *Membership) until(ctx context.Context, holds func(quorum.Status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds(m.quorum.Load().Status()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it is on record, and the quorum follows as soon as it can; see: thatch site status: %w", quorum.ErrUnavailable)
		}
	}
	return nil
}

// Sisters are the other nodes of the site with their addresses, those of living nodes first.
func (m *Membership) Sisters() []Known {
	heard := m.heard.all()
	var list []Known
	for _, id := range m.Others() {
		list = append(list, Known{id, m.Addresses(id)})
	}
	slices.SortStableFunc(list, func(a, b Known) int {
		dead := func(k Known) int {
			if h := heard[k.ID]; h.Err == nil && !h.At.IsZero() {
				return 0
			}
			return 1
		}
		return dead(a) - dead(b)
	})
	return list
}
