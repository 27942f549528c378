// Package tree holds the routes of /api/v1 about the compliance of this site and all below it.
package tree

import (
	"context"

	"thatch/console/api"
	"thatch/console/api/dated"
	"thatch/node"
	"thatch/node/computers/history"
	"thatch/node/identity"
	"thatch/node/rollups"
	"thatch/node/store"
)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	of := []api.Param{
		{Name: "of", Type: "string", Text: "the site, by its name or id, of which figures are asked for, with all below it; by default this one"},
		{Name: "own", Type: "boolean", Text: "figures of each site alone, without those below it"},
	}
	past := append(of[:len(of):len(of)], dated.Param)
	within := append(past[:len(past):len(past)],
		api.Param{Name: "bulletin", Type: "string", Text: "counts of this bulletin alone, by its id"},
		api.Param{Name: "update", Type: "string", Text: "counts of this update alone, by its id"})
	return []api.Route{
		{
			Method: "GET", Path: "/compliance/tree/bulletins", Scope: identity.Viewer, Columns: rollups.BulletinColumns, Query: past, Reach: treeReach,
			Summary: "Compliance of this site and all below it by bulletin, newest month first",
			Do: dated.List(dated.Rows[*rollups.BulletinRow]{
				Now: func(c *api.Call, ctx context.Context, q store.Query) ([]*rollups.BulletinRow, int, error) {
					return n.RollUps.Bulletins(ctx, treeOf(c), q)
				},
				Then: func(c *api.Call, ctx context.Context, day string) ([]*rollups.BulletinRow, *history.Day, error) {
					return n.Past.BulletinsOn(ctx, day, treeThen(c, ctx))
				},
				Columns: rollups.OfBulletins,
			}),
		},
		{
			Method: "GET", Path: "/compliance/tree/updates", Scope: identity.Viewer, Columns: rollups.UpdateColumns, Query: of, Reach: treeReach,
			Summary: "Compliance of this site and all below it by update, newest month first", Do: ofTree(n.RollUps.Updates),
		},
		{
			Method: "GET", Path: "/compliance/tree/computers", Scope: identity.Viewer, Columns: rollups.ComputerColumns, Query: of, Reach: treeReach,
			Summary: "Computers of this site and all below it, of the sites whose setting health.computers is on, with the age of what is said",
			Do:      ofTree(n.RollUps.Computers),
		},
		{
			Method: "GET", Path: "/compliance/tree/sites", Scope: identity.Viewer, Columns: rollups.SiteColumns, Query: within, Reach: api.Reach{Site: "id"},
			Summary: "Compliance, computers and health by site, each with those below it, in the order of the tree",
			Do: dated.List(dated.Rows[*rollups.SiteRow]{
				Now: func(c *api.Call, ctx context.Context, q store.Query) ([]*rollups.SiteRow, int, error) {
					return n.RollUps.Sites(ctx, treeOf(c), rollups.Within{Bulletin: c.Arg("bulletin"), Update: c.Arg("update")}, q)
				},
				Then: func(c *api.Call, ctx context.Context, day string) ([]*rollups.SiteRow, *history.Day, error) {
					if c.Arg("bulletin")+c.Arg("update") != "" {
						return nil, nil, store.Invalid("bulletin, update: of past days the sites' figures are kept of all bulletins together; ask tree/bulletins for each")
					}
					return n.Past.SitesOn(ctx, day, treeThen(c, ctx))
				},
				Columns: rollups.OfSites,
			}),
		},
	}
}

// treeReach has callers who are limited to a part of the site name one of its sites.
var treeReach = api.Reach{Check: func(c *api.Call) error {
	of := c.Arg("of")
	if of == "" {
		return identity.Forbidden("figures of all sites together are not for %s, who sees a part of the site: name one with of=", c.Who.Name)
	}
	id, err := c.Node.RollUps.SiteID(c.Context(), of)
	if err != nil {
		return err
	}
	return c.CheckSite(id, of)
}}

func treeOf(c *api.Call) rollups.Of { return rollups.Of{Site: c.Arg("of"), Own: c.Flag("own")} }

// treeThen is treeOf for a past day: the site is the one that is called so now, where there is one.
func treeThen(c *api.Call, ctx context.Context) rollups.Of {
	of := treeOf(c)
	if id, err := c.Node.RollUps.SiteID(ctx, of.Site); err == nil && of.Site != "" {
		of.Site = id
	}
	return of
}

// ofTree makes the action of a report of the tree.
func ofTree[T any](read func(ctx context.Context, of rollups.Of, q store.Query) ([]T, int, error)) api.Action {
	return api.Get(func(c *api.Call) (api.List[T], error) {
		return api.Listing(c, func(ctx context.Context, q store.Query) ([]T, int, error) { return read(ctx, treeOf(c), q) })
	})
}
