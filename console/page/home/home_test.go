package home_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"thatch/console/api/apitest"
	"thatch/console/page/home"
	"thatch/console/page/pagetest"
	"thatch/node/identity"
	op "thatch/node/operators"
	"thatch/node/operators/operatorstest"
)

func start(t *testing.T) *pagetest.Browser {
	return pagetest.Start(t, apitest.Routes, home.Area())
}

func TestEmptySite(t *testing.T) {
	b := start(t)
	home := b.Get(t, "/")
	home.Has(t, "What needs you now", "Nothing. All is as it should be.", "Add the first computer", "None is known to be open here.", "<svg")
	if len(home.Body) > 100_000 {
		t.Errorf("the page has %d bytes", len(home.Body))
	}
	b.Get(t, "/help").Has(t, "From an empty site to patched computers", `<li class="done"><a href="/site">`, `<li><a href="/catalog">`)
	b.Language = "de"
	b.Get(t, "/").Has(t, "Was jetzt zu tun ist", "Übersicht")
	b.Get(t, "/help").Has(t, "Tasten")
}

func TestChosenParts(t *testing.T) {
	b := start(t)
	b.Home = []string{"sites", "bulletins", "what is no more"}
	body := pagetest.Main(b.Get(t, "/").Body)
	if strings.Contains(body, "<h2>Configuration Summary") || strings.Index(body, "<h2>Sites") > strings.Index(body, "<h2>Software Bulletin") {
		t.Errorf("the parts are not those chosen: %s", body)
	}
}

// TestChoosing keeps the parts that an operator chose, in the order of their places, and leaves other preferences alone.
func TestChoosing(t *testing.T) {
	b := start(t)
	form := url.Values{"do": {"parts"}, "part": {"sites", "needs", "delivery"}, "place-sites": {"1"}, "place-needs": {"10"}, "place-delivery": {"9"}}
	b.Post(t, "/", form).Has(t, "Whoever calls is no operator") // without an account there is nothing to keep it in
	made := operatorstest.Make(t, b.Node.Operators, op.Draft{Name: "ada", Scope: identity.Viewer})
	b.Operator = identity.Operator{Name: "ada", ID: made.ID, Scope: identity.Viewer}
	if err := b.Node.Operators.SetPreferences(t.Context(), made.ID, op.Preferences{Language: "en"}); err != nil {
		t.Fatal(err)
	}
	b.Post(t, "/", form).Has(t, "Your home page is as you chose.")
	kept, err := b.Node.Operators.Preferences(t.Context(), made.ID)
	if err != nil || !slices.Equal(kept.Home, []string{"sites", "delivery", "needs"}) || kept.Language != "en" {
		t.Errorf("kept %+v, %v", kept, err)
	}
}
