package api

import (
	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/identity"
)

// Languages are the managed languages of the site.
type Languages struct {
	Languages []string `json:"languages"` // lower-case BCP 47, sorted
}

func siteRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "GET", Path: "/site", Scope: identity.Viewer, Summary: "The site and this node",
			Do: Get(func(c *Call) (node.Status, error) { return n.Status(c.Context()) }),
		},
		{
			Method: "GET", Path: "/site/languages", Scope: identity.Viewer, Summary: "The managed languages",
			Do: Get(func(c *Call) (Languages, error) {
				tags, err := n.Languages(c.Context())
				return Languages{tags}, err
			}),
		},
		{
			Method: "PUT", Path: "/site/languages", Scope: identity.Administrator, Summary: "Set the managed languages",
			Do: Do(func(c *Call, in Languages) (Languages, error) {
				tags, err := document.NormalLanguages(in.Languages)
				if err != nil {
					return Languages{}, &Error{400, "invalid", err.Error()}
				}
				return Languages{tags}, n.SetLanguages(c.Context(), tags)
			}),
		},
	}
}
