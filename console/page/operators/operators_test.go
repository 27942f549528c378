package operators_test

import (
	"net/http"
	"net/url"
	"testing"

	routes "thatch/console/api/operators"
	"thatch/console/page/operators"
	"thatch/console/page/pagetest"
	"thatch/node/identity"
	room "thatch/node/operators"
	"thatch/node/operators/operatorstest"
)

func TestOperators(t *testing.T) {
	b := pagetest.Start(t, routes.Routes, operators.Area())
	b.Get(t, "/operators").Has(t, "Nobody but whoever may read the data folder", "/operators/new")
	b.Get(t, "/operators/new").Has(t, "Name to sign in with", `value="viewer" selected`)
	b.Post(t, "/operators/new", url.Values{"do": {"create"}, "name": {"<b>"}, "scope": {"operator"}, "groups": {"berlin"}}).
		Has(t, `role="alert"`, `value="&lt;b&gt;"`, `value="operator" selected`, `value="berlin"`)
	b.Post(t, "/operators/new", url.Values{"do": {"create"}, "name": {"anna"}, "display": {"Anna <i>"}, "scope": {"operator"}, "groups": {"berlin, paris"}}).
		Has(t, "/sign-in/first?code=", "Give it to anna")
	operatorstest.Make(t, b.Node.Operators, room.Draft{Name: "bert", Scope: identity.Administrator})
	cookie := operatorstest.SignIn(t, b.Node.Operators, "bert")
	b.Get(t, "/operators").Has(t, "anna", "Anna &lt;i&gt;", "bert")
	anna, bert := "/operators/anna", "/operators/bert"
	b.Get(t, anna).Has(t, "berlin, paris", "not chosen yet", "Not signed in anywhere.")
	b.Get(t, bert).Has(t, "192.0.2.1", "End all")
	b.Post(t, anna, url.Values{"do": {"change"}, "name": {"anna"}, "scope": {"approver"}, "version": {"1"}}).Has(t, "Changed.", `value="approver" selected`)
	b.Post(t, anna, url.Values{"do": {"change"}, "name": {"anna"}, "scope": {"viewer"}, "version": {"1"}}).Has(t, `role="alert"`)
	b.Post(t, anna, url.Values{"do": {"change"}, "name": {"anna"}, "scope": {"viewer"}, "version": {"latest"}}).Has(t, "The form names no version.")
	b.Post(t, anna, url.Values{"do": {"reset"}, "called": {"anna"}, "second": {"1"}}).Has(t, "/sign-in/first?code=")
	b.Post(t, anna, url.Values{"do": {"lock"}}).Has(t, "Let in again")
	b.Post(t, anna, url.Values{"do": {"unlock"}}).Has(t, "Let in again.", "Keep out")
	b.Post(t, bert, url.Values{"do": {"end"}}).Has(t, "Ended.", "Not signed in anywhere.")
	if _, err := b.Node.Operators.Session(t.Context(), cookie); err == nil {
		t.Error("the session lives on")
	}
	b.Post(t, bert, url.Values{"do": {"delete"}}).Has(t, `role="alert"`) // the last administrator
	b.Post(t, anna, url.Values{"do": {"delete"}}).Has(t, "Deleted.")
	if got := b.Get(t, "/operators/nobody"); got.Status != http.StatusNotFound {
		t.Errorf("nobody: %d", got.Status)
	}
	b.Language = "de"
	b.Get(t, "/operators").Has(t, "Bediener anlegen")
	b.Operator.Scope = identity.Approver
	if got := b.Get(t, "/operators"); got.Status != http.StatusForbidden {
		t.Errorf("an approver: %d", got.Status)
	}
}
