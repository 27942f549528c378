package home_test

import (
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/console/api/overview"
	"thatch/console/page/home"
	"thatch/console/page/pagetest"
	"thatch/node"
)

func start(t *testing.T) *pagetest.Browser {
	return pagetest.Start(t, func(n *node.Node) []api.Route { return overview.Routes(n) }, home.Area())
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
	b.Get(t, "/").Has(t, "Was Sie jetzt braucht", "Übersicht")
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
