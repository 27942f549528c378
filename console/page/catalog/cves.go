package catalog

import (
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/computers/compliance/report"
)

func cveList() *page.Page {
	return &page.Page{
		Path: "/cves", Title: "CVEs",
		Help: page.Help{
			Text:    "The vulnerabilities that the bulletins fix, with the computers of this site that are open to each.",
			Command: []string{"thatch updates cves --filter exploited=yes --sort -score", "thatch compliance cves --filter exploited=yes"},
		},
		List: &page.List{
			Path: "/compliance/cves", Key: "cve", Sort: "-cve",
			Columns: []page.Column{
				{Name: "cve", Title: "CVE", Link: "/cves/{cve}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "score", Title: "CVSS", Kind: page.Score},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag, Groups: true},
				{Name: "disclosed", Title: "Disclosed", Kind: page.Flag},
				{Name: "missing", Title: "Open computers", Kind: page.Number},
				{Name: "percent", Title: "Compliance", Kind: page.Percent},
				{Name: "updates", Title: "Updates", Kind: page.Number},
				{Name: "bulletins", Title: "Bulletins", Hidden: true},
				{Name: "title", Title: "Description", Wide: true},
				{Name: "installed", Title: "Installed", Kind: page.Number, Hidden: true},
				{Name: "unknown", Title: "Cannot tell", Kind: page.Number, Hidden: true},
			},
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "Exploited", Query: "exploited=true"},
				{Title: "Open here", Query: "missing=>0&sort=-missing"},
				{Title: "Exploited and open here", Query: "exploited=true&missing=>0&sort=-missing"},
				{Title: "Highest score", Query: "sort=-score"},
			},
			Empty: "No vendor catalog that names vulnerabilities has been imported yet. Import one on the page Catalog.",
		},
	}
}

// cveShown is what the page of a vulnerability shows.
type cveShown struct {
	bulletins.CVEDetail
	Record    string // the public one
	Here      *report.CVERow
	Bulletins *page.Table
	Updates   *page.Table
	Computers *page.Table // nil: nobody counts it
}

func cvePage() *page.Page {
	return &page.Page{
		Path: "/cves/{id}", Nav: "/cves", Title: "CVE",
		Help: page.Help{
			Text:    "One vulnerability: how severe it is, whether it is exploited, which bulletins and updates fix it, and which computers are open to it.",
			Command: []string{"thatch updates cve CVE-2019-0540", "thatch compliance cve CVE-2019-0540"},
		},
		Show: showCVE,
	}
}

func showCVE(q *page.Request) (*page.View, error) {
	d, err := page.Get[bulletins.CVEDetail](q, page.To("cves", q.Var("id")))
	if err != nil {
		return nil, err
	}
	shown := &cveShown{CVEDetail: d, Updates: q.Grid(d.UpdateList, append([]page.Column{{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{bulletin_id}"}}, updatesOf()...)...)}
	if len(d.ID) > 4 && d.ID[:4] == "CVE-" {
		shown.Record = "https://www.cve.org/CVERecord?id=" + d.ID
	}
	shown.Bulletins = q.Grid(d.BulletinList, bulletinsOf()...)
	if shown.Here, err = one[report.CVERow](q, "/compliance/cves", "cve", d.ID); err != nil {
		return nil, err
	}
	if shown.Here != nil {
		if shown.Computers, err = q.Table(computersOf("/cves/{id}/computers", "/computers/{id}")); err != nil {
			return nil, err
		}
	}
	return &page.View{Template: "catalog-cve.html", Data: shown, Title: d.ID, Crumbs: []page.Link{{Text: q.T("CVEs"), To: "/cves"}}}, nil
}

// bulletinsOf are the columns of bulletins below what they belong to.
func bulletinsOf() []page.Column {
	return []page.Column{
		{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
		{Name: "severity", Title: "Severity", Kind: page.Severity},
		{Name: "staged", Title: "Staged", Kind: page.Flag},
		{Name: "policies", Title: "Policies", Kind: page.Number},
		{Name: "updates", Title: "Updates", Kind: page.Number},
		{Name: "downloaded", Title: "Downloaded", Kind: page.Number},
		{Name: "needed", Title: "Needed", Kind: page.Number},
		{Name: "title", Title: "Description", Wide: true},
	}
}
