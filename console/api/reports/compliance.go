package reports

import (
	"context"

	"thatch/console/api"
	"thatch/console/api/dated"
	"thatch/node"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/history"
	"thatch/node/identity"
	"thatch/node/store"
)

func complianceRoutes(n *node.Node) []api.Route {
	list := func(path, summary string, columns []string, do api.Action) api.Route {
		return api.Route{
			Method: "GET", Path: "/compliance/" + path, Scope: identity.Viewer, Summary: summary, Columns: columns,
			Query: []api.Param{api.ParamAll, dated.Param}, Do: do, Reach: api.Reach{Whole: true},
		}
	}
	computers := list("computers", "Compliance by computer", store.ColumnNames(report.OfComputers), dated.List(dated.Rows[*report.ComputerRow]{
		Now: api.Computers, Then: dated.Kept(history.Computers), Columns: report.OfComputers,
	}))
	computers.Reach = api.Reach{Group: "group"}
	return []api.Route{
		list("bulletins", "Compliance by bulletin, newest month first", store.ColumnNames(report.OfBulletins),
			counted(n.Compliance.Bulletins, history.Bulletins, report.OfBulletins)),
		list("updates", "Compliance by update", store.ColumnNames(report.OfUpdates), counted(n.Compliance.Updates, history.Updates, report.OfUpdates)),
		list("cves", "Compliance by vulnerability", store.ColumnNames(report.OfCVEs), counted(n.Compliance.CVEs, history.CVEs, report.OfCVEs)),
		list("months", "Compliance by month", store.ColumnNames(report.OfMonths), counted(n.Compliance.Months, history.Months, report.OfMonths)),
		computers,
		{
			Method: "GET", Path: "/compliance/updates/{id}/computers", Scope: identity.Viewer, Columns: compliance.OnColumns, Reach: api.Reach{Group: "group"},
			Summary: "The computers that an update concerns, by its id or number",
			Do: api.Get(func(c *api.Call) (api.List[*compliance.OnComputer], error) {
				return api.Listing(c, func(ctx context.Context, q store.Query) ([]*compliance.OnComputer, int, error) {
					return n.Compliance.UpdateComputers(ctx, c.Var("id"), q)
				})
			}),
		},
		{
			Method: "GET", Path: "/compliance/days", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Columns: store.ColumnNames(history.Columns),
			Summary: "The past days of which figures are kept, oldest first, each summed up",
			Do: api.GetList(func(ctx context.Context, q store.Query) ([]*history.Day, int, error) {
				days, err := n.Past.Days(ctx)
				if err != nil {
					return nil, 0, err
				}
				return store.Select(q, days, history.Columns)
			}),
		},
	}
}

// counted makes the action of a report that can count superseded updates too.
func counted[R any](read func(ctx context.Context, q store.Query, all bool) ([]*R, int, error), sheet history.Sheet[R], columns []store.Column[*R]) api.Action {
	return dated.List(dated.Rows[*R]{
		Now: func(c *api.Call, ctx context.Context, q store.Query) ([]*R, int, error) {
			return read(ctx, q, c.Flag(api.ParamAll.Name))
		},
		Then: dated.Kept(sheet), Columns: columns,
	})
}
