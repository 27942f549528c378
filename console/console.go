// Package console is the operators' door: the API for tools, and the pages made of it.
package console

import (
	"context"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/console/page/administration"
	"thatch/console/page/catalog"
	"thatch/console/page/computers"
	"thatch/console/page/home"
	"thatch/console/page/policies"
	"thatch/console/page/sites"
	"thatch/node"
)

// New makes the operators' door of a node from its API. It answers at every path.
func New(n *node.Node, a *api.Server) *page.Console {
	return page.New(page.Config{
		API: a, Sessions: sessions{n.Operators}, Now: n.Now, Log: n.Log(), Areas: Areas(),
		Site: func(context.Context) string { return n.Site().Name },
	})
}

// Areas are all pages of the console, a room each.
func Areas() []page.Area {
	return []page.Area{
		home.Area(),
		catalog.Area(),
		computers.Area(),
		administration.Area(),
		sites.Area(),
		policies.Area(),
	}
}
