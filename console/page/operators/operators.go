// Package operators is the console's pages of the people who work at it: who they are, their roles, links and sessions.
package operators

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"

	"thatch/console/api"
	routes "thatch/console/api/operators"
	"thatch/console/page"
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
	return page.Area{Templates: templates, Pages: []*page.Page{list(), fresh(), one()}}
}

var scopes = []identity.Scope{identity.Viewer, identity.Operate, identity.Approver, identity.Administrator}

func administers(do func(q *page.Request) (page.Outcome, error)) page.Act {
	return page.Act{Scope: identity.Administrator, Do: do}
}

func list() *page.Page {
	return &page.Page{
		Path: "/operators", Title: "Operators", Scope: identity.Administrator, Takes: "GET /operators",
		Help: page.Help{
			Text:    "Who works at this console, with what role, for which part of the site. A new operator gets a link, good once, and chooses a password there.",
			Command: []string{"thatch operators list", "thatch operators create anna --scope operator"},
		},
		List: &page.List{
			Path: "/operators", Key: "id", Sort: "name",
			Columns: []page.Column{
				{Name: "name", Title: "Name", Link: "/operators/{id}"},
				{Name: "display", Title: "For people"},
				{Name: "scope", Title: "Role", Kind: page.State, Groups: true, Choices: []string{"viewer", "operator", "approver", "administrator"}},
				{Name: "second_factor", Title: "Second factor", Kind: page.Flag},
				{Name: "disabled", Title: "Kept out", Kind: page.Flag},
				{Name: "signed_in", Title: "Last signed in", Kind: page.Ago},
				{Name: "created", Title: "Made", Kind: page.Time, Hidden: true},
				{Name: "created_by", Title: "Made by", Hidden: true},
			},
			Views: []page.ListView{{Title: "All", Query: ""}, {Title: "Administrators", Query: "scope=administrator"}, {Title: "Kept out", Query: "disabled=true"}},
			Empty: "Nobody but whoever may read the data folder works here yet.",
			Head:  func(*page.Request) (string, any, error) { return "operators-head.html", nil, nil },
		},
	}
}

func fresh() *page.Page {
	return &page.Page{
		Path: "/operators/new", Nav: "/operators", Title: "Make an operator", Scope: identity.Administrator, Takes: "POST /operators",
		Help: page.Help{
			Text:    "The role says what an operator may do. A part limits it to groups of computers, or to sites with all below them.",
			Command: []string{"thatch operators create anna --scope operator --groups berlin"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			return &page.View{Template: "operators-form.html", Data: form{Scopes: scopes, Scope: q.Value("scope", string(identity.Viewer))}, Crumbs: crumbs(q)}, nil
		},
		Acts: map[string]page.Act{"create": administers(create)},
	}
}

// form is what the form of an operator is given.
type form struct {
	operators.Operator
	New      bool
	Scopes   []identity.Scope
	Scope    string
	Groups   string
	Sites    string
	Sessions []operators.Opened
}

func crumbs(q *page.Request) []page.Link {
	return []page.Link{{Text: q.T("Operators"), To: "/operators"}}
}

func create(q *page.Request) (page.Outcome, error) {
	made, err := page.Send[routes.Made](q, http.MethodPost, "/operators", operators.Draft{
		Name: q.Form("name"), Display: q.Form("display"), Scope: identity.Scope(q.Form("scope")), Part: part(q), Subject: q.Form("subject"),
	})
	if err != nil {
		return page.Outcome{}, err
	}
	return told(q, made.Name, made.Link), nil
}

// part is the part of the site that a form names, one group or site in a line, or separated by commas.
func part(q *page.Request) identity.Part {
	words := func(field string) []string {
		var found []string
		for _, word := range strings.FieldsFunc(q.Form(field), func(c rune) bool { return c == ',' || c == '\n' || c == '\r' }) {
			if word = strings.TrimSpace(word); word != "" {
				found = append(found, word)
			}
		}
		return found
	}
	return identity.Part{Groups: words("groups"), Sites: words("sites")}
}

// told shows a link, which is told but once.
func told(q *page.Request, name string, link routes.Link) page.Outcome {
	return page.Outcome{Once: &page.View{
		Template: "operators-link.html", Title: q.T("A link for %s", name), Crumbs: crumbs(q), Data: map[string]any{"Name": name, "Link": link},
	}}
}

func one() *page.Page {
	return &page.Page{
		Path: "/operators/{operator}", Nav: "/operators", Title: "Operator", Scope: identity.Administrator, Takes: "GET /operators/{operator}",
		Help: page.Help{
			Text:    "Everything about one operator. Who gets another role or part signs in again; who is kept out is out at once.",
			Command: []string{"thatch operators show anna", "thatch operators reset anna", "thatch operators sessions list anna"},
		},
		Show: show,
		Acts: map[string]page.Act{
			"change": administers(change),
			"reset": administers(func(q *page.Request) (page.Outcome, error) {
				link, err := page.Send[routes.Link](q, http.MethodPost, page.To("operators", q.Var("operator"), "reset"),
					routes.Reset{SecondFactor: q.Form("second") != ""})
				if err != nil {
					return page.Outcome{}, err
				}
				return told(q, q.Form("called"), link), nil
			}),
			"lock":   verb("lock", "Kept out, and every session ended."),
			"unlock": verb("unlock", "Let in again."),
			"end": administers(func(q *page.Request) (page.Outcome, error) {
				segments := []string{"operators", q.Var("operator"), "sessions"}
				if id := q.Form("session"); id != "" {
					segments = append(segments, id)
				}
				_, err := page.Send[api.None](q, http.MethodDelete, page.To(segments...), nil)
				return page.Outcome{Note: q.T("Ended.")}, err
			}),
			"delete": administers(func(q *page.Request) (page.Outcome, error) {
				_, err := page.Send[api.None](q, http.MethodDelete, page.To("operators", q.Var("operator")), nil)
				return page.Outcome{To: "/operators", Note: q.T("Deleted.")}, err
			}),
		},
	}
}

func verb(word, note string) page.Act {
	return administers(func(q *page.Request) (page.Outcome, error) {
		_, err := page.Send[operators.Operator](q, http.MethodPost, page.To("operators", q.Var("operator"), word), nil)
		return page.Outcome{Note: q.T(note)}, err
	})
}

func show(q *page.Request) (*page.View, error) {
	o, err := page.Get[operators.Operator](q, page.To("operators", q.Var("operator")))
	if err != nil {
		return nil, err
	}
	opened, err := page.Get[api.List[operators.Opened]](q, page.To("operators", q.Var("operator"), "sessions"))
	if err != nil {
		return nil, err
	}
	return &page.View{Template: "operators-one.html", Title: o.Name, Crumbs: crumbs(q), Data: form{
		Operator: o, Scopes: scopes, Scope: q.Value("scope", string(o.Scope)),
		Groups: strings.Join(o.Part.Groups, ", "), Sites: strings.Join(o.Part.Sites, ", "), Sessions: opened.Items,
	}}, nil
}

func change(q *page.Request) (page.Outcome, error) {
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	name, display, subject, scope, limited := q.Form("name"), q.Form("display"), q.Form("subject"), identity.Scope(q.Form("scope")), part(q)
	_, err = page.Send[operators.Operator](q, http.MethodPut, page.To("operators", q.Var("operator")), routes.Change{
		Edit: operators.Edit{Name: &name, Display: &display, Scope: &scope, Part: &limited, Subject: &subject}, From: version,
	})
	return page.Outcome{Note: q.T("Changed.")}, err
}
