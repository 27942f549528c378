package reports

import (
	"slices"
	"strconv"

	"thatch/console/api"
	"thatch/console/api/reports"
	"thatch/console/page"
	"thatch/console/page/chart"
	"thatch/node/bulletins"
	"thatch/node/computers/compliance/report"
)

func byBulletin() *page.Page {
	return &page.Page{
		Path: "/reports/bulletins", Nav: "/reports", Title: "Compliance by Bulletin", Acts: remedy,
		Help: page.Help{
			Text:    "Counts are computers: of those that a bulletin concerns, how many have it and how many miss it. Superseded updates are left out of what is missing. Choose bulletins and stage them, or make a policy of them, right here.",
			Command: []string{"thatch compliance bulletins --filter severity=Critical --sort -missing"},
		},
		List: &page.List{
			Path: "/compliance/bulletins", Past: true, Key: "id", Sort: "-missing", Limit: 75, Actions: remedies,
			Columns: slices.Concat([]page.Column{
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "custom_severity", Title: "Custom Severity", Groups: true, Hidden: true},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "month", Title: "Month", Groups: true},
				{Name: "updates", Title: "Updates", Kind: page.Number, Link: "/reports/updates?bulletin={bulletin}"},
			}, counts("/reports/updates?bulletin={bulletin}"), []page.Column{
				pending,
				{Name: "no_rule", Title: "Without a rule", Kind: page.Number, Hidden: true},
				{Name: "superseded", Title: "Superseded", Kind: page.Flag, Hidden: true},
				{Name: "source", Title: "Source", Hidden: true, Groups: true},
				{Name: "title", Title: "Description", Wide: true},
			}),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Needed here", Query: "missing=>0&sort=-missing"},
				{Title: "Critical and open", Query: "missing=>0&severity=Critical&sort=-missing"},
				{Title: "Exploited and open", Query: "exploited=true&missing=>0&sort=-missing"},
				{Title: "Failed", Query: "failed=>0&sort=-failed"},
				{Title: "By month", Query: "grouped=month&sort=-month"},
			},
			Empty: "Nothing can be told yet: import a catalog on the page Catalog, and enrol computers.",
			Head: drawn(func(q *page.Request) (page.HTML, error) {
				return bySeverity(q, "bulletins", q.T("Bulletins by severity"))
			}),
		},
	}
}

// bySeverity draws how many rows of a report are complete and open, by severity.
func bySeverity(q *page.Request, of, title string) (page.HTML, error) {
	lines, err := page.Get[api.List[*reports.Line]](q, "/compliance/summary", "of", of, "as_of", q.AsOf())
	if err != nil {
		return "", err
	}
	c := chart.Chart{Title: title, Series: []chart.Series{
		{Name: q.T("Nothing missing")}, {Name: q.T("Open")}, {Name: q.T("Exploited and open")},
	}}
	for _, l := range lines.Items {
		c.Labels = append(c.Labels, q.T(l.Name))
		for i, value := range []int{l.Complete, l.Open - l.Exploited, l.Exploited} {
			c.Series[i].Values = append(c.Series[i].Values, float64(value))
		}
	}
	if empty(c) {
		return "", nil
	}
	return c.Rows(q.Words), nil
}

func updates() *page.Page {
	return &page.Page{
		Path: "/reports/updates", Nav: "/reports", Title: "Compliance by Update", Acts: remedy,
		Help: page.Help{
			Text:    "Each update with the computers that have it and that miss it. Its name leads to the computers. Staging and policies are of the bulletins that the chosen updates belong to.",
			Command: []string{"thatch compliance updates --filter 'missing=>0' --sort -missing", "thatch compliance update 17 --filter status=missing"},
		},
		List: &page.List{
			Path: "/compliance/updates", Past: true, Key: "bulletin", Sort: "-missing", Limit: 75, Actions: remedies,
			Columns: slices.Concat([]page.Column{
				{Name: "update", Title: "Update", Link: "/reports/updates/{id}", Wide: true},
				{Name: "kb", Title: "KB", Hidden: true},
				{Name: "bulletin", Title: "Bulletin", Groups: true},
				{Name: "product", Title: "Product", Groups: true},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "month", Title: "Month", Groups: true, Hidden: true},
			}, counts("/reports/updates/{id}?status=missing"), []page.Column{
				pending,
				{Name: "superseded", Title: "Superseded", Kind: page.Flag},
				{Name: "no_rule", Title: "Without a rule", Hidden: true, Choices: []string{"yes", "no"}},
			}),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Needed here", Query: "missing=>0&sort=-missing"},
				{Title: "Exploited and open", Query: "exploited=true&missing=>0&sort=-missing"},
				{Title: "Failed", Query: "failed=>0&sort=-failed"},
				{Title: "Cannot tell", Query: "unknown=>0&sort=-unknown"},
				{Title: "By product", Query: "grouped=product&missing=>0"},
			},
			Empty: "Nothing can be told yet: import a catalog on the page Catalog, and enrol computers.",
			Head:  drawn(func(q *page.Request) (page.HTML, error) { return bySeverity(q, "updates", q.T("Updates by severity")) }),
		},
	}
}

// updateComputers are the computers that an update concerns.
func updateComputers() *page.Page {
	return &page.Page{
		Path: "/reports/updates/{id}", Nav: "/reports", Title: "Computers of an update",
		Help: page.Help{
			Text:    "The computers that an update concerns, and how it stands on each. The status leads to why: rule by rule, policy, target, window, content and attempts.",
			Command: []string{"thatch compliance update UPDATE", "thatch computers why COMPUTER UPDATE"},
		},
		List: &page.List{
			Path: "/compliance/updates/{id}/computers", Key: "id", Sort: "computer",
			Columns: []page.Column{
				{Name: "computer", Title: "Computer", Link: "/computers/{id}"},
				{Name: "group", Title: "Group", Groups: true},
				{
					Name: "status", Title: "Status", Kind: page.State, Link: "/computers/{id}/updates/{update}", Groups: true,
					Choices: []string{"missing", "failed", "installed", "unknown", "pending"},
				},
				{Name: "last_seen", Title: "Last seen", Kind: page.Ago},
			},
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Missing", Query: "status=missing,failed"},
				{Title: "Installed", Query: "status=installed"},
				{Title: "Cannot tell", Query: "status=unknown"},
			},
			Empty: "No computer of this site is concerned by this update.",
			Named: func(q *page.Request) (string, []page.Link, error) {
				u, err := page.Get[bulletins.UpdateDetail](q, page.To("updates", q.Var("id")))
				return u.Name, []page.Link{{Text: q.T("Reports"), To: "/reports"}, {Text: q.T("Compliance by Update"), To: "/reports/updates"}}, err
			},
			Head: func(q *page.Request) (string, any, error) { return "reports-update.html", q.Var("id"), nil },
		},
	}
}

func cves() *page.Page {
	return &page.Page{
		Path: "/reports/cves", Nav: "/reports", Title: "Compliance by CVE",
		Help: page.Help{
			Text:    "Each vulnerability with the computers on which it is open: an update against it applies there and is not installed.",
			Command: []string{"thatch compliance cves --filter exploited=yes --filter 'missing=>0'"},
		},
		List: &page.List{
			Path: "/compliance/cves", Past: true, Key: "cve", Sort: "-missing",
			Columns: slices.Concat([]page.Column{
				{Name: "cve", Title: "CVE", Link: "/cves/{cve}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "score", Title: "CVSS", Kind: page.Score},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "disclosed", Title: "Disclosed", Kind: page.Flag},
				{Name: "updates", Title: "Updates", Kind: page.Number, Hidden: true},
			}, counts(""), []page.Column{
				pending,
				{Name: "bulletins", Title: "Bulletins", Hidden: true},
				{Name: "title", Title: "Description", Wide: true},
			}),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Open", Query: "missing=>0&sort=-missing"},
				{Title: "Exploited and open", Query: "exploited=true&missing=>0&sort=-missing"},
				{Title: "Disclosed and open", Query: "disclosed=true&missing=>0&sort=-missing"},
				{Title: "Critical and open", Query: "missing=>0&severity=Critical&sort=-score"},
			},
			Empty: "No vulnerability is known yet: import a catalog on the page Catalog.",
			Head: drawn(func(q *page.Request) (page.HTML, error) {
				return bySeverity(q, "cves", q.T("Vulnerabilities by severity"))
			}),
		},
	}
}

// drawnMonths is how many months a chart shows.
const drawnMonths = 24

func months() *page.Page {
	return &page.Page{
		Path: "/reports/months", Nav: "/reports", Title: "Compliance by Month",
		Help: page.Help{
			Text:    "Each month's bulletins together: a computer counts as complete when it misses none of them that concerns it.",
			Command: []string{"thatch compliance months"},
		},
		List: &page.List{
			Path: "/compliance/months", Past: true, Key: "month", Sort: "-month",
			Columns: slices.Concat([]page.Column{
				{Name: "month", Title: "Month", Link: "/reports/bulletins?month={month}"},
				{Name: "bulletins", Title: "Bulletins", Kind: page.Number, Link: "/reports/bulletins?month={month}"},
				{Name: "updates", Title: "Updates", Kind: page.Number},
			}, counts("/reports/bulletins?missing=%3E0&month={month}"), []page.Column{pending}),
			Views: []page.ListView{{Title: "All"}, {Title: "Needed here", Query: "missing=>0&sort=-month"}},
			Empty: "Nothing can be told yet: import a catalog on the page Catalog, and enrol computers.",
			Head: drawn(func(q *page.Request) (page.HTML, error) {
				list, err := page.Get[api.List[*report.MonthRow]](q, "/compliance/months", "sort", "-month", "limit", strconv.Itoa(drawnMonths), "as_of", q.AsOf())
				if err != nil {
					return "", err
				}
				c := chart.Chart{Title: q.T("Computers by month"), Series: []chart.Series{{Name: q.T("Installed")}, {Name: q.T("Missing")}}}
				slices.Reverse(list.Items)
				for _, m := range list.Items {
					c.Labels = append(c.Labels, m.Month)
					c.Series[0].Values = append(c.Series[0].Values, float64(m.Installed))
					c.Series[1].Values = append(c.Series[1].Values, float64(m.Missing))
				}
				if empty(c) {
					return "", nil
				}
				return c.Bars(q.Words), nil
			}),
		},
	}
}
