// Package catalog is the console's pages of what can be installed: bulletins (the Patch Remediation Center), updates,
// packages and CVEs.
package catalog

import (
	"thatch/catalog"
	"thatch/console/page"
)

// Area is the pages of this room.
func Area() page.Area { return page.Area{Pages: []*page.Page{bulletins()}} }

// severities are those to choose from in filters.
var severities = []string{string(catalog.Critical), string(catalog.Important), string(catalog.Moderate), string(catalog.Low), string(catalog.None)}
