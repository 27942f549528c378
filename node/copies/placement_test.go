package copies_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/bulletins/holdings"
	"thatch/node/copies"
	"thatch/node/membership"
)

// TestPlaced: every node finds the same whatever order it knows the others in; a node that goes moves its own copies alone;
// nodes without a vote hold all, those that are gone nothing.
func TestPlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []membership.Fellow
		var voting, silent int
		for i := range rapid.IntRange(1, 7).Draw(t, "nodes") {
			n := membership.Fellow{ID: fmt.Sprint("n", i), Votes: rapid.Bool().Draw(t, "votes"), Silent: time.Duration(rapid.IntRange(0, 2).Draw(t, "silent")) * 9 * time.Minute}
			nodes = append(nodes, n)
			switch {
			case n.Silent > 10*time.Minute:
			case n.Votes:
				voting++
			default:
				silent++
			}
		}
		number := rapid.IntRange(0, 5).Draw(t, "copies")
		sum := sumOf(rapid.String().Draw(t, "payload"))
		placed := copies.Placed(sum, number, nodes)
		want := voting + silent
		if number > 0 {
			want = min(number, voting) + silent
		}
		if len(placed) != want {
			t.Fatalf("%d copies of %d nodes: %v", number, len(nodes), placed)
		}
		shuffled := rapid.Permutation(nodes).Draw(t, "order")
		other := copies.Placed(sum, number, shuffled)
		slices.Sort(placed)
		slices.Sort(other)
		if !slices.Equal(placed, other) {
			t.Fatalf("%v in one order, %v in another", placed, other)
		}
		gone := rapid.IntRange(0, len(nodes)-1).Draw(t, "gone")
		without := copies.Placed(sum, number, slices.Delete(slices.Clone(nodes), gone, gone+1))
		for _, id := range placed {
			if id != nodes[gone].ID && !slices.Contains(without, id) {
				t.Fatalf("without %s, %s loses its copy: %v, before %v", nodes[gone].ID, id, without, placed)
			}
		}
	})
}

// TestPlacedSpreads: of two copies at three nodes, each holds about two thirds.
func TestPlacedSpreads(t *testing.T) {
	nodes := []membership.Fellow{{ID: "a", Votes: true}, {ID: "b", Votes: true}, {ID: "c", Votes: true}}
	held := map[string]int{}
	for i := range 3000 {
		for _, id := range copies.Placed(sumOf(fmt.Sprint(i)), 2, nodes) {
			held[id]++
		}
	}
	for id, count := range held {
		if count < 1800 || count > 2200 {
			t.Errorf("%s holds %d of 3000", id, count)
		}
	}
}

// TestStand counts copies at nodes that are there, and how many are to be.
func TestStand(t *testing.T) {
	nodes := []membership.Fellow{{ID: "a", Votes: true}, {ID: "b", Votes: true}, {ID: "c", Votes: true, Silent: time.Hour}, {ID: "d"}}
	for _, c := range []struct {
		held   []string
		copies int
		have   int
		want   int
	}{
		{[]string{"a", "b", "d"}, 0, 3, 3},
		{[]string{"a", "c", "d"}, 0, 2, 3},
		{[]string{"c"}, 1, 0, 2},
		{[]string{"a", "b", "d"}, 3, 3, 4}, // the third votes, and is gone: the number is not reached
		{[]string{"a", "removed"}, 16, 1, 4},
	} {
		got := copies.Stand(&holdings.File{SHA256: sumOf("x"), Nodes: c.held}, c.copies, nodes)
		if got.Copies != c.have || got.Of != c.want {
			t.Errorf("%v with %d copies: %+v, want %d of %d", c.held, c.copies, got, c.have, c.want)
		}
	}
}
