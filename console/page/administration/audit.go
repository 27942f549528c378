package administration

import (
	"encoding/json"
	"net/http"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/identity"
)

func auditList() *page.Page {
	return &page.Page{
		Path: "/audit", Title: "Audit", Scope: identity.Administrator, Takes: "GET /audit",
		Help: page.Help{
			Text:    "Every change, newest first: who, what, when, and how it stood before and after, without secrets. A row opens a change with all that is kept of it.",
			Command: []string{"thatch audit list", "thatch audit list --filter 'actor=operator Ada'"},
		},
		List: &page.List{
			Path: "/audit", Key: "index", Limit: 50,
			Columns: []page.Column{
				{Name: "at", Title: "When", Kind: page.Time, Link: "/audit/{index}"},
				{Name: "actor", Title: "Who", Kind: page.Said, Groups: true},
				{Name: "action", Title: "What", Kind: page.Said, Wide: true, Link: "/audit/{index}"},
				{Name: "changed", Title: "Before and after", Wide: true, Unsorted: true, Unfiltered: true},
				{Name: "index", Title: "Number", Kind: page.Number},
				{Name: "subject", Title: "Of what", Hidden: true},
				{Name: "detail", Title: "What was asked for", Wide: true, Unsorted: true, Unfiltered: true, Hidden: true},
				{Name: "request", Title: "Request", Hidden: true},
			},
			Views: []page.ListView{{Title: "All", Query: ""}, {Title: "People and tools", Query: "actor=operator*"}, {Title: "By whom", Query: "grouped=actor"}},
			Empty: "Nobody changed anything yet.",
		},
	}
}

// auditEntry is a change with what was asked for.
type auditEntry struct {
	identity.Entry
	Fields []alteredField
	Asked  []item
	Plain  string // where it is no object
}

// alteredField is a field that differs, as people read it.
type alteredField struct{ Field, Before, After string }

func alteredFields(q *page.Request, changes []identity.Change) []alteredField {
	fields := make([]alteredField, 0, len(changes))
	for _, c := range changes {
		fields = append(fields, alteredField{reader{q}.path(c.Field), reader{q}.said(c.Before), reader{q}.said(c.After)})
	}
	return fields
}

func auditOne() *page.Page {
	return &page.Page{
		Path: "/audit/{index}", Nav: "/audit", Title: "Change", Scope: identity.Administrator, Takes: "GET /audit",
		Help: page.Help{
			Text:    "One change: who made it, when, how it stood before and after, and what was asked for, without secrets.",
			Command: []string{"thatch audit list --filter index=NUMBER --json"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			found, err := page.Get[api.List[identity.Entry]](q, "/audit", "index", q.Var("index"))
			if err != nil {
				return nil, err
			}
			if len(found.Items) == 0 {
				return nil, &api.Error{Status: http.StatusNotFound, Code: "not_found", Text: q.T("There is no change %s. It may be older than what is kept.", q.Var("index"))}
			}
			var entries []auditEntry
			for _, e := range found.Items {
				entry := auditEntry{Entry: e, Asked: readable(q, json.RawMessage(e.Detail)), Fields: alteredFields(q, e.Changes)}
				if entry.Asked == nil {
					entry.Plain = e.Detail
				}
				entries = append(entries, entry)
			}
			return &page.View{Template: "administration-change.html", Data: entries, Title: q.T("Change number %s", q.Var("index")), Crumbs: []page.Link{{Text: q.T("Audit"), To: "/audit"}}}, nil
		},
	}
}
