package catalog

import (
	"net/http"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/identity"
)

// bulletins is the Patch Remediation Center.
func bulletins() *page.Page {
	return &page.Page{
		Path: "/bulletins", Title: "Patch Remediation Center",
		Help: page.Help{
			Text:    "All bulletins of the vendors' catalogs. Choose some and stage them: every package of theirs that matters to this site is downloaded and checked. Policies are made of staged bulletins.",
			Command: []string{"thatch bulletins list --filter severity=Critical --sort -released", "thatch bulletins stage KB5000001"},
		},
		List: &page.List{
			Path: "/bulletins", Key: "id", Sort: "-released",
			Columns: []page.Column{
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "custom_severity", Title: "Custom Severity", Groups: true},
				{Name: "staged", Title: "Staged", Kind: page.Flag},
				{Name: "policies", Title: "Policies", Kind: page.Number},
				{Name: "updates", Title: "Updates", Kind: page.Number},
				{Name: "downloaded", Title: "Downloaded", Kind: page.Number},
				{Name: "released", Title: "Released", Kind: page.Date},
				{Name: "revised", Title: "Revised", Kind: page.Date, Hidden: true},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "cves", Title: "CVEs", Kind: page.Number},
				{Name: "vendor", Title: "Vendor", Hidden: true, Groups: true},
				{Name: "month", Title: "Month", Hidden: true, Groups: true},
				{Name: "title", Title: "Description", Wide: true},
			},
			Views: []page.ListView{
				{Title: "Latest", Query: ""},
				{Title: "By month", Query: "group=month&sort=-month"},
				{Title: "Exploited", Query: "exploited=true"},
				{Title: "Never staged", Query: "staged=false"},
			},
			Actions: []page.Action{
				{Name: "stage", Title: "Stage"},
			},
			Empty: "No vendor catalog has been imported yet. Import one on the page Catalog.",
		},
		Acts: map[string]page.Act{
			"stage": {Scope: identity.Operate, Do: stage},
		},
	}
}

// stage stages the chosen bulletins, and shows the run.
func stage(q *page.Request) (page.Outcome, error) {
	run, err := page.Send[api.Run](q, http.MethodPost, "/bulletins/stage", map[string]any{"bulletins": q.Forms("key")})
	if err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{To: page.To("tasks", "runs", run.Run)}, nil
}
