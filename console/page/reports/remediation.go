package reports

import (
	"slices"
	"strconv"
	"strings"

	"thatch/console/api"
	routes "thatch/console/api/reports"
	"thatch/console/page"
	"thatch/console/page/chart"
	"thatch/node/computers/compliance/report"
	room "thatch/node/computers/delivery"
	"thatch/node/store"
)

// attempts are the columns of attempts.
func attempts() []page.Column {
	return []page.Column{
		{Name: "executed", Title: "Attempts", Kind: page.Number},
		{Name: "succeeded", Title: "Succeeded", Kind: page.Number},
		{Name: "failures", Title: "Failed attempts", Kind: page.Number},
		{Name: "remained", Title: "Still missing after", Kind: page.Number},
		{Name: "last_day", Title: "Latest day", Kind: page.Date},
	}
}

func delivery() *page.Page {
	return &page.Page{
		Path: "/reports/delivery", Nav: "/reports", Title: "Software Update Delivery Summary",
		Help: page.Help{
			Text:    "What became of software update policies: the computers that each means, those that are done, wait or failed, and the attempts to install of the last 30 days. Days are those of UTC.",
			Command: []string{"thatch delivery --days 30", "thatch delivery policies"},
		},
		List: &page.List{
			Path: "/delivery/policies", Past: true, Key: "id",
			Columns: slices.Concat([]page.Column{
				{Name: "policy", Title: "Policy", Link: "/policies/{id}", Wide: true, Called: orUnknown},
				{Name: "state", Title: "State", Kind: page.State, Choices: []string{"waiting", "failed", "done", "paused", "off", "awaiting", "nobody"}, Groups: true},
				{Name: "targeted", Title: "Computers", Kind: page.Number},
				{Name: "done", Title: "Done", Kind: page.Number},
				{Name: "waiting", Title: "Not done", Kind: page.Number},
				{Name: "failed", Title: "Failed", Kind: page.Number},
			}, attempts()),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "With failures", Query: "failed=>0&sort=-failed"},
				{Title: "Not done", Query: "sort=-waiting&waiting=>0"},
				{Title: "Busiest first", Query: "sort=-executed"},
			},
			Empty: "Nothing was ordered yet: stage bulletins, and make a policy of them.",
			Head:  delivered,
		},
	}
}

// outcome is the figures and the chart of attempts.
type outcome struct {
	room.Summary
	Days  int
	Chart page.HTML
}

// orUnknown is the name of a policy; of what is counted without one, that.
func orUnknown(q *page.Request, name string) string {
	if name == routes.Unknown {
		return q.T("not known to this site")
	}
	return name
}

const days = 30

// delivered draws the attempts day by day.
func delivered(q *page.Request) (string, any, error) {
	s, err := page.Get[room.Summary](q, "/delivery", "days", strconv.Itoa(days), "as_of", q.AsOf())
	if err != nil {
		return "", nil, err
	}
	c := chart.Chart{Title: q.T("Attempts to install, by day"), Series: []chart.Series{
		{Name: q.T("Succeeded")}, {Name: q.T("Still missing after")}, {Name: q.T("Failed")},
	}}
	for _, day := range s.Days {
		c.Labels = append(c.Labels, q.Day(day.Day))
		for i, value := range []int{day.Succeeded, day.Remained, day.Failed} {
			c.Series[i].Values = append(c.Series[i].Values, float64(value))
		}
	}
	o := outcome{Summary: s, Days: days}
	if s.Executed > 0 {
		o.Chart = c.Bars(q.Words)
	}
	return "reports-delivery.html", o, nil
}

func failures() *page.Page {
	return &page.Page{
		Path: "/reports/failures", Nav: "/reports", Title: "Installs that fail",
		Help: page.Help{
			Text:    "The attempts to install of the last 30 days by update. Those that fail most often come first; an update's name leads to the computers, and from there to return codes and texts.",
			Command: []string{"thatch delivery updates --sort -failures"},
		},
		List: &page.List{
			Path: "/delivery/updates", Past: true, Key: "id", Sort: "-failures",
			Columns: slices.Concat([]page.Column{
				{Name: "update", Title: "Update", Link: "/reports/updates/{id}?status=failed", Wide: true},
				{Name: "bulletin", Title: "Bulletin", Groups: true},
				{Name: "product", Title: "Product", Groups: true},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
			}, attempts()),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Failed", Query: "failures=>0&sort=-failures"},
				{Title: "Still missing after", Query: "remained=>0&sort=-remained"},
			},
			Empty: "Nothing was installed in the last 30 days.",
		},
	}
}

func vulnerabilities() *page.Page {
	return &page.Page{
		Path: "/reports/vulnerabilities", Nav: "/reports", Title: "Vulnerability Analysis Summary",
		Help: page.Help{
			Text:    "Vulnerabilities by severity: how many are known, how many concern a computer here, how many are closed everywhere and how many are open, and which of those are exploited or were disclosed before there was an update.",
			Command: []string{"thatch compliance summary --of cves"},
		},
		List: &page.List{
			Path: "/compliance/summary", Past: true, Args: []string{"of", "cves"}, Key: "name",
			Columns: []page.Column{
				{Name: "name", Title: "Severity", Kind: page.Severity, Link: "/reports/cves?missing=%3E0&severity={name}", Unsorted: true},
				{Name: "known", Title: "Known", Kind: page.Number, Link: "/reports/cves?severity={name}"},
				{Name: "concerns", Title: "Concern a computer", Kind: page.Number},
				{Name: "complete", Title: "Closed everywhere", Kind: page.Number},
				{Name: "open", Title: "Open", Kind: page.Number, Link: "/reports/cves?missing=%3E0&severity={name}"},
				{Name: "exploited", Title: "Exploited and open", Kind: page.Number, Link: "/reports/cves?exploited=true&missing=%3E0&severity={name}"},
				{Name: "disclosed", Title: "Disclosed and open", Kind: page.Number, Link: "/reports/cves?disclosed=true&missing=%3E0&severity={name}"},
				{Name: "missing", Title: "Pairs of computer and vulnerability", Kind: page.Number},
			},
			Empty: "No vulnerability is known yet: import a catalog on the page Catalog.",
			Head: func(q *page.Request) (string, any, error) {
				drawing, err := bySeverity(q, "cves", q.T("Vulnerabilities by severity"))
				if err != nil {
					return "", nil, err
				}
				worst, err := page.Get[api.List[*report.CVERow]](q, "/compliance/cves", "exploited", "true", "missing", ">0", "sort", "-missing", "limit", "10", "as_of", q.AsOf())
				return "reports-vulnerabilities.html", analysis{drawing, worst}, err
			},
		},
	}
}

// analysis is what stands above the summary of vulnerabilities.
type analysis struct {
	Chart page.HTML
	Worst api.List[*report.CVERow] // exploited and open, on most computers first
}

func details() *page.Page {
	return &page.Page{
		Path: "/reports/details", Nav: "/reports", Title: "Software Bulletin Details", Acts: remedy,
		Help: page.Help{
			Text:    "Everything that the vendors' catalogs say of their bulletins, with what this site made of them: staged, downloaded, in policies.",
			Command: []string{"thatch bulletins list --filter month=2019-02", "thatch bulletins show KB5000001"},
		},
		List: &page.List{
			Path: "/bulletins", Key: "id", Sort: "-released", Limit: 75, Actions: remedies,
			Columns: []page.Column{
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "custom_severity", Title: "Custom Severity", Groups: true},
				{Name: "vendor", Title: "Vendor", Groups: true, Hidden: true},
				{Name: "month", Title: "Month", Groups: true, Hidden: true},
				{Name: "released", Title: "Released", Kind: page.Date},
				{Name: "revised", Title: "Revised", Kind: page.Date},
				{Name: "updates", Title: "Updates", Kind: page.Number, Link: "/updates?bulletin={bulletin}"},
				{Name: "downloaded", Title: "Downloaded", Kind: page.Number},
				{Name: "staged", Title: "Staged", Kind: page.Flag},
				{Name: "policies", Title: "Policies", Kind: page.Number},
				{Name: "cves", Title: "CVEs", Kind: page.Number},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "disclosed", Title: "Disclosed", Kind: page.Flag, Hidden: true},
				{Name: "superseded", Title: "Superseded", Kind: page.Flag, Hidden: true},
				{Name: "title", Title: "Description", Wide: true},
				{Name: "description", Title: "Details", Hidden: true, Unsorted: true},
			},
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Staged, in no policy", Query: "policies=0&staged=true"},
				{Title: "Exploited", Query: "exploited=true"},
				{Title: "By vendor", Query: "grouped=vendor"},
				{Title: "By month", Query: "grouped=month&sort=-month"},
			},
			Empty: "No vendor catalog has been imported yet. Import one on the page Catalog.",
			Head:  drawn(released),
		},
	}
}

// released draws how many bulletins the vendors released by month.
func released(q *page.Request) (page.HTML, error) {
	groups, err := page.Get[api.List[store.Group]](q, "/bulletin-groups", "by", "month")
	if err != nil {
		return "", err
	}
	dated := slices.DeleteFunc(groups.Items, func(g store.Group) bool { return g.Value == "" })
	slices.SortFunc(dated, func(a, b store.Group) int { return strings.Compare(a.Value, b.Value) })
	dated = dated[max(0, len(dated)-drawnMonths):]
	c := chart.Chart{Title: q.T("Bulletins by month"), Series: []chart.Series{{Name: q.T("Bulletins")}}}
	for _, g := range dated {
		c.Labels = append(c.Labels, g.Value)
		c.Series[0].Values = append(c.Series[0].Values, float64(g.Count))
	}
	if empty(c) {
		return "", nil
	}
	return c.Bars(q.Words), nil
}

func superseded() *page.Page {
	return &page.Page{
		Path: "/reports/superseded", Nav: "/reports", Title: "Superseded Bulletins",
		Help: page.Help{
			Text:    "Bulletins all of whose updates are replaced by others, and by which. One that is still in a policy can be taken out when the one that replaces it is ordered.",
			Command: []string{"thatch bulletins superseded --filter 'policies=>0'"},
		},
		List: &page.List{
			Path: "/superseded-bulletins", Key: "id",
			Columns: []page.Column{
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "month", Title: "Month", Groups: true},
				{Name: "released", Title: "Released", Kind: page.Date, Hidden: true},
				{Name: "vendor", Title: "Vendor", Groups: true, Hidden: true},
				{Name: "by", Title: "Replaced by", Wide: true},
				{Name: "by_latest", Title: "By one in force", Kind: page.Flag, Hidden: true},
				{Name: "updates", Title: "Updates", Kind: page.Number},
				{Name: "staged", Title: "Staged", Kind: page.Flag},
				{Name: "policies", Title: "Policies", Kind: page.Number},
				{Name: "title", Title: "Description", Wide: true},
			},
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Still in policies", Query: "policies=>0&sort=-policies"},
				{Title: "Still staged", Query: "staged=true"},
				{Title: "By month", Query: "grouped=month&sort=-month"},
			},
			Empty: "No bulletin is superseded.",
		},
	}
}
