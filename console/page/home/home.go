// Package home is the console's first page, whose parts each operator chooses and orders, and its help.
package home

import (
	"embed"
	"io/fs"
	"net/http"
	"slices"

	"thatch/console/api/overview"
	"thatch/console/page"
	"thatch/console/page/chart"
	"thatch/console/page/reports"
	"thatch/node/identity"
	"thatch/node/operators"
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
		{
			Path: "/", Title: "Home",
			Help: page.Help{
				Text:    "How this site stands at a glance. Choose the parts that you want to see, and their order, under My Home.",
				Command: []string{"thatch overview", "thatch delivery --days 30"},
			},
			Show: show,
			Acts: map[string]page.Act{"parts": {Scope: identity.Viewer, Do: choose}},
		},
		help(),
	}}
}

// Part is a part of the page that can be chosen.
type Part struct {
	Name  string // in preferences
	Title string // in English
	Broad bool   // takes the whole width
}

// parts are all of them, in their first order.
var parts = []Part{
	{Name: "needs", Title: "What needs you now", Broad: true},
	{Name: "vulnerabilities", Title: "Vulnerabilities"},
	{Name: "vulnerabilities-graph", Title: "Vulnerabilities (graph)"},
	{Name: "exploited", Title: "Exploited in the wild and still open"},
	{Name: "delivery", Title: "Software Update Delivery Summary"},
	{Name: "delivery-graph", Title: "Software Update Delivery Summary (graph)"},
	{Name: "compliance-graph", Title: "Compliance over time (graph)"},
	{Name: "bulletins", Title: "Software Bulletin Summary"},
	{Name: "computers", Title: "Managed computers in use"},
	{Name: "configuration", Title: "Configuration Summary"},
	{Name: "sites", Title: "Sites and the age of what they say", Broad: true},
}

// drawnDays is how many days the chart of compliance shows.
const drawnDays = 30

// shown is what the page's template is given.
type shown struct {
	overview.Overview
	Parts   []Part
	Choices []choice
	Deliver page.HTML
	Open    page.HTML
	Days    page.HTML // "" none is over yet
	Worked  float64   // percent of attempts that succeeded
}

type choice struct {
	Part
	On    bool
	Place int // from 1
}

func show(q *page.Request) (*page.View, error) {
	o, err := page.Get[overview.Overview](q, "/overview")
	if err != nil {
		return nil, err
	}
	s := shown{Overview: o, Parts: chosen(q.Session.Home)}
	for _, p := range parts {
		at := slices.IndexFunc(s.Parts, func(c Part) bool { return c.Name == p.Name })
		place := at + 1
		if at < 0 {
			place = len(s.Parts) + 1
		}
		s.Choices = append(s.Choices, choice{p, at >= 0, place})
	}
	if s.Delivery.Executed > 0 {
		s.Worked = 100 * float64(s.Delivery.Succeeded) / float64(s.Delivery.Executed)
	}
	s.Deliver, s.Open = deliveries(q, o), open(q, o)
	if slices.ContainsFunc(s.Parts, func(p Part) bool { return p.Name == "compliance-graph" }) {
		s.Days, err = reports.OverTime(q, drawnDays)
	}
	return &page.View{Template: "home.html", Data: s}, err
}

// chosen are the parts of an operator's choice; all where there is none.
func chosen(names []string) []Part {
	var list []Part
	for _, name := range names {
		if at := slices.IndexFunc(parts, func(p Part) bool { return p.Name == name }); at >= 0 {
			list = append(list, parts[at])
		}
	}
	if list == nil {
		return parts
	}
	return list
}

// choose keeps which parts an operator wants, in the order of the numbers beside them.
func choose(q *page.Request) (page.Outcome, error) {
	type placed struct {
		name, place string
	}
	var list []placed
	for _, p := range parts {
		if slices.Contains(q.Forms("part"), p.Name) {
			place := q.Form("place-" + p.Name)
			list = append(list, placed{p.Name, "000"[:max(0, 3-len(place))] + place})
		}
	}
	slices.SortStableFunc(list, func(a, b placed) int {
		if a.place < b.place {
			return -1
		}
		if a.place > b.place {
			return 1
		}
		return 0
	})
	preferences, err := page.Get[operators.Preferences](q, "/self/preferences")
	if err != nil {
		return page.Outcome{}, err
	}
	preferences.Home = nil
	for _, p := range list {
		preferences.Home = append(preferences.Home, p.name)
	}
	if _, err := page.Send[operators.Preferences](q, http.MethodPut, "/self/preferences", preferences); err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{Note: q.T("Your home page is as you chose.")}, nil
}

func deliveries(q *page.Request, o overview.Overview) page.HTML {
	c := chart.Chart{Title: q.T("Attempts to install, day by day"), Series: []chart.Series{{Name: q.T("Succeeded")}, {Name: q.T("Failed")}, {Name: q.T("Still missing")}}}
	for _, day := range o.Delivery.Days {
		c.Labels = append(c.Labels, q.Day(day.Day))
		for i, n := range []int{day.Succeeded, day.Failed, day.Remained} {
			c.Series[i].Values = append(c.Series[i].Values, float64(n))
		}
	}
	c.Series[1], c.Series[2] = c.Series[2], c.Series[1] // what failed is red, the third colour
	return c.Bars(q.Words)
}

func open(q *page.Request, o overview.Overview) page.HTML {
	c := chart.Chart{Title: q.T("Bulletins that computers here still need, by severity"), Series: []chart.Series{{Name: q.T("Bulletins")}}}
	for _, s := range o.Vulnerabilities {
		c.Labels = append(c.Labels, q.T(s.Severity))
		c.Series[0].Values = append(c.Series[0].Values, float64(s.Bulletins))
	}
	return c.Rows(q.Words)
}
