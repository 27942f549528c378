package bulletins

import (
	"context"

	"thatch/node/bulletins/live"
)

// SourceCounts are what the catalog holds of one source.
type SourceCounts struct {
	Bulletins  int `json:"bulletins"`
	Updates    int `json:"updates"`
	Packages   int `json:"packages"`
	KBs        int `json:"kbs"`                // distinct KB articles
	KBProducts int `json:"kb_products"`        // distinct pairs of KB article and product
	Edges      int `json:"supersedence_edges"` // distinct pairs of KB articles (without KBs: updates) of which one supersedes the other
	ByProduct  int `json:"supersedence_edges_by_product"`
	NoRule     int `json:"updates_without_rule"`
}

// CountSource counts what the catalog holds of a source.
func (b *Bulletins) CountSource(ctx context.Context, source string) (SourceCounts, error) {
	var n SourceCounts
	err := b.catalog.Read(ctx, func(v *live.View) error {
		for _, one := range v.Bulletins() {
			if one.Source == source {
				n.Bulletins++
			}
		}
		n.countUpdates(v, source)
		return nil
	})
	return n, err
}

func (n *SourceCounts) countUpdates(v *live.View, source string) {
	type pair struct{ from, to string }
	kbs, products, edges := map[string]bool{}, map[pair]bool{}, map[pair]bool{}
	for _, u := range v.Updates() {
		if u.Source != source {
			continue
		}
		n.Updates++
		n.Packages += len(v.PackagesOf(u.ID))
		if !u.Evaluable {
			n.NoRule++
		}
		if u.KB != "" {
			kbs[u.KB] = true
			products[pair{u.KB, u.Product.ID}] = true
		}
		for _, former := range u.Supersedes {
			n.ByProduct++
			edges[pair{article(u.KB, u.ID), article(live.KBOf(former), former)}] = true
		}
	}
	n.KBs, n.KBProducts, n.Edges = len(kbs), len(products), len(edges)
}

func article(kb, id string) string {
	if kb != "" {
		return "KB" + kb
	}
	return id
}
