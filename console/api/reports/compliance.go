package reports

import (
	"context"

	"thatch/console/api"

	"thatch/node"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/identity"
	"thatch/node/store"
)

func complianceRoutes(n *node.Node) []api.Route {
	list := func(path, summary string, columns []string, do api.Action) api.Route {
		return api.Route{
			Method: "GET", Path: "/compliance/" + path, Scope: identity.Viewer, Summary: summary, Columns: columns, Query: []api.Param{api.ParamAll}, Do: do,
		}
	}
	return []api.Route{
		list("bulletins", "Compliance by bulletin, newest month first", store.ColumnNames(report.OfBulletins), counted(n.Compliance.Bulletins)),
		list("updates", "Compliance by update", store.ColumnNames(report.OfUpdates), counted(n.Compliance.Updates)),
		list("cves", "Compliance by vulnerability", store.ColumnNames(report.OfCVEs), counted(n.Compliance.CVEs)),
		list("months", "Compliance by month", store.ColumnNames(report.OfMonths), counted(n.Compliance.Months)),
		{
			Method: "GET", Path: "/compliance/computers", Scope: identity.Viewer, Summary: "Compliance by computer",
			Columns: store.ColumnNames(report.OfComputers), Query: []api.Param{api.ParamAll}, Reach: api.Reach{Group: "group"}, Do: api.Get(api.ComputerList),
		},
		{
			Method: "GET", Path: "/compliance/updates/{id}/computers", Scope: identity.Viewer, Columns: compliance.OnColumns, Reach: api.Reach{Group: "group"},
			Summary: "The computers that an update concerns, by its id or number",
			Do: api.Get(func(c *api.Call) (api.List[*compliance.OnComputer], error) {
				return api.Listing(c, func(ctx context.Context, q store.Query) ([]*compliance.OnComputer, int, error) {
					return n.Compliance.UpdateComputers(ctx, c.Var("id"), q)
				})
			}),
		},
	}
}

// counted makes the action of a report that can count superseded updates too.
func counted[T any](read func(ctx context.Context, q store.Query, all bool) ([]T, int, error)) api.Action {
	return api.Get(func(c *api.Call) (api.List[T], error) {
		return api.Listing(c, func(ctx context.Context, q store.Query) ([]T, int, error) { return read(ctx, q, c.Flag("all")) })
	})
}
