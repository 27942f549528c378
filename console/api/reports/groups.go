package reports

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/identity"
	"thatch/node/store"
)

// Group counts the computers of one group that are not retired.
type Group struct {
	Group     string `json:"group"` // "" those in none
	Computers int    `json:"computers"`
	Attention int    `json:"attention"` // critical or exploited updates are missing, an install failed, or two machines seem to be one
	Exploited int    `json:"exploited"` // an update against something exploited is missing
	Silent    int    `json:"silent"`    // never reported, or not heard of for the time of the setting health.silent
	Unknown   int    `json:"unknown"`   // of some update cannot be told whether it is needed
	Complete  int    `json:"complete"`  // see report.ComputerRow.Complete
}

var groupColumns = []store.Column[*Group]{
	{Name: "group", Value: func(g *Group) any { return g.Group }, Search: true},
	{Name: "computers", Kind: store.Number, Value: func(g *Group) any { return g.Computers }},
	{Name: "attention", Kind: store.Number, Value: func(g *Group) any { return g.Attention }},
	{Name: "exploited", Kind: store.Number, Value: func(g *Group) any { return g.Exploited }},
	{Name: "silent", Kind: store.Number, Value: func(g *Group) any { return g.Silent }},
	{Name: "unknown", Kind: store.Number, Value: func(g *Group) any { return g.Unknown }},
	{Name: "complete", Kind: store.Number, Value: func(g *Group) any { return g.Complete }},
}

// GroupColumns names what the groups of computers can be filtered and sorted by.
var GroupColumns = store.ColumnNames(groupColumns)

func groupRoute(n *node.Node) api.Route {
	return api.Route{
		Method: "GET", Path: "/computer-groups", Scope: identity.Viewer, Columns: GroupColumns, Reach: api.Reach{Group: "group"},
		Summary: "Groups of computers, with how many call for a person", Do: api.GetList(func(ctx context.Context, q store.Query) ([]*Group, int, error) {
			groups, err := groups(ctx, n)
			if err != nil {
				return nil, 0, err
			}
			return store.Select(q, groups, groupColumns)
		}),
	}
}

// groups are those of the site, by name.
func groups(ctx context.Context, n *node.Node) ([]*Group, error) {
	since, err := n.Settings.SilentSince(ctx, n.Now())
	if err != nil {
		return nil, err
	}
	found := map[string]*Group{}
	err = n.Compliance.Each(ctx, since, func(_ *computers.Member, row *report.ComputerRow) {
		g := found[row.Group]
		if g == nil {
			g = &Group{Group: row.Group}
			found[row.Group] = g
		}
		g.Computers++
		g.Attention += one(row.NeedsAttention())
		g.Exploited += one(row.Exploited > 0)
		g.Silent += one(row.Silent)
		g.Unknown += one(row.Unknown > 0)
		g.Complete += one(row.Complete())
	})
	return slices.SortedFunc(maps.Values(found), func(a, b *Group) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Group), strings.ToLower(b.Group)), strings.Compare(a.Group, b.Group))
	}), err
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
