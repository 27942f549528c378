// Package console is the operators' door: the API for tools, and the pages made of it.
package console

import (
	"context"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/console/page/administration"
	"thatch/console/page/backups"
	"thatch/console/page/catalog"
	"thatch/console/page/computers"
	"thatch/console/page/home"
	"thatch/console/page/operators"
	"thatch/console/page/policies"
	"thatch/console/page/reports"
	"thatch/console/page/signin"
	"thatch/console/page/sites"
	"thatch/console/page/sources"
	"thatch/node"
)

// New makes the operators' door of a node from its API. It answers at every path.
func New(n *node.Node, a *api.Server) *page.Console {
	door := signin.New(n)
	c := page.New(page.Config{
		API: a, Sessions: door, Site: func(context.Context) string { return n.Site().Name }, Now: n.Now, Log: n.Log(),
		Areas: append(Areas(), door.Area()), Open: door.Open(),
	})
	door.RenderWith(c)
	return c
}

// Areas are all pages of the console, a room each.
func Areas() []page.Area {
	return []page.Area{
		home.Area(),
		catalog.Area(),
		computers.Area(),
		reports.Area(),
		administration.Area(),
		backups.Area(),
		sites.Area(),
		policies.Area(),
		sources.Area(),
		operators.Area(),
	}
}
