// Package hints holds the routes of /api/v1 by which administrators say which node the computers of a subnet talk to.
package hints

import (
	"context"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/hints"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Set says which node the computers of a subnet talk to.
type Set struct {
	Subnet string `json:"subnet"` // 10.1.0.0/16, or one address
	Node   string `json:"node"`   // id or name
	Note   string `json:"note,omitempty"`
}

// Row is a hint.
type Row struct {
	hints.Hint
	Gone bool `json:"gone"` // its node is none of the site's any more: the hint is passed over
}

var columns = []store.Column[Row]{
	{Name: "subnet", Value: func(r Row) any { return r.Subnet }, Search: true},
	{Name: "node", Value: func(r Row) any { return r.Node }},
	{Name: "name", Value: func(r Row) any { return r.Name }, Search: true},
	{Name: "note", Value: func(r Row) any { return r.Note }, Search: true},
	{Name: "by", Value: func(r Row) any { return r.By }},
	{Name: "changed", Kind: store.Time, Value: func(r Row) any { return rows.Stamp(r.Changed) }},
	{Name: "gone", Kind: store.Flag, Value: func(r Row) any { return r.Gone }},
}

// Columns names what hints can be filtered and sorted by.
var Columns = store.ColumnNames(columns)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	room := hints.New(n.Reader(), n.Writer(), n.Members, n.Now)
	return []api.Route{
		{
			Method: "GET", Path: "/site/hints", Reach: api.Reach{Free: true}, Scope: identity.Viewer, Columns: Columns, Summary: "Which node the computers of a subnet talk to",
			Do: api.GetList(func(ctx context.Context, q store.Query) ([]Row, int, error) {
				all, err := room.All(ctx)
				if err != nil {
					return nil, 0, err
				}
				var list []Row
				for _, h := range all {
					list = append(list, Row{h, h.Gone()})
				}
				return store.Select(q, list, columns)
			}),
		},
		{
			Method: "PUT", Path: "/site/hints", Alters: "/site/hints", Scope: identity.Administrator, Summary: "Have the computers of a subnet talk to a node, in place of what was said before",
			Do: api.Do(func(c *api.Call, in Set) (Row, error) {
				h, err := room.Set(c.Context(), c.Who.Name, in.Subnet, in.Node, in.Note)
				return Row{Hint: h}, err
			}),
		},
		{
			Method: "DELETE", Path: "/site/hints/{subnet}", Alters: "/site/hints", Scope: identity.Administrator, Summary: "Have the computers of a subnet choose their node again",
			Do: api.Get(func(c *api.Call) (api.None, error) { return api.None{}, room.Remove(c.Context(), c.Var("subnet")) }),
		},
	}
}
