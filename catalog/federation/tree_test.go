package federation_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/federation"
)

// TestTrees: whatever sites say of their parents, rings among them, every walk ends, and says of each site what those above
// it say of those below.
func TestTrees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := make([]string, rapid.IntRange(1, 8).Draw(rt, "sites"))
		parent := map[string]string{}
		for i := range names {
			names[i] = fmt.Sprintf("s%d", i)
			parent[names[i]] = rapid.SampledFrom(append([]string{"", "elsewhere"}, names[:i+1]...)).Draw(rt, "parent")
		}
		if rapid.Bool().Draw(rt, "ring") {
			parent[names[0]] = names[len(names)-1]
		}
		tree := federation.NewTree(names[0], nil, parent)
		for _, site := range names {
			above := tree.Above(site)
			for _, other := range names {
				if other != site && slices.Contains(above, other) != slices.Contains(tree.Below(other), site) {
					rt.Fatalf("%v: %s above %v, below %s %v", parent, site, above, other, tree.Below(other))
				}
			}
			if slices.Contains(above, site) || slices.Contains(tree.Below(site), site) {
				rt.Fatalf("%v: %s stands above or below itself", parent, site)
			}
		}
		at := parent[names[0]]
		for range 20 {
			at = parent[at]
		}
		if tree.Ring() != (at != "") {
			rt.Fatalf("%v: a ring: %v", parent, tree.Ring())
		}
	})
}
