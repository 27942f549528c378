package supersedence

import (
	"testing"

	"thatch/catalog"
)

// Vendors other than Microsoft number articles but no products, so that two updates may bear one number.
func TestUpdatesWithoutAProductAreNoArticle(t *testing.T) {
	g := NewGraph()
	one := &catalog.Update{KB: "5001234"}
	g.AddUpdate("sdp/a", one)
	g.AddUpdate("sdp/b", one)
	if c := g.Counts(); c.KBs != 0 || c.KBProducts != 0 {
		t.Errorf("they count as %+v", c)
	}
	two := &catalog.Update{KB: "5001234", Product: catalog.Product{ID: "11498"}}
	g.AddUpdate("x/1", two)
	g.AddUpdate("x/2", two)
	for _, id := range []string{"sdp/a", "sdp/b", "x/1", "x/2", "x/2"} {
		g.Remove(id)
	}
	if c := g.Counts(); c != (Counts{}) {
		t.Errorf("after removing all: %+v", c)
	}
}
