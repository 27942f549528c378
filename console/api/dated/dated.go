// Package dated makes the actions of lists that can be had as of a past day.
package dated

import (
	"context"

	"thatch/console/api"
	"thatch/node/computers/history"
	"thatch/node/store"
)

// Param asks for a past day.
var Param = api.Param{
	Name: "as_of", Type: "string",
	Text: "figures as they were at the end of that day of the site's time zone, such as 2026-03-31; /compliance/days lists those that are kept",
}

// Rows are those of now, picked; Then are all rows of a day. Columns are what both are picked by.
type Rows[R any] struct {
	Now     func(c *api.Call, ctx context.Context, q store.Query) ([]R, int, error)
	Then    func(c *api.Call, ctx context.Context, day string) ([]R, *history.Day, error)
	Columns []store.Column[R]
}

// List makes the action of a list.
func List[R any](of Rows[R]) api.Action {
	return api.Get(func(c *api.Call) (api.List[R], error) {
		day := c.Arg(Param.Name)
		if day == "" {
			return api.Listing(c, func(ctx context.Context, q store.Query) ([]R, int, error) { return of.Now(c, ctx, q) })
		}
		if c.Flag(api.ParamAll.Name) {
			return api.List[R]{}, store.Invalid("%s: of past days it is not kept what superseded updates would add to what is missing", api.ParamAll.Name)
		}
		var on *history.Day
		list, err := api.Listing(c, func(ctx context.Context, q store.Query) (page []R, total int, err error) {
			rows, found, err := of.Then(c, ctx, day)
			if err != nil {
				return nil, 0, err
			}
			on = found
			return store.Select(q, rows, of.Columns)
		})
		if err != nil {
			return api.List[R]{}, err
		}
		list.AsOf, list.Taken = on.Day, on.Taken
		return list, nil
	})
}

// Kept is the Then of a report that is kept as it is.
func Kept[R any](sheet history.Sheet[R]) func(c *api.Call, ctx context.Context, day string) ([]*R, *history.Day, error) {
	return func(c *api.Call, ctx context.Context, day string) ([]*R, *history.Day, error) {
		return history.Rows(ctx, c.Node.Past.Room, day, sheet)
	}
}
