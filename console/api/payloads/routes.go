// Package payloads holds the routes of /api/v1 about payload files as a node has them on disk.
package payloads

import (
	"net/http"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins/staging"
	"thatch/node/bulletins/stock"
	"thatch/node/copies"
	"thatch/node/identity"
	"thatch/node/store"
)

// Standing says how far the payloads are that the site awaits.
type Standing struct {
	Awaited  *staging.Awaited `json:"awaited,omitempty"` // absent: nothing
	Sentence string           `json:"sentence"`          // the same for people
}

// Payload is a payload file and where it lies.
type Payload struct {
	*stock.Row
	Holders []copies.Holder `json:"holders"`
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/content", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Payload files that this node holds or awaits, or that others hold, with the copies in the site, by name",
			Columns: stock.Columns(), Do: api.GetList(n.Stock().List),
		},
		{
			Method: "GET", Path: "/content/awaited", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "How far the payload files are that the site awaits",
			Do: api.Get(func(*api.Call) (Standing, error) {
				sum, _ := n.Staging.Awaited()
				s := Standing{Awaited: sum, Sentence: "nothing is awaited"}
				if sum != nil {
					s.Sentence = sum.Sentence()
				}
				return s, nil
			}),
		},
		{
			Method: "GET", Path: "/content/{sha256}", Scope: identity.Viewer, Reach: api.Reach{Free: true},
			Summary: "A payload file and the nodes that hold it, or are to; by its SHA-256 or the beginning of it",
			Do: api.Get(func(c *api.Call) (Payload, error) {
				row, err := n.Stock().Show(c.Context(), c.Var("sha256"))
				if err != nil {
					return Payload{}, err
				}
				p := Payload{Row: row}
				p.Holders, err = n.Copies.Holders(c.Context(), row.SHA256)
				return p, err
			}),
		},
		{
			Method: "POST", Path: "/content/verify", Scope: identity.Operate, Summary: "Read every payload and hold it against its digest",
			Do: api.Get(func(c *api.Call) (api.Run, error) {
				run, err := n.Tasks.Run(c.Context(), node.ContentVerify, struct{}{})
				return api.Run{Run: run}, err
			}),
		},
		{
			Method: "POST", Path: "/content/import", Scope: identity.Administrator,
			Summary: "Take payload files from a folder of the node's own machine, through the door in its data folder",
			Do:      api.Do(func(c *api.Call, in node.Disk) (api.Run, error) { return local(c, n, node.ContentImport, in) }),
		},
		{
			Method: "POST", Path: "/content/export", Scope: identity.Administrator,
			Summary: "Copy the payload files that are needed to a folder of the node's own machine, through the door in its data folder",
			Do: api.Do(func(c *api.Call, in node.Disk) (api.Run, error) {
				if in.For != "" {
					child, err := n.Sites.Child(c.Context(), in.For)
					if err != nil {
						return api.Run{}, err
					}
					in.For = child.ID
				}
				return local(c, n, node.ContentExport, in)
			}),
		},
	}
}

// local starts a task that works on folders of the node's machine.
func local(c *api.Call, n *node.Node, kind string, in node.Disk) (api.Run, error) {
	if !c.Who.IsLocal() {
		return api.Run{}, &api.Error{
			Status: http.StatusForbidden, Code: "forbidden",
			Text: "folders of the node's own machine are named only through the door in its data folder (--data)",
		}
	}
	if in.Folder == "" {
		return api.Run{}, store.Invalid("no folder is named")
	}
	run, err := n.Tasks.Run(c.Context(), kind, in)
	return api.Run{Run: run}, err
}
