// Package sites is the console's pages of the tree of sites: who stands where, what goes over the links, and this site.
package sites

import (
	"embed"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"

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
		tree(), oneSite(), ownSite(), overview(), linkRuns(), linkRun(), quarantine(), newRule(), oneRule(), // new before {id}: the first that fits answers
	}}
}

// invalid refuses a form.
func invalid(q *page.Request, text string, args ...any) error {
	return &api.Error{Status: http.StatusBadRequest, Code: "invalid", Text: q.T(text, args...)}
}

// number reads a field of a form as a whole number; an empty one is 0.
func number(q *page.Request, name string) (int, error) {
	text := q.Form(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, invalid(q, "%q is no whole number.", text)
	}
	return n, nil
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
