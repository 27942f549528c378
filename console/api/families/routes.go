// Package families holds the routes of /api/v1 about the product families of the catalog, and what leaving some out would
// mean.
package families

import (
	"context"
	"slices"
	"strings"

	"thatch/catalog/importer/msrc"
	exclusions "thatch/catalog/importer/msrc/families"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins/live"
	"thatch/node/identity"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/lists"
)

// Family is a product family of the catalog as it is here.
type Family struct {
	Family   string `json:"family"` // "" of products of which their vendor names none
	Source   string `json:"source"`
	Products int    `json:"products"`
	Updates  int    `json:"updates"`
	LeftOut  int    `json:"left_out"` // of the updates, that imports would leave out
}

var columns = []lists.Column[*Family]{
	{Name: "family", Search: true, Value: func(f *Family) any { return f.Family }},
	{Name: "source", Value: func(f *Family) any { return f.Source }},
	{Name: "products", Kind: store.Number, Value: func(f *Family) any { return f.Products }},
	{Name: "updates", Kind: store.Number, Value: func(f *Family) any { return f.Updates }},
	{Name: "left_out", Kind: store.Number, Value: func(f *Family) any { return f.LeftOut }},
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{{
		Method: "GET", Path: "/catalog/families", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Columns: lists.ColumnNames(columns),
		Summary: "Product families of the catalog as it is here, and how many of their updates imports would leave out",
		Query:   []api.Param{{Name: "exclude", Type: "string", Text: "families to leave out, with commas or new lines between them; by default those of the setting catalog.excluded_families"}},
		Do: api.Get(func(c *api.Call) (api.List[*Family], error) {
			q, err := c.List()
			if err != nil {
				return api.List[*Family]{}, err
			}
			all, err := count(c.Context(), n, c.Arg("exclude"))
			if err != nil {
				return api.List[*Family]{}, err
			}
			page, total, err := lists.Select(q, all, columns)
			return api.Listed(q, page, total), err
		}),
	}}
}

// count goes through the catalog. What former imports left out is not in it.
func count(ctx context.Context, n *node.Node, exclude string) ([]*Family, error) {
	names := strings.FieldsFunc(exclude, func(c rune) bool { return c == '\n' || c == '\r' || c == ',' })
	if exclude == "" {
		values, err := n.Settings.All(ctx)
		if err != nil {
			return nil, err
		}
		names = settings.ExcludedFamilies.In(values)
	}
	left := leftOut(names)
	type key struct{ source, family string }
	found, products := map[key]*Family{}, map[string]bool{}
	err := n.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		for _, u := range v.Updates() {
			k := key{u.Source, u.Product.Family}
			f := found[k]
			if f == nil {
				f = &Family{Family: u.Product.Family, Source: u.Source}
				found[k] = f
			}
			f.Updates++
			if product := u.Source + "\x00" + u.Product.Family + "\x00" + u.Product.Name; !products[product] {
				products[product] = true
				f.Products++
			}
			if left(u) {
				f.LeftOut++
			}
		}
		return nil
	})
	all := make([]*Family, 0, len(found))
	for _, f := range found {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *Family) int {
		return strings.Compare(a.Family+"\x00"+a.Source, b.Family+"\x00"+b.Source)
	})
	return all, err
}

// leftOut says of an update whether its source's imports would leave it out.
func leftOut(names []string) func(u *live.Update) bool {
	match := exclusions.Exclude(names)
	return func(u *live.Update) bool {
		if u.Source == msrc.Name {
			return match.Match(u.Product.Family, u.Product.Name)
		}
		return slices.ContainsFunc(names, func(name string) bool {
			name = strings.TrimSpace(name)
			return strings.EqualFold(name, u.Vendor) || strings.EqualFold(name, u.Product.Name) || strings.EqualFold(name, u.Class)
		})
	}
}
