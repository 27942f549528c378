package api

import (
	"context"

	"thatch/node"
	"thatch/node/computers/compliance"
	"thatch/node/identity"
	"thatch/node/store"
)

func complianceRoutes(n *node.Node) []Route {
	report := func(path, summary string, columns []string, do Action) Route {
		return Route{
			Method: "GET", Path: "/compliance/" + path, Scope: identity.Viewer, Summary: summary, Columns: columns, Query: []Param{paramAll}, Do: do,
		}
	}
	return []Route{
		report("bulletins", "Compliance by bulletin, newest month first", compliance.BulletinColumns, counted(n.Compliance.Bulletins)),
		report("updates", "Compliance by update", compliance.UpdateColumns, counted(n.Compliance.Updates)),
		report("cves", "Compliance by vulnerability", compliance.CVEColumns, counted(n.Compliance.CVEs)),
		report("months", "Compliance by month", compliance.MonthColumns, counted(n.Compliance.Months)),
		{
			Method: "GET", Path: "/compliance/computers", Scope: identity.Viewer, Summary: "Compliance by computer",
			Columns: compliance.ComputerColumns, Query: []Param{paramAll}, Reach: Reach{Group: "group"}, Do: Get(computerList),
		},
		{
			Method: "GET", Path: "/compliance/updates/{id}/computers", Scope: identity.Viewer, Columns: compliance.OnColumns, Reach: Reach{Group: "group"},
			Summary: "The computers that an update concerns, by its id or number",
			Do: Get(func(c *Call) (List[*compliance.OnComputer], error) {
				return Listing(c, func(ctx context.Context, q store.Query) ([]*compliance.OnComputer, int, error) {
					return n.Compliance.UpdateComputers(ctx, c.Var("id"), q)
				})
			}),
		},
	}
}

// counted makes the action of a report that can count superseded updates too.
func counted[T any](read func(ctx context.Context, q store.Query, all bool) ([]T, int, error)) Action {
	return Get(func(c *Call) (List[T], error) {
		return Listing(c, func(ctx context.Context, q store.Query) ([]T, int, error) { return read(ctx, q, c.Flag("all")) })
	})
}
