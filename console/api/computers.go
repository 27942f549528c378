package api

import (
	"context"
	"slices"

	"thatch/node"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/store"
)

// ComputerChange changes a computer. Version is the one that was seen; 0 takes the present one.
type ComputerChange struct {
	Group   string `json:"group"`
	Version int64  `json:"version,omitempty"`
}

// Seen says from which version a change is made; 0 takes the present one.
type Seen struct {
	Version int64 `json:"version,omitempty"`
}

// ParamAll is the parameter of lists that can count superseded updates too.
var ParamAll = Param{"all", "boolean", "superseded updates count as missing too"}

var paramRetired = Param{"with_retired", "boolean", "retired computers are listed too, as they are where retired is filtered by"}

func computerRoutes(n *node.Node) []Route {
	show := func(c *Call) (*compliance.Detail, error) {
		d, err := n.Compliance.Show(c.Context(), c.Var("id"), n.Policies.Orders)
		if err != nil {
			return nil, err
		}
		since, err := n.Settings.SilentSince(c.Context(), n.Now())
		d.Mark(since)
		if err == nil {
			err = sayNodes(c, &d.ComputerRow)
		}
		return d, err
	}
	return []Route{
		{
			Method: "GET", Path: "/computers", Scope: identity.Viewer, Summary: "Computers, with what they miss",
			Columns: store.ColumnNames(report.OfComputers), Query: []Param{ParamAll, paramRetired}, Reach: Reach{Group: "group"}, Do: Get(func(c *Call) (List[*report.ComputerRow], error) {
				return Listing(c, func(ctx context.Context, q store.Query) ([]*report.ComputerRow, int, error) {
					return Computers(c, ctx, q)
				})
			}),
		},
		{
			Method: "GET", Path: "/computers/{id}", Scope: identity.Viewer, Summary: "A computer: facts, the status of updates, attempts",
			Reach: ComputerReach,
			Do:    Get(show),
		},
		{
			Method: "GET", Path: "/computers/{id}/updates", Scope: identity.Viewer, Summary: "The status of the updates of a computer",
			Columns: compliance.StatusColumns, Reach: ComputerReach, Do: Get(func(c *Call) (List[*compliance.UpdateStatus], error) {
				d, err := show(c)
				if err != nil {
					return List[*compliance.UpdateStatus]{}, err
				}
				return Listing(c, func(_ context.Context, q store.Query) ([]*compliance.UpdateStatus, int, error) { return d.Page(q) })
			}),
		},
		{
			Method: "PUT", Path: "/computers/{id}",
			Alters: "/computers/{id}#id,computer,group,retired", Scope: identity.Operate, Summary: "Move a computer to a group",
			Reach: ComputerReach,
			Do: Do(func(c *Call, in ComputerChange) (None, error) {
				id, err := n.Compliance.Find(c.Var("id"))
				if err != nil {
					return None{}, err
				}
				return None{}, n.Computers.Move(c.Context(), c.Who.Actor(), id, in.Group, in.Version)
			}),
		},
		{
			Method: "POST", Path: "/computers/{id}/retire",
			Alters: "/computers/{id}#id,computer,group,retired", Scope: identity.Administrator, Reach: ComputerReach, Do: Do(retire),
			Summary: "Take a computer out of the site: its certificates are revoked, its row stays and is not counted",
		},
	}
}

// Listing answers a list whose reading needs more than a query.
func Listing[T any](c *Call, read func(ctx context.Context, q store.Query) ([]T, int, error)) (List[T], error) {
	q, err := c.List()
	if err != nil {
		return List[T]{}, err
	}
	items, total, err := read(c.Context(), q)
	if err != nil {
		return List[T]{}, err
	}
	return Listed(q, items, total), nil
}

// Computers picks a page of the computers with what they miss.
func Computers(c *Call, ctx context.Context, q store.Query) ([]*report.ComputerRow, int, error) {
	silent, err := c.Node.Settings.SilentSince(ctx, c.Node.Now())
	if err != nil {
		return nil, 0, err
	}
	page, total, err := c.Node.Compliance.Computers(ctx, q, compliance.Asked{
		All: c.Flag(ParamAll.Name), Retired: c.Flag(paramRetired.Name) || q.Filter["retired"] != "", Silent: silent,
	})
	if err == nil {
		err = sayNodes(c, page...)
	}
	return page, total, err
}

// sayNodes says of computers which node they last spoke to.
func sayNodes(c *Call, page ...*report.ComputerRow) error {
	nodes, err := members.Read(c.Context(), c.Node.Reader())
	if err != nil {
		return err
	}
	for _, row := range page {
		row.Node = c.Node.Computers.NodeOf(row.Number)
		if at := slices.IndexFunc(nodes, func(n members.Node) bool { return n.ID == row.Node }); at >= 0 {
			row.Node = nodes[at].Name
		}
	}
	return nil
}

func retire(c *Call, in Seen) (None, error) {
	id, err := c.Node.Compliance.Find(c.Var("id"))
	if err != nil {
		return None{}, err
	}
	revoke := identity.RevokeComputer(id, "retired", c.Node.Now())
	return None{}, c.Node.Computers.Retire(c.Context(), c.Who.Actor(), id, in.Version, revoke)
}
