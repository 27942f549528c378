// Package offers holds the routes of /api/v1 by which a site decides that bulletins are never offered.
package offers

import (
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/identity"
	"thatch/node/store"
)

// maxNamed is how many bulletins one request may name.
const maxNamed = 1000

// Named are bulletins, by document id or by name.
type Named struct {
	Bulletins []string `json:"bulletins"`
}

// Decided is how bulletins stand after a decision.
type Decided struct {
	Bulletins []*bulletins.Row `json:"bulletins"`
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "POST", Path: "/bulletins/never-offer",
			Alters: api.BulletinsAlter, Scope: identity.Operate, Do: decide(n, true),
			Summary: "Never offer bulletins: they are staged no longer, go into no new policy, and are not missing where they are not installed",
		},
		{
			Method: "POST", Path: "/bulletins/offer",
			Alters: api.BulletinsAlter, Scope: identity.Operate, Do: decide(n, false),
			Summary: "Offer bulletins again that were never to be offered",
		},
	}
}

func decide(n *node.Node, never bool) api.Action {
	return api.Do(func(c *api.Call, in Named) (Decided, error) {
		if len(in.Bulletins) == 0 || len(in.Bulletins) > maxNamed {
			return Decided{}, store.Invalid("name 1 to %d bulletins; the request names %d", maxNamed, len(in.Bulletins))
		}
		var ids []string
		for _, name := range in.Bulletins {
			id, err := n.Bulletins.Find(c.Context(), name)
			if err != nil {
				return Decided{}, err
			}
			ids = append(ids, id)
		}
		if err := n.Bulletins.NeverOffer(c.Context(), never, ids...); err != nil {
			return Decided{}, err
		}
		rows, err := n.Bulletins.Rows(c.Fresh(), ids...)
		if err != nil || !never {
			return Decided{rows}, err
		}
		var staged []string
		for _, row := range rows {
			if row.Staged {
				staged = append(staged, row.ID)
			}
		}
		if len(staged) > 0 {
			if err := n.Staging.Unstage(c.Context(), staged...); err != nil {
				return Decided{}, err
			}
			rows, err = n.Bulletins.Rows(c.Fresh(), ids...)
		}
		return Decided{rows}, err
	})
}
