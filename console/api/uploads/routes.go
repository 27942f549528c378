// Package uploads holds the route of /api/v1 that takes vendor files from wherever an operator has them.
package uploads

import (
	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/uploads"
)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{{
		Method: "POST", Path: "/catalog/uploads", Scope: identity.Operate, File: true, Limit: uploads.MaxBytes, Needs: []string{"source", "name"},
		Summary: "Import a vendor file: the body is the file itself, at most 2 GB",
		Query: []api.Param{
			{Name: "source", Type: "string", Text: "source: msrc (CVRF documents), sdp (packages and catalogs of them)"},
			{Name: "name", Type: "string", Text: "what the file is called: 2019-Feb.xml, vendor.cab"},
		},
		Do: api.Get(func(c *api.Call) (api.Run, error) {
			run, err := n.Imports.Upload(c.Context(), c.Arg("source"), c.Arg("name"), c.File())
			return api.Run{Run: run}, err
		}),
	}}
}
