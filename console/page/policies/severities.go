package policies

import (
	"net/http"

	"thatch/console/api"
	apicatalog "thatch/console/api/catalog"
	"thatch/console/page"
	"thatch/node/bulletins"
)

// severities is the page of the site's own severities.
func severities() *page.Page {
	return &page.Page{
		Path: "/severities", Nav: "/bulletins", Title: "Custom severities",
		Help: page.Help{
			Text:    "Severities of your own, beside those of the vendors: by what matters here. Those with a higher order are more severe. Sites below see them, and cannot change them.",
			Command: []string{"thatch severities create 'This week'", "thatch severities order 'This week' 50"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			all, err := page.Get[api.List[*bulletins.SeverityRow]](q, "/severities", "limit", "500")
			if err != nil {
				return nil, err
			}
			return &page.View{Template: "severities.html", Data: all.Items}, nil
		},
		Acts: map[string]page.Act{
			"create": {Do: func(q *page.Request) (page.Outcome, error) {
				order, err := number(q, "order")
				if err != nil {
					return page.Outcome{}, err
				}
				_, err = page.Send[api.Made](q, http.MethodPost, "/severities", apicatalog.NewSeverity{Name: q.Form("name"), Order: order})
				return page.Outcome{Note: q.T("%s is made.", q.Form("name"))}, err
			}},
			"change": {Do: func(q *page.Request) (page.Outcome, error) {
				order, err := number(q, "order")
				if err != nil {
					return page.Outcome{}, err
				}
				name := q.Form("name")
				_, err = page.Send[api.None](q, http.MethodPut, page.To("severities", q.Form("id")),
					apicatalog.SeverityChange{Name: &name, Order: order, Version: q.Form("version")})
				return page.Outcome{Note: q.T("%s is changed.", name)}, err
			}},
			"delete": {Do: func(q *page.Request) (page.Outcome, error) {
				query := map[string][]string{"version": {q.Form("version")}}
				if to := q.Form("reassign"); to != "" {
					query["reassign"] = []string{to}
				}
				_, err := q.Ask(http.MethodDelete, page.To("severities", q.Form("id")), query, nil)
				return page.Outcome{Note: q.T("%s is deleted.", q.Form("called"))}, err
			}},
		},
	}
}

// number reads a whole number of a form; nil where it is empty.
func number(q *page.Request, field string) (*int, error) {
	if q.Form(field) == "" {
		return nil, nil
	}
	n, err := q.Number(field)
	return &n, err
}
