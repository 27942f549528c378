// Package sites is the console's pages of the tree of sites: who stands where, what goes over the links, and this site.
package sites

import (
	"embed"
	"io/fs"
	"net"
	"strings"

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
		tree(), oneSite(), ownSite(), hintsPage(), overview(), linkRuns(), linkRun(), quarantine(), newRule(), oneRule(), // new before {id}: the first that fits answers
	}}
}

// reachable is the address HOST:PORT of a node as somebody elsewhere calls it: a node that listens on all addresses is
// called by the name that the browser called it by.
func reachable(q *page.Request, listens string) string {
	host, port, err := net.SplitHostPort(listens)
	if err != nil {
		return listens
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(q.R.Host); err != nil {
			host = strings.Trim(q.R.Host, "[]")
		}
	}
	return net.JoinHostPort(host, port)
}
