package policies_test

import (
	"net/url"
	"strings"
	"testing"

	"thatch/console/api/apitest"
	"thatch/console/api/policies/policiestest"
	"thatch/console/page/pagetest"
	"thatch/console/page/policies"
	"thatch/node/identity"
	made "thatch/node/policies"
)

// start opens the pages of a node with something to order.
func start(t testing.TB) *pagetest.Browser {
	t.Helper()
	b := pagetest.Start(t, apitest.Routes, policies.Area())
	policiestest.Fill(t, b.Node, 4)
	return b
}

func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

// order makes a policy of KB1.
func order(t testing.TB, b *pagetest.Browser, name string) string {
	t.Helper()
	var created made.Created
	draft := made.Draft{Name: name, Bulletins: []string{"KB1"}}
	if err := apitest.Local(t, b.Node).Post(t.Context(), "/policies", draft, &created); err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// lacks fails a test where an answer has a text.
func lacks(t testing.TB, a pagetest.Answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(pagetest.Main(a.Body), text) {
			t.Errorf("the page has %q:\n%s", text, pagetest.Main(a.Body))
		}
	}
}

func TestListOfPolicies(t *testing.T) {
	b := start(t)
	b.Get(t, "/policies").Has(t, "There is no policy yet", `href="/policies/new"`)
	first, second := order(t, b, "February"), order(t, b, "March <b>")
	b.Get(t, "/policies").Has(t, "February", "March &lt;b&gt;", "waiting", "0 %")
	b.Post(t, "/policies", form("do", "pause", "key", first, "key", second)).Has(t, "2 policies are paused.", "it is paused")
	b.Post(t, "/policies", form("do", "resume", "key", first)).Has(t, "1 policy goes on.")
	b.Post(t, "/policies", form("do", "disable", "key", first, "key", "policy:none")).Has(t, "1 policy is switched off.", "policy:none")
	answer := b.Get(t, "/policies?enabled=false")
	answer.Has(t, "February")
	lacks(t, answer, "March")
	b.Post(t, "/policies", form("do", "enable", "key", first)).Has(t, "1 policy is switched on.")
	b.Post(t, "/policies", form("do", "enable")).Has(t, "Choose at least one policy.")
	b.Language = "de"
	b.Get(t, "/policies").Has(t, "Richtlinien", "Einschalten", "wartet")
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/policies"), "/policies/new", `value="pause"`)
	if answer := b.Post(t, "/policies", form("do", "pause", "key", first)); answer.Status != 403 {
		t.Errorf("a viewer pauses a policy: %d", answer.Status)
	}
}

func TestSeverities(t *testing.T) {
	b := start(t)
	b.Get(t, "/severities").Has(t, "There are no severities of your own yet")
	b.Post(t, "/severities", form("do", "create", "name", "This week", "order", "x")).Has(t, "no whole number", `value="This week"`)
	b.Post(t, "/severities", form("do", "create", "name", "This week")).Has(t, "This week is made.", "This week")
	b.Post(t, "/severities", form("do", "create", "name", "This week")).Has(t, "ere is a custom severity")
	b.Post(t, "/severities", form("do", "create", "name", "<i>", "order", "5")).Has(t, "&lt;i&gt;")
	b.Post(t, "/severities", form("do", "change", "id", "This week", "name", "Today", "order", "90")).Has(t, "Today is changed.", `value="90"`)
	if err := b.Node.Bulletins.AssignSeverity(t.Context(), "Today", "b1"); err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/severities").Has(t, "Its bulletins get")
	b.Post(t, "/severities", form("do", "delete", "id", "Today", "called", "Today")).Has(t, "is that of 1 bulletins")
	b.Post(t, "/severities", form("do", "delete", "id", "Today", "called", "Today", "reassign", "none")).Has(t, "Today is deleted.")
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/severities"), "<button", "<form")
}
