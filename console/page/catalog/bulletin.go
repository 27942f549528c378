package catalog

import (
	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/bulletins/staging"
	"thatch/node/computers/compliance/report"
	"thatch/node/policies"
	"thatch/node/rollups"
)

// bulletinShown is what the page of a bulletin shows.
type bulletinShown struct {
	bulletins.Detail
	Article    string // the vendor's, "" none that can be linked
	Here       *report.BulletinRow
	Tree       *rollups.BulletinRow // nil where this site stands alone
	Severities []page.Option
	Moving     bool // something is on its way
	Updates    *page.Table
	CVEs       *page.Table
	Policies   *page.Table
}

func bulletinPage() *page.Page {
	act := func(do func(q *page.Request, ids ...string) (page.Outcome, error)) page.Act {
		return page.Act{Do: func(q *page.Request) (page.Outcome, error) { return do(q, q.Var("id")) }}
	}
	return &page.Page{
		Path: "/bulletins/{id}", Nav: "/bulletins", Title: "Bulletin",
		Help: page.Help{
			Text:    "Everything known of one bulletin: what it fixes, its updates and how far they are staged, which policies hold it, and which computers need it.",
			Command: []string{"thatch bulletins show KB5000001", "thatch bulletins stage KB5000001", "thatch compliance bulletins --filter bulletin=KB5000001"},
		},
		Show: showBulletin,
		Acts: map[string]page.Act{"stage": act(stage), "unstage": act(unstage), "severity": act(assign), "never": act(never), "offer": act(offer)},
	}
}

func showBulletin(q *page.Request) (*page.View, error) {
	d, err := page.Get[bulletins.Detail](q, page.To("bulletins", q.Var("id")))
	if err != nil {
		return nil, err
	}
	shown := &bulletinShown{Detail: d, Article: link(d.URL)}
	if shown.Here, err = one[report.BulletinRow](q, "/compliance/bulletins", "id", d.ID); err != nil {
		return nil, err
	}
	if q.Allows("GET /compliance/tree/bulletins") {
		if shown.Tree, err = one[rollups.BulletinRow](q, "/compliance/tree/bulletins", "id", d.ID); err != nil {
			return nil, err
		}
	}
	if shown.Tree != nil && shown.Tree.Sites < 2 {
		shown.Tree = nil
	}
	if q.Allows("POST /bulletins/severity") {
		if shown.Severities, err = customSeverities(q); err != nil {
			return nil, err
		}
	}
	if d.Row.Policies > 0 {
		holding, err := page.Get[api.List[*policies.PolicyRow]](q, "/policies", "bulletins", d.Name)
		if err != nil {
			return nil, err
		}
		shown.Policies = q.Grid(holding.Items, policyColumns()...)
	}
	for _, u := range d.UpdateList {
		shown.Moving = shown.Moving || u.Status == staging.Downloading
	}
	shown.Updates = q.Grid(d.UpdateList, updatesOf()...)
	shown.CVEs = q.Grid(d.CVEList, page.Column{Name: "id", Title: "CVE", Link: "/cves/{id}"},
		page.Column{Name: "severity", Title: "Severity", Kind: page.Severity},
		page.Column{Name: "score", Title: "CVSS", Kind: page.Score},
		page.Column{Name: "exploited", Title: "Exploited", Kind: page.Flag},
		page.Column{Name: "disclosed", Title: "Disclosed", Kind: page.Flag},
		page.Column{Name: "title", Title: "Description", Wide: true})
	return &page.View{
		Template: "catalog-bulletin.html", Data: shown, Title: d.Name,
		Crumbs: []page.Link{{Text: q.T("Patch Remediation Center"), To: "/bulletins"}},
	}, nil
}

// updatesOf are the columns of updates below what they belong to.
func updatesOf() []page.Column {
	return []page.Column{
		{Name: "update", Title: "Update", Link: "/updates/{id}"},
		{Name: "product", Title: "Product"},
		{Name: "severity", Title: "Severity", Kind: page.Severity},
		{Name: "status", Title: "Staging", Kind: page.State},
		{Name: "text", Title: "Why", Kind: page.Said, Wide: true},
		{Name: "packages", Title: "Packages", Kind: page.Number},
		{Name: "superseded", Title: "Superseded", Kind: page.Flag},
	}
}

func policyColumns() []page.Column {
	return []page.Column{
		{Name: "policy", Title: "Policy", Link: "/policies/{id}", Wide: true},
		{Name: "state", Title: "State", Kind: page.State},
		{Name: "targeted", Title: "Computers", Kind: page.Number},
		{Name: "done", Title: "Done", Kind: page.Number},
		{Name: "waiting", Title: "Waiting", Kind: page.Number},
		{Name: "failed", Title: "Failed", Kind: page.Number},
	}
}
