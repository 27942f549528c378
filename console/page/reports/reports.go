// Package reports is the console's pages that answer questions: what is missing where, what became of what was ordered.
package reports

import (
	"embed"
	"io/fs"
	"net/http"
	"net/url"
	"slices"

	"thatch/catalog"
	"thatch/console/api"
	"thatch/console/page"
	"thatch/console/page/chart"
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
		index(), byBulletin(), updates(), updateComputers(), cves(), months(), computers(), sites(), site(),
		overTime(), delivery(), failures(), vulnerabilities(), details(), superseded(),
	}}
}

// entry is one report of the index.
type entry struct{ Title, Path, Text string }

// section is some reports under one head.
type section struct {
	Title   string
	Reports []entry
}

// sections are the index; the texts are in English, as the message catalog has them.
var sections = []section{
	{Title: "Compliance", Reports: []entry{
		{"Compliance by Bulletin", "/reports/bulletins", ""},
		{"Compliance by Computer", "/reports/computers", ""},
		{"Compliance by Update", "/reports/updates", ""},
		{"Compliance by CVE", "/reports/cves", ""},
		{"Compliance by Month", "/reports/months", ""},
		{"Compliance by Site", "/reports/sites", ""},
		{"Compliance over time", "/reports/days", ""},
	}},
	{Title: "Remediation", Reports: []entry{
		{"Software Update Delivery Summary", "/reports/delivery", ""},
		{"Installs that fail", "/reports/failures", ""},
	}},
	{Title: "Diagnostics", Reports: []entry{
		{"Vulnerability Analysis Summary", "/reports/vulnerabilities", ""},
	}},
	{Title: "Software Bulletins", Reports: []entry{
		{"Software Bulletin Details", "/reports/details", ""},
		{"Superseded Bulletins", "/reports/superseded", ""},
	}},
}

// answers says what each report answers, in a line.
var answers = map[string]func(q *page.Request) string{
	"/reports/bulletins": func(q *page.Request) string {
		return q.T("Which bulletins do my computers need, and how many lack them?")
	},
	"/reports/computers": func(q *page.Request) string { return q.T("Which computers miss most, and which say nothing?") },
	"/reports/updates": func(q *page.Request) string {
		return q.T("Where is a certain update installed, and where is it missing?")
	},
	"/reports/cves":   func(q *page.Request) string { return q.T("Which vulnerabilities are open, and on how many computers?") },
	"/reports/months": func(q *page.Request) string { return q.T("How far is each month's Patch Tuesday?") },
	"/reports/sites": func(q *page.Request) string {
		return q.T("How does each site of the tree stand, and how old are its figures?")
	},
	"/reports/days": func(q *page.Request) string {
		return q.T("How did compliance change from day to day, and what did the reports say then?")
	},
	"/reports/delivery": func(q *page.Request) string {
		return q.T("What was installed in the last 30 days, what failed, and what is not done?")
	},
	"/reports/failures": func(q *page.Request) string { return q.T("Which updates fail to install, and how often?") },
	"/reports/vulnerabilities": func(q *page.Request) string {
		return q.T("How many vulnerabilities need to be addressed, by severity?")
	},
	"/reports/details": func(q *page.Request) string {
		return q.T("What do the vendors' bulletins contain, and what is downloaded of them?")
	},
	"/reports/superseded": func(q *page.Request) string {
		return q.T("Which bulletins are replaced, by what, and are they still in policies?")
	},
}

func index() *page.Page {
	return &page.Page{
		Path: "/reports", Title: "Reports",
		Help: page.Help{
			Text:    "Each report is a list that can be searched, filtered, grouped and kept as an address or a file, with a figure above it. Most lead on: from a bulletin to its updates, from an update to the computers, from a computer to why.",
			Command: []string{"thatch compliance --help", "thatch delivery"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			shown := make([]section, 0, len(sections))
			for _, s := range sections {
				reports := slices.Clone(s.Reports)
				for i := range reports {
					reports[i].Text = answers[reports[i].Path](q)
				}
				shown = append(shown, section{s.Title, reports})
			}
			return &page.View{Template: "reports-index.html", Data: shown}, nil
		},
	}
}

// severities are those to choose from in filters.
var severities = []string{string(catalog.Critical), string(catalog.Important), string(catalog.Moderate), string(catalog.Low), string(catalog.None)}

// counts are the columns of every report of compliance; missing leads to an address, "" nowhere.
func counts(missing string) []page.Column {
	return []page.Column{
		{Name: "percent", Title: "Complete", Kind: page.Percent},
		{Name: "missing", Title: "Missing", Kind: page.Number, Link: missing},
		{Name: "installed", Title: "Installed", Kind: page.Number},
		{Name: "failed", Title: "Failed", Kind: page.Number},
		{Name: "scheduled", Title: "Scheduled", Kind: page.Number, Hidden: true},
		{Name: "unknown", Title: "Cannot tell", Kind: page.Number},
		{Name: "applicable", Title: "Applicable", Kind: page.Number, Hidden: true},
	}
}

// pending is a count that this site alone knows.
var pending = page.Column{Name: "pending", Title: "Pending", Kind: page.Number, Hidden: true}

// figure is what stands above a list: a chart, "" none.
type figure struct{ Chart page.HTML }

// drawn is a head with a chart.
func drawn(draw func(q *page.Request) (page.HTML, error)) func(q *page.Request) (string, any, error) {
	return func(q *page.Request) (string, any, error) {
		drawing, err := draw(q)
		return "reports-head.html", figure{drawing}, err
	}
}

// empty says whether a chart has nothing to show.
func empty(c chart.Chart) bool {
	return !slices.ContainsFunc(c.Series, func(s chart.Series) bool {
		return slices.ContainsFunc(s.Values, func(value float64) bool { return value != 0 })
	})
}

// remedies are what can be done with the bulletins of chosen rows.
var remedies = []page.Action{{Name: "stage", Title: "Stage", Call: "POST /bulletins/stage"}, {Name: "policy", Title: "Make a policy", Call: "POST /policies"}}

var remedy = map[string]page.Act{"stage": {Do: stage}, "policy": {Do: policy}}

// stage stages the chosen bulletins, and shows the run where there is something to download.
func stage(q *page.Request) (page.Outcome, error) {
	keys, err := q.Chosen(q.T("Choose at least one row."))
	if err != nil {
		return page.Outcome{}, err
	}
	answer, err := page.Send[api.StageAnswer](q, http.MethodPost, "/bulletins/stage", api.Named{Bulletins: keys})
	if err != nil {
		return page.Outcome{}, err
	}
	note := q.Words.Count("1 bulletin is staged.", "%s bulletins are staged.", len(answer.Bulletins))
	if answer.Run == "" {
		return page.Outcome{Note: note}, nil
	}
	return page.Outcome{To: page.To("tasks", "runs", answer.Run), Note: note}, nil
}

// policy begins a policy of the chosen bulletins.
func policy(q *page.Request) (page.Outcome, error) {
	keys, err := q.Chosen(q.T("Choose at least one row."))
	return page.Outcome{To: "/policies/new?" + url.Values{"bulletin": keys}.Encode()}, err
}
