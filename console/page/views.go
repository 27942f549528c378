package page

import (
	"net/http"

	"thatch/console/api"
	"thatch/node/identity"
	"thatch/node/operators"
)

// SavedView is a view that the operator saved.
type SavedView struct {
	Tab
	ID string
}

// saved reads the views that the operator saved of the list; whoever has no account of their own has none.
func (t *Table) saved() error {
	if t.Frame.Session.Operator.ID == "" || !t.OwnPage() {
		return nil
	}
	list, err := Get[api.List[operators.View]](t.Frame, "/self/views", "page", t.Frame.R.URL.EscapedPath())
	for _, v := range list.Items {
		href := t.Frame.R.URL.EscapedPath()
		if v.Query != "" {
			href += "?" + v.Query
		}
		t.Saved = append(t.Saved, SavedView{Tab{Title: v.Name, Href: href, Current: v.Query == t.state.Encode()}, v.ID})
	}
	return err
}

// MaySave says whether there is an operator to save views for.
func (t *Table) MaySave() bool { return t.Frame.Session.Operator.ID != "" }

// OwnPage says whether the list is a page, and not a part of one that has no acts of a list.
func (t *Table) OwnPage() bool {
	p := t.Frame.page
	return p != nil && p.List != nil && p.List.Path == t.Path
}

// listActs are what every list's page does beside its own: saving views of it, and forgetting them.
func listActs(l *List) map[string]Act {
	return map[string]Act{
		"view-save": {Scope: identity.Viewer, Do: func(q *Request) (Outcome, error) {
			state := q.state(l)
			state.Del("page")
			v := operators.View{Page: q.R.URL.EscapedPath(), Name: q.Form("view-name"), Query: state.Encode()}
			_, err := Send[operators.View](q, http.MethodPost, "/self/views", v)
			return Outcome{Note: q.T("Saved as “%s”.", v.Name)}, err
		}},
		"view-forget": {Scope: identity.Viewer, Do: func(q *Request) (Outcome, error) {
			_, err := Send[api.None](q, http.MethodDelete, To("self", "views", q.Form("view")), nil)
			return Outcome{To: q.R.URL.EscapedPath(), Note: q.T("The view is forgotten.")}, err
		}},
	}
}
