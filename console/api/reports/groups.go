package reports

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"thatch/console/api"
	"thatch/console/api/dated"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/history"
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
	Complete  int    `json:"complete"`  // see report.ComputerRow.IsComplete
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
		Method: "GET", Path: "/computer-groups", Scope: identity.Viewer, Columns: GroupColumns, Reach: api.Reach{Group: "group"}, Query: []api.Param{dated.Param},
		Summary: "Groups of computers, with how many call for a person", Do: dated.List(dated.Rows[*Group]{
			Now: func(_ *api.Call, ctx context.Context, q store.Query) ([]*Group, int, error) {
				found := grouping{}
				if err := each(ctx, n, found.add); err != nil {
					return nil, 0, err
				}
				return store.Select(q, found.sorted(), groupColumns)
			},
			Then: func(_ *api.Call, ctx context.Context, day string) ([]*Group, *history.Day, error) {
				rows, on, err := history.Rows(ctx, n.Past.Room, day, history.Computers)
				found := grouping{}
				for _, row := range rows {
					found.add(row)
				}
				return found.sorted(), on, err
			},
			Columns: groupColumns,
		}),
	}
}

// each calls add with every computer of now that is not retired.
func each(ctx context.Context, n *node.Node, add func(row *report.ComputerRow)) error {
	since, err := n.Settings.SilentSince(ctx, n.Now())
	if err != nil {
		return err
	}
	return n.Compliance.Each(ctx, since, func(_ *computers.Member, row *report.ComputerRow) { add(row) })
}

// grouping is groups by name.
type grouping map[string]*Group

func (found grouping) add(row *report.ComputerRow) {
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
	g.Complete += one(row.IsComplete())
}

func (found grouping) sorted() []*Group {
	return slices.SortedFunc(maps.Values(found), func(a, b *Group) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Group), strings.ToLower(b.Group)), strings.Compare(a.Group, b.Group))
	})
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
