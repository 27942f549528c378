package policies

import (
	"context"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/outlook"
	"thatch/node/policies/windows"
	"thatch/node/store"
)

// Preview is what a policy would do: exactly at this site, and at those below as far as they told.
type Preview struct {
	*outlook.Outlook
	Windows []*windows.Row `json:"windows"` // that apply to computers it would be for, with their number
	Sites   []*Site        `json:"sites"`   // this one first, where others are known
}

// outlookRoutes look at what is ordered from several sides, and write nothing.
func outlookRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "POST", Path: "/policies/preview", Scope: identity.Viewer, Reach: policyReach, Do: api.Do(preview),
			Summary: "What a policy would do if it were made: computers, updates, windows, what is not here yet. Nothing is written",
			Query: []api.Param{
				{Name: "q", Type: "string", Text: "lists only computers whose names hold this"},
				{Name: "page", Type: "integer", Text: "of the computers that miss something, from 1"},
				{Name: "limit", Type: "integer", Text: "computers of a page"},
			},
		},
		{
			Method: "GET", Path: "/policies/{id}/revision", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "What revising a policy would change now",
			Do: api.Get(func(c *api.Call) (*outlook.Revision, error) { return n.Policies.Revision(c.Context(), c.Var("id")) }),
		},
		{
			Method: "GET", Path: "/policies/{id}/updates", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "The updates that a policy pins",
			Columns: policies.PinnedColumns(), Do: listOf(n.Policies.Updates),
		},
		{
			Method: "GET", Path: "/policies/{id}/computers", Scope: identity.Viewer, Summary: "The computers that a policy is for at this site, and how they stand",
			Columns: outlook.StandingColumns(), Reach: api.Reach{Group: "group"}, Do: listOf(n.Policies.Standings),
		},
		{
			Method: "GET", Path: "/policies/{id}/history", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "What people did with a policy at this site, newest first",
			Columns: store.ColumnNames(eventColumns), Do: listOf(func(ctx context.Context, id string, q store.Query) ([]*Event, int, error) {
				return history(ctx, n, id, q)
			}),
		},
		{
			Method: "GET", Path: "/policies/{id}/sites", Scope: identity.Viewer,
			Summary: "How this site and those below stand with a policy's bulletins, in the order of the tree",
			Columns: store.ColumnNames(siteColumns), Reach: api.Reach{Site: "id"}, Do: listOf(func(ctx context.Context, id string, q store.Query) ([]*Site, int, error) {
				ids, here, err := bulletinsOf(ctx, n, id)
				if err != nil {
					return nil, 0, err
				}
				all, err := sites(ctx, n, ids, here)
				if err != nil {
					return nil, 0, err
				}
				return store.Select(q, all, siteColumns)
			}),
		},
	}
}

// listOf makes the action of a list that belongs to a policy.
func listOf[T any](read func(ctx context.Context, id string, q store.Query) ([]T, int, error)) api.Action {
	return api.Get(func(c *api.Call) (api.List[T], error) {
		q, err := c.List()
		if err != nil {
			return api.List[T]{}, err
		}
		items, total, err := read(c.Context(), c.Var("id"), q)
		if err != nil {
			return api.List[T]{}, err
		}
		return api.Listed(q, items, total), nil
	})
}

func preview(c *api.Call, in policies.Draft) (Preview, error) {
	q, err := c.List()
	if err != nil {
		return Preview{}, err
	}
	found, err := c.Node.Policies.Preview(c.Context(), in, q)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Outlook: found, Windows: []*windows.Row{}}
	if len(found.Windows) > 0 {
		all, _, err := c.Node.Windows.List(c.Context(), store.Query{})
		if err != nil {
			return Preview{}, err
		}
		for _, w := range all {
			if w.Count = found.Windows[w.ID]; w.Count > 0 {
				p.Windows = append(p.Windows, w)
			}
		}
	}
	var ids []string
	for _, u := range found.Updates {
		ids = append(ids, u.Bulletin)
	}
	here := Site{Applicable: found.Computers.Targeted, Installed: found.Computers.Done, Missing: found.Computers.Missing}
	all, err := sites(c.Context(), c.Node, ids, here)
	if err != nil {
		return Preview{}, err
	}
	p.Sites = []*Site{}
	for _, site := range all {
		sees, err := c.SeesSite(site.ID)
		if err != nil {
			return Preview{}, err
		}
		if sees || site.Exact {
			p.Sites = append(p.Sites, site)
		}
	}
	return p, nil
}
