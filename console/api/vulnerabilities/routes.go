// Package vulnerabilities holds the routes of /api/v1 about one vulnerability: what fixes it, and which computers are open
// to it.
package vulnerabilities

import (
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/computers/compliance"
	"thatch/node/identity"
)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/cves/{id}", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "A vulnerability with the bulletins and updates that fix it",
			Do: api.Get(func(c *api.Call) (bulletins.CVEDetail, error) { return n.Bulletins.ShowCVE(c.Context(), c.Var("id")) }),
		},
		{
			Method: "GET", Path: "/cves/{id}/computers", Scope: identity.Viewer, Columns: compliance.OnColumns, Reach: api.Reach{Group: "group"},
			Summary: "The computers that a vulnerability concerns: open to it where one of the updates that fix it is missing or failed",
			Do: api.Get(func(c *api.Call) (api.List[*compliance.OnComputer], error) {
				q, err := c.List()
				if err != nil {
					return api.List[*compliance.OnComputer]{}, err
				}
				rows, total, err := n.Compliance.CVEComputers(c.Context(), c.Var("id"), q)
				return api.Listed(q, rows, total), err
			}),
		},
	}
}
