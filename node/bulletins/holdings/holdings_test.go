package holdings_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/holdings"
	"thatch/node/store"
)

// TestDropSurplus has nodes give up copies in any order, however many others they know: as many as are to be stay.
func TestDropSurplus(t *testing.T) {
	_, db := bulletinstest.Room(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		sum := fmt.Sprintf("%064x", round)
		var nodes []string
		for i := range rapid.IntRange(2, 5).Draw(r, "nodes") {
			nodes = append(nodes, fmt.Sprint("n", i))
			bulletinstest.Write(t, db, holdings.Add(sum, nodes[i], 7))
		}
		copies := rapid.IntRange(1, 5).Draw(r, "copies")
		for range rapid.IntRange(1, 8).Draw(r, "attempts") {
			node := rapid.SampledFrom(nodes).Draw(r, "node")
			others := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == node })
			others = rapid.Permutation(others).Draw(r, "others")[:rapid.IntRange(1, len(others)).Draw(r, "known")]
			before, err := holdings.Of(t.Context(), db, sum)
			if err != nil {
				r.Fatal(err)
			}
			known := 0
			for _, other := range others {
				if before.On(other) {
					known++
				}
			}
			applied, err := db.Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Statements: []store.Statement{holdings.DropSurplus(sum, node, others, copies)}})
			if err != nil {
				r.Fatal(err)
			}
			after, err := holdings.Of(t.Context(), db, sum)
			if err != nil {
				r.Fatal(err)
			}
			if gone := before.On(node) && known >= copies; gone != (applied.Err() == nil) || after.On(node) != (before.On(node) && !gone) {
				r.Fatalf("%s of %v with %d to be: %v, %v", node, before.Nodes, copies, after.Nodes, applied.Err())
			}
			if len(after.Nodes) < min(copies, len(before.Nodes)) {
				r.Fatalf("%v of %v are left of %d", after.Nodes, before.Nodes, copies)
			}
		}
	})
}

func TestRows(t *testing.T) {
	_, db := bulletinstest.Room(t)
	a, b := strings.Repeat("aa", 32), strings.Repeat("bb", 32)
	bulletinstest.Write(t, db, holdings.Add(b, "n1", 2), holdings.Add(a, "n2", 1), holdings.Add(a, "n1", 1), holdings.Add(a, "n1", 1))
	files, err := holdings.Read(t.Context(), db)
	if want := "[{" + a + " 1 [n1 n2]} {" + b + " 2 [n1]}]"; err != nil || fmt.Sprint(files) != want {
		t.Errorf("%v, %v", files, err)
	}
	bulletinstest.Write(t, db, holdings.Drop(a, "n1"), holdings.DropNode("n2"))
	if files, err = holdings.Read(t.Context(), db); err != nil || len(files) != 1 || files[0].SHA256 != b {
		t.Errorf("%v, %v", files, err)
	}
	if none, err := holdings.Of(t.Context(), db, a); err != nil || len(none.Nodes) != 0 || none.SHA256 != a {
		t.Errorf("%v, %v", none, err)
	}
}
