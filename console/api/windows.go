package api

import (
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/policies"
)

// WindowChange replaces a maintenance window. Version is the one that was seen; "" takes the present one.
type WindowChange struct {
	policies.WindowBody
	Version string `json:"version,omitempty"`
}

func windowRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "GET", Path: "/windows", Scope: identity.Viewer, Summary: "Maintenance windows, and when they open",
			Columns: policies.WindowColumns(), Do: GetList(n.Policies.Windows),
		},
		{
			Method: "GET", Path: "/windows/{id}", Scope: identity.Viewer, Summary: "A maintenance window",
			Do: Get(func(c *Call) (*policies.Window, error) { return n.Policies.Window(c.Context(), c.Var("id")) }),
		},
		{
			Method: "POST", Path: "/windows", Scope: identity.Operate, Summary: "Make a maintenance window",
			Do: Do(func(c *Call, in policies.WindowBody) (*policies.Window, error) {
				id, err := n.Policies.CreateWindow(c.Context(), in)
				if err != nil {
					return nil, err
				}
				return n.Policies.Window(c.Fresh(), id)
			}),
		},
		{
			Method: "PUT", Path: "/windows/{id}", Scope: identity.Operate, Summary: "Replace a maintenance window",
			Do: Do(func(c *Call, in WindowChange) (*policies.Window, error) {
				before, err := n.Policies.Window(c.Context(), c.Var("id"))
				if err != nil {
					return nil, err
				}
				if err := n.Policies.ChangeWindow(c.Context(), before.ID, in.Version, in.WindowBody); err != nil {
					return nil, err
				}
				return n.Policies.Window(c.Fresh(), before.ID)
			}),
		},
		{
			Method: "DELETE", Path: "/windows/{id}", Scope: identity.Operate, Summary: "Delete a maintenance window",
			Query: []Param{{"version", "string", "that was seen; without it the present one"}},
			Do: Get(func(c *Call) (None, error) {
				return None{}, n.Policies.DeleteWindow(c.Context(), c.Var("id"), c.Arg("version"))
			}),
		},
	}
}
