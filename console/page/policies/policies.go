// Package policies is the console's pages of what is ordered: software update policies and their wizard, maintenance windows,
// and the site's own severities.
package policies

import (
	"embed"
	"io/fs"
	"slices"

	"thatch/console/page"
)

//go:embed templates/*.html
var files embed.FS

// Area is the pages of this room.
func Area() page.Area {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // embedded
	}
	pages := []*page.Page{list(), wizard(), severities()}
	return page.Area{Templates: templates, Pages: slices.Concat(pages, policyPages(), windowPages())}
}
