package nodetest_test

import (
	"fmt"
	"testing"

	"thatch/node/nodetest"
)

// A site of three nodes takes writes anywhere, goes on when its leader dies, and ends equal at all nodes.
func TestSite(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	site := nodetest.NewSite(t, 3)
	for i, name := range []string{"one", "two", "three"} {
		if err := site.Node(i).Rename(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	site.Equal()
	first := site.Leads()
	site.Kill(first)
	if err := site.Node(site.Follower()).Rename(t.Context(), "four"); err != nil {
		t.Fatal(err)
	}
	site.Start(first)
	site.Until("the node that was away knows the name", func() error {
		if name := site.Node(first).Site().Name; name != "four" {
			return fmt.Errorf("it is called %s", name)
		}
		return nil
	})
	site.Equal()
}
