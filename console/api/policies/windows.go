package policies

import (
	"time"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/policies/windows"
	"thatch/node/store"
)

// WindowChange replaces a maintenance window. Version is the one that was seen; "" takes the present one.
type WindowChange struct {
	windows.Body
	Version string `json:"version,omitempty"`
}

// windowAlters is what people change of a window.
const windowAlters = "/windows/{id}#-opens,open,closes,computers,version"

func windowRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/windows", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "Maintenance windows, and when they open",
			Columns: windows.Columns(), Do: api.GetList(n.Windows.List),
		},
		{
			Method: "GET", Path: "/windows/{id}", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "A maintenance window",
			Do: api.Get(func(c *api.Call) (*windows.Row, error) { return n.Windows.Find(c.Context(), c.Var("id")) }),
		},
		{
			Method: "POST", Path: "/windows/preview", Scope: identity.Viewer, Summary: "When a maintenance window would open next, and for how many computers",
			Query: []api.Param{{Name: "zone", Type: "string", Text: "of a computer, for a window that goes by each computer's own time; by default UTC"}},
			Reach: api.Reach{Free: true}, Do: api.Do(func(c *api.Call, in windows.Body) (*windows.Preview, error) {
				zone, err := time.LoadLocation(c.Arg("zone"))
				if err != nil || c.Arg("zone") == "Local" {
					return nil, store.Invalid("zone: %.60q is no time zone; give one such as Europe/Berlin", c.Arg("zone"))
				}
				return n.Windows.Preview(in, zone)
			}),
		},
		{
			Method: "POST", Path: "/windows",
			Alters: windowAlters, Scope: identity.Operate, Summary: "Make a maintenance window",
			Do: api.Do(func(c *api.Call, in windows.Body) (*windows.Row, error) {
				id, err := n.Windows.Create(c.Context(), in)
				if err != nil {
					return nil, err
				}
				return n.Windows.Find(c.Fresh(), id)
			}),
		},
		{
			Method: "PUT", Path: "/windows/{id}",
			Alters: windowAlters, Scope: identity.Operate, Summary: "Replace a maintenance window",
			Do: api.Do(func(c *api.Call, in WindowChange) (*windows.Row, error) {
				before, err := n.Windows.Find(c.Context(), c.Var("id"))
				if err != nil {
					return nil, err
				}
				if err := n.Windows.Change(c.Context(), before.ID, in.Version, in.Body); err != nil {
					return nil, err
				}
				return n.Windows.Find(c.Fresh(), before.ID)
			}),
		},
		{
			Method: "DELETE", Path: "/windows/{id}",
			Alters: windowAlters, Scope: identity.Operate, Summary: "Delete a maintenance window",
			Query: []api.Param{{Name: "version", Type: "string", Text: "that was seen; without it the present one"}},
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Windows.Delete(c.Context(), c.Var("id"), c.Arg("version"))
			}),
		},
	}
}
