// Package catalog is the console's pages of what can be installed: bulletins (the Patch Remediation Center), updates,
// packages and CVEs.
package catalog

import (
	"embed"
	"io/fs"
	"strings"

	"thatch/catalog"
	"thatch/console/api"
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
	return page.Area{Templates: templates, Pages: []*page.Page{
		bulletinList(), bulletinPage(), updateList(), updatePage(), packageList(), packagePage(), cveList(), cvePage(),
	}}
}

// severities are those to choose from in filters.
var severities = []string{string(catalog.Critical), string(catalog.Important), string(catalog.Moderate), string(catalog.Low), string(catalog.None)}

// one reads the row of a list whose column has a value; nil where there is none.
func one[T any](q *page.Request, path, column, value string) (*T, error) {
	list, err := page.Get[api.List[*T]](q, path, column, value, "limit", "1")
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	return list.Items[0], nil
}

// link is an address that a vendor names, where a browser can go there without harm; else "".
func link(address string) string {
	if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") {
		return address
	}
	return ""
}

// chosen does something with the bulletins of the rows that were chosen.
func chosen(do func(q *page.Request, ids ...string) (page.Outcome, error)) func(q *page.Request) (page.Outcome, error) {
	return func(q *page.Request) (page.Outcome, error) {
		ids, err := q.Chosen(q.T("Choose at least one row."))
		if err != nil {
			return page.Outcome{}, err
		}
		return do(q, ids...)
	}
}
