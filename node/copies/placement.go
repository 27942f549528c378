package copies

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"thatch/node/membership"
)

// goneAfter is how long a node has to be silent until its copies are made elsewhere.
const goneAfter = 10 * time.Minute

// gone says whether copies are made without a node.
func gone(n *membership.Fellow) bool { return n.Silent > goneAfter }

// Placed are the nodes that are to hold a payload, by their ids: all of them, or the first so many of those that vote by a
// hash of both, so that every node finds the same without asking. A node without a vote holds everything: it is there for
// the computers near it. Nodes that are gone for long hold nothing.
func Placed(sum string, copies int, nodes []membership.Fellow) []string {
	var placed []string
	var voting []ranked
	for i := range nodes {
		n := &nodes[i]
		switch {
		case gone(n):
		case copies <= 0 || !n.Votes:
			placed = append(placed, n.ID)
		default:
			voting = append(voting, ranked{n.ID, rank(sum, n.ID)})
		}
	}
	slices.SortFunc(voting, func(a, b ranked) int { return bytes.Compare(a.rank[:], b.rank[:]) })
	for _, one := range voting[:min(copies, len(voting))] {
		placed = append(placed, one.id)
	}
	return placed
}

type ranked struct {
	id   string
	rank [sha256.Size]byte
}

func rank(sum, node string) [sha256.Size]byte { return sha256.Sum256([]byte(sum + " " + node)) }

// near orders sisters from which a payload may be had: those that answer, by their distance; sisters at about the same
// distance share the work by a hash.
func near(sum string, nodes []membership.Fellow) {
	slices.SortFunc(nodes, func(a, b membership.Fellow) int {
		if a.Living != b.Living {
			if a.Living {
				return -1
			}
			return 1
		}
		if by := distance(a.Trip) - distance(b.Trip); by != 0 {
			return by
		}
		one, other := rank(sum, a.ID), rank(sum, b.ID)
		return bytes.Compare(one[:], other[:])
	})
}

// nearby is a round trip within one place.
const nearby = 5 * time.Millisecond

// distance is in steps that are four times as far each.
func distance(trip time.Duration) (steps int) {
	for ; trip > nearby; trip /= 4 {
		steps++
	}
	return steps
}
