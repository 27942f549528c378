// Package console is the operators' door: the API for tools, and the pages made of it.
package console

import (
	"thatch/console/page"
	"thatch/console/page/administration"
	"thatch/console/page/catalog"
	"thatch/console/page/computers"
	"thatch/console/page/home"
)

// Areas are all pages of the console, a room each.
func Areas() []page.Area {
	return []page.Area{
		home.Area(),
		catalog.Area(),
		computers.Area(),
		administration.Area(),
	}
}
