package reports

import (
	"slices"

	"thatch/console/api"
	"thatch/console/api/reports"
	"thatch/console/page"
	"thatch/console/page/chart"
	"thatch/node/rollups"
)

func computers() *page.Page {
	return &page.Page{
		Path: "/reports/computers", Nav: "/reports", Title: "Compliance by Computer",
		Help: page.Help{
			Text:    "Each computer with how many of the updates that concern it are installed and missing. A computer is complete when it reported, misses nothing, and nothing cannot be told; it is not reporting when it never did, or was not heard of for the time of the setting health.silent. What it has not evaluated yet is neither installed nor missing.",
			Command: []string{"thatch compliance computers --filter 'percent=<95' --sort percent"},
		},
		List: &page.List{
			Path: "/compliance/computers", Past: true, Key: "id", Sort: "-missing",
			Columns: slices.Concat([]page.Column{
				{Name: "computer", Title: "Computer", Link: "/computers/{id}"},
				{Name: "group", Title: "Group", Groups: true},
				{Name: "product", Title: "Product", Groups: true},
				{Name: "platform", Title: "Platform", Groups: true, Hidden: true},
				{Name: "languages", Title: "Languages", Hidden: true},
				{Name: "last_seen", Title: "Last seen", Kind: page.Ago},
			}, slices.DeleteFunc(counts("/computers/{id}"), func(c page.Column) bool { return c.Name == "scheduled" }), []page.Column{
				{Name: "critical", Title: "Critical missing", Kind: page.Number},
				{Name: "exploited", Title: "Exploited", Kind: page.Number},
				{Name: "superseded", Title: "Superseded", Kind: page.Number, Hidden: true},
				pending,
				{Name: "complete", Title: "Complete computer", Kind: page.Flag, Hidden: true},
				{Name: "attention", Title: "Needs attention", Kind: page.Flag, Hidden: true},
				{Name: "silent", Title: "Not reporting", Kind: page.Flag, Hidden: true},
				{Name: "simulated", Title: "Simulated", Kind: page.Flag, Hidden: true},
			}),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Below 95 %", Query: "percent=<95&sort=percent"},
				{Title: "Critical missing", Query: "critical=>0&sort=-critical"},
				{Title: "Exploited and open", Query: "exploited=>0&sort=-exploited"},
				{Title: "Cannot tell", Query: "unknown=>0&sort=-unknown"},
				{Title: "By group", Query: "grouped=group"},
				{Title: "By product", Query: "grouped=product"},
			},
			Empty: "No computer is managed yet. Make a token on the page Add computers, and run the lines shown there on a computer.",
			Head:  drawn(degrees),
		},
	}
}

// degrees draws the computers by how much they miss.
func degrees(q *page.Request) (page.HTML, error) {
	lines, err := page.Get[api.List[*reports.Line]](q, "/compliance/summary", "of", "computers", "as_of", q.AsOf())
	if err != nil {
		return "", err
	}
	names := map[string]string{
		reports.Complete: q.T("Complete"), reports.Nearly: q.T("95 % and more"), reports.Partly: q.T("80 % and more"),
		reports.Barely: q.T("less than 80 %"), reports.Untold: q.T("said nothing yet"),
	}
	c := chart.Chart{Title: q.T("Computers by how much is installed of what concerns them"), Series: []chart.Series{
		{Name: q.T("Computers")}, {Name: q.T("Exploited and open")},
	}}
	for _, l := range lines.Items {
		c.Labels = append(c.Labels, names[l.Name])
		c.Series[0].Values = append(c.Series[0].Values, float64(l.Known-l.Exploited))
		c.Series[1].Values = append(c.Series[1].Values, float64(l.Exploited))
	}
	if empty(c) {
		return "", nil
	}
	return c.Rows(q.Words), nil
}

func sites() *page.Page {
	return &page.Page{
		Path: "/reports/sites", Nav: "/reports", Title: "Compliance by Site",
		Help: page.Help{
			Text:    "This site and all below it, each with those below it. Sites tell their figures upward: how old the oldest of them is stands beside it. Counts are of pairs of a computer and a bulletin.",
			Command: []string{"thatch compliance tree sites"},
		},
		List: &page.List{
			Path: "/compliance/tree/sites", Past: true, Key: "id",
			Columns: slices.Concat([]page.Column{
				{Name: "site", Title: "Site", Link: "/reports/sites/{id}", Unsorted: true},
				{Name: "depth", Title: "Levels down", Kind: page.Number, Hidden: true},
				{Name: "below", Title: "Sites below", Kind: page.Number},
				{Name: "computers", Title: "Computers", Kind: page.Number},
				{Name: "not_reporting", Title: "Not reporting", Kind: page.Number},
				{Name: "moved", Title: "Moved", Kind: page.Number, Hidden: true},
			}, counts(""), []page.Column{
				{Name: "alarms", Title: "Alarms", Kind: page.Number},
				{Name: "untold", Title: "Never told", Kind: page.Number, Hidden: true},
				{Name: "as_of", Title: "Figures of", Kind: page.Ago, Unfiltered: true},
				{Name: "heard", Title: "Heard of", Kind: page.Ago, Hidden: true, Unfiltered: true},
				{Name: "version", Title: "Version", Hidden: true},
			}),
			Views: []page.ListView{
				{Title: "Tree"},
				{Title: "Least complete first", Query: "sort=percent"},
				{Title: "Oldest figures first", Query: "sort=as_of"},
				{Title: "With alarms", Query: "alarms=>0&sort=-alarms"},
			},
			Empty: "No site has told how it fares yet.",
			Head:  tree,
		},
	}
}

// branch is a site with those below it.
type branch struct {
	*rollups.SiteRow
	Share int // of the percentage, in steps of the meter; -1 none
	Below []*branch
}

// maxTree is how many sites are drawn.
const maxTree = "200"

// tree draws the sites; a site alone is no tree.
func tree(q *page.Request) (string, any, error) {
	list, err := page.Get[api.List[*rollups.SiteRow]](q, "/compliance/tree/sites", "limit", maxTree, "as_of", q.AsOf())
	if err != nil {
		return "", nil, err
	}
	at := map[string]*branch{}
	var tops []*branch
	for _, row := range list.Items {
		b := &branch{SiteRow: row, Share: -1}
		if row.Percent != nil {
			b.Share = int(*row.Percent / 5)
		}
		at[row.ID] = b
		if above := at[row.Parent]; above != nil {
			above.Below = append(above.Below, b)
		} else {
			tops = append(tops, b)
		}
	}
	if len(list.Items) < 2 {
		tops = nil
	}
	return "reports-tree.html", tops, nil
}

// site is the bulletins of one site and those below it.
func site() *page.Page {
	return &page.Page{
		Path: "/reports/sites/{site}", Nav: "/reports", Title: "Bulletins of a site", Acts: remedy,
		Help: page.Help{
			Text:    "What the computers of a site, and of the sites below it, need, by bulletin, as these sites last told it.",
			Command: []string{"thatch compliance tree bulletins --of berlin --sort -missing"},
		},
		List: &page.List{
			Path: "/compliance/tree/bulletins", Past: true, Args: []string{"of", "{site}"}, Key: "id", Sort: "-missing", Limit: 75, Actions: remedies,
			Columns: slices.Concat([]page.Column{
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "month", Title: "Month", Groups: true},
			}, counts(""), []page.Column{
				{Name: "sites", Title: "Sites", Kind: page.Number},
				{Name: "as_of", Title: "Figures of", Kind: page.Ago, Unfiltered: true},
				{Name: "title", Title: "Description", Wide: true},
			}),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Open", Query: "missing=>0&sort=-missing"},
				{Title: "Exploited and open", Query: "exploited=true&missing=>0&sort=-missing"},
			},
			Empty: "This site has not told how it stands yet.",
			Named: func(q *page.Request) (string, []page.Link, error) {
				list, err := page.Get[api.List[*rollups.SiteRow]](q, "/compliance/tree/sites", "of", q.Var("site"), "limit", "1", "as_of", q.AsOf())
				name := q.Var("site")
				if len(list.Items) > 0 {
					name = list.Items[0].Site
				}
				return q.T("Bulletins of %s", name), []page.Link{{Text: q.T("Reports"), To: "/reports"}, {Text: q.T("Compliance by Site"), To: "/reports/sites"}}, err
			},
		},
	}
}
