package reports

import (
	"slices"
	"strconv"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/console/page/chart"
	"thatch/node/computers/history"
)

// drawnDays is how many days a chart shows.
const drawnDays = 60

func overTime() *page.Page {
	of := func(path string) string { return "/reports/" + path + "as_of={day}" }
	return &page.Page{
		Path: "/reports/days", Nav: "/reports", Title: "Compliance over time",
		Help: page.Help{
			Text:    "What the reports said at the end of each day. A day leads to the reports of that day. Complete is a computer that reported, misses nothing, and of which nothing cannot be told; it needs attention when it misses what is critical or exploited, an install failed, or two machines seem to be one. How long days are kept, and in which time zone they end, are settings.",
			Command: []string{"thatch compliance days --sort -day", "thatch compliance computers --as-of 2026-03-31"},
		},
		List: &page.List{
			Path: "/compliance/days", Key: "day", Sort: "-day",
			Columns: []page.Column{
				{Name: "day", Title: "Day", Kind: page.Date, Link: of("bulletins?")},
				{Name: "computers", Title: "Computers", Kind: page.Number, Link: of("computers?")},
				{Name: "complete", Title: "Complete computers", Kind: page.Number, Link: of("computers?complete=true&")},
				{Name: "attention", Title: "Needs attention", Kind: page.Number, Link: of("computers?attention=true&")},
				{Name: "exploited", Title: "Exploited and open", Kind: page.Number, Link: of("computers?exploited=%3E0&")},
				{Name: "failed", Title: "Failed", Kind: page.Number, Link: of("computers?failed=%3E0&")},
				{Name: "silent", Title: "Not reporting", Kind: page.Number, Link: of("computers?silent=true&")},
				{Name: "percent", Title: "Installed of what is needed", Kind: page.Percent},
				{Name: "missing", Title: "Missing", Kind: page.Number, Link: of("updates?missing=%3E0&")},
				{Name: "bulletins", Title: "Bulletins needed", Kind: page.Number, Link: of("bulletins?missing=%3E0&")},
				{Name: "cves", Title: "Open CVEs", Kind: page.Number, Link: of("cves?missing=%3E0&")},
				{Name: "in_the_wild", Title: "Exploited CVEs, open", Kind: page.Number, Link: of("cves?exploited=true&missing=%3E0&")},
				{Name: "taken", Title: "Taken", Kind: page.Time, Hidden: true},
			},
			Empty: "No day is kept yet: the figures of a day are kept when it is over.",
			Head:  drawn(func(q *page.Request) (page.HTML, error) { return OverTime(q, drawnDays) }),
		},
	}
}

// OverTime draws how many computers were complete at the end of the latest days; "" where there is nothing to show.
func OverTime(q *page.Request, days int) (page.HTML, error) {
	list, err := page.Get[api.List[*history.Day]](q, "/compliance/days", "sort", "-day", "limit", strconv.Itoa(days))
	if err != nil {
		return "", err
	}
	slices.Reverse(list.Items)
	c := chart.Chart{Title: q.T("Computers by day"), Series: []chart.Series{
		{Name: q.T("Complete")}, {Name: q.T("Not complete")}, {Name: q.T("Needs attention")},
	}}
	for _, day := range list.Items {
		c.Labels = append(c.Labels, day.Day[5:])
		rest := max(0, day.Computers-day.Complete-day.Attention)
		for i, value := range []int{day.Complete, rest, day.Attention} {
			c.Series[i].Values = append(c.Series[i].Values, float64(value))
		}
	}
	if empty(c) {
		return "", nil
	}
	return c.Bars(q.Words), nil
}
