package api

import (
	"context"

	"thatch/node"
	"thatch/node/identity"
	"thatch/node/rollups"
	"thatch/node/store"
)

// rollUpRoutes are about the compliance of this site and all below it.
func rollUpRoutes(n *node.Node) []Route {
	of := []Param{
		{Name: "of", Type: "string", Text: "the site, by its name or id, of which figures are asked for, with all below it; by default this one"},
		{Name: "own", Type: "boolean", Text: "figures of each site alone, without those below it"},
	}
	within := append(of[:len(of):len(of)],
		Param{Name: "bulletin", Type: "string", Text: "counts of this bulletin alone, by its id"},
		Param{Name: "update", Type: "string", Text: "counts of this update alone, by its id"})
	return []Route{
		{
			Method: "GET", Path: "/compliance/tree/bulletins", Scope: identity.Viewer, Columns: rollups.BulletinColumns, Query: of,
			Summary: "Compliance of this site and all below it by bulletin, newest month first", Do: ofTree(n.RollUps.Bulletins),
		},
		{
			Method: "GET", Path: "/compliance/tree/updates", Scope: identity.Viewer, Columns: rollups.UpdateColumns, Query: of,
			Summary: "Compliance of this site and all below it by update, newest month first", Do: ofTree(n.RollUps.Updates),
		},
		{
			Method: "GET", Path: "/compliance/tree/computers", Scope: identity.Viewer, Columns: rollups.ComputerColumns, Query: of,
			Summary: "Computers of this site and all below it, of the sites whose setting health.computers is on, with the age of what is said",
			Do:      ofTree(n.RollUps.Computers),
		},
		{
			Method: "GET", Path: "/compliance/tree/sites", Scope: identity.Viewer, Columns: rollups.SiteColumns, Query: within,
			Summary: "Compliance, computers and health by site, each with those below it, in the order of the tree",
			Do: Get(func(c *Call) (List[*rollups.SiteRow], error) {
				return list(c, func(ctx context.Context, q store.Query) ([]*rollups.SiteRow, int, error) {
					return n.RollUps.Sites(ctx, treeOf(c), rollups.Within{Bulletin: c.Arg("bulletin"), Update: c.Arg("update")}, q)
				})
			}),
		},
	}
}

func treeOf(c *Call) rollups.Of { return rollups.Of{Site: c.Arg("of"), Own: c.Flag("own")} }

// ofTree makes the action of a report of the tree.
func ofTree[T any](read func(ctx context.Context, of rollups.Of, q store.Query) ([]T, int, error)) Action {
	return Get(func(c *Call) (List[T], error) {
		return list(c, func(ctx context.Context, q store.Query) ([]T, int, error) { return read(ctx, treeOf(c), q) })
	})
}
