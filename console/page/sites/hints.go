package sites

import (
	"net/http"

	"thatch/console/api"
	"thatch/console/api/hints"
	"thatch/console/api/nodes"
	"thatch/console/page"
	"thatch/node/identity"
)

// hintsPage lists which node the computers of which subnet talk to.
func hintsPage() *page.Page {
	return &page.Page{
		Path: "/site/hints", Nav: "/site", Title: "Nearest node",
		Help: page.Help{
			Text:    "Agents measure the nodes of their site, talk to one of the quickest, and go over to another within seconds when theirs does not answer. A hint has the computers of a subnet talk to one node as long as it answers; of several subnets that hold an address the smallest counts.",
			Command: []string{"thatch site hints set 10.1.0.0/16 berlin-2", "thatch site hints list", "thatch site hints remove 10.1.0.0/16"},
		},
		List: &page.List{
			Path: "/site/hints", Key: "subnet", Sort: "subnet",
			Columns: []page.Column{
				{Name: "subnet", Title: "Subnet"},
				{Name: "name", Title: "Node", Groups: true},
				{Name: "gone", Title: "Node is gone", Kind: page.Flag},
				{Name: "note", Title: "Note", Wide: true},
				{Name: "by", Title: "By", Hidden: true},
				{Name: "changed", Title: "Changed", Kind: page.Time},
				{Name: "node", Title: "Id", Hidden: true},
			},
			Actions: []page.Action{{Name: "remove", Title: "Remove hints", Call: "DELETE /site/hints/{key}", Scope: identity.Administrator, Danger: true, Confirm: "Remove the chosen hints? The computers of these subnets choose their node by how quick it is."}},
			Empty:   "No hint has been given: agents choose by how quick the nodes answer.",
			Head: func(q *page.Request) (string, any, error) {
				all, err := page.Get[api.List[nodes.Node]](q, "/site/nodes")
				return "sites-hints.html", all.Items, err
			},
		},
		Acts: map[string]page.Act{
			"set": {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) {
				row, err := page.Send[hints.Row](q, http.MethodPut, "/site/hints", hints.Set{Subnet: q.Form("of"), Node: q.Form("at"), Note: q.Form("for")})
				return page.Outcome{Note: q.T("Computers of %s talk to node %s.", row.Subnet, row.Name)}, err
			}},
			"remove": {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) {
				for _, subnet := range q.Forms("key") {
					if _, err := page.Send[api.None](q, http.MethodDelete, page.To("site", "hints", subnet), nil); err != nil {
						return page.Outcome{}, err
					}
				}
				return page.Outcome{Note: q.Words.Count("1 hint was removed.", "%s hints were removed.", len(q.Forms("key")))}, nil
			}},
		},
	}
}
