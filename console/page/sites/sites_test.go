package sites_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/console/api/hierarchy"
	"thatch/console/api/hints"
	"thatch/console/api/links"
	"thatch/console/api/nodes"
	"thatch/console/api/operators"
	"thatch/console/api/payloads"
	"thatch/console/api/policies"
	"thatch/console/api/tree"
	"thatch/console/page/administration"
	"thatch/console/page/pagetest"
	"thatch/console/page/sites"
	"thatch/node/identity"
	"thatch/replication/replicationtest"
)

// site is a site that runs, with a browser before its console.
type site struct {
	*replicationtest.Linked
	*pagetest.Browser
}

func start(t testing.TB, name string, languages ...string) site {
	t.Helper()
	s := replicationtest.Start(t, replicationtest.Config{Name: name, Languages: languages})
	if err := s.Sisters().Settled(t.Context()); err != nil { // the node tells of itself while it serves already
		t.Fatal(err)
	}
	routes := append(hierarchy.Routes(s.Node), links.Routes(s.Node, s.Link, s.Rounds)...)
	routes = slices.Concat(routes, payloads.Routes(s.Node), tree.Routes(s.Node), operators.Routes(s.Node), policies.Routes(s.Node), nodes.Routes(s.Node), hints.Routes(s.Node))
	return site{s, pagetest.Open(s.Node, api.New(s.Node, routes...), sites.Area(), administration.Area())}
}

// family is a parent and its child, linked.
func family(t testing.TB) (parent, child site) {
	t.Helper()
	parent, child = start(t, "Bern", "de", "en"), start(t, "Wien", "en", "fr")
	child.Join(t, parent.Linked)
	parent.Eventually(t, "the child tells its languages", func() error {
		if !strings.Contains(parent.Get(t, "/hierarchy").Body, ">fr<") {
			return errors.New("not yet")
		}
		return nil
	})
	child.Eventually(t, "the link stands", func() error {
		if !child.Link.State().Connected {
			return errors.New("not yet")
		}
		return nil
	})
	return parent, child
}

func form(pairs ...string) url.Values {
	values := url.Values{"token": {pagetest.Token}}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

// lacks fails a test where the content of a page has a text.
func lacks(t testing.TB, a pagetest.Answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(pagetest.Main(a.Body), text) {
			t.Errorf("%d: the page has %q:\n%s", a.Status, text, pagetest.Main(a.Body))
		}
	}
}

func TestASiteThatStandsAlone(t *testing.T) {
	s := start(t, "Bern")
	s.Get(t, "/hierarchy").Has(t, "stands alone", "No site manages a language yet", "Make a token", "Join a parent")
	s.Post(t, "/hierarchy", form("do", "language", "tag", "not a tag")).Has(t, "is no language tag", `value="not a tag"`)
	s.Post(t, "/hierarchy", form("do", "language", "tag", "DE")).Has(t, "manages de now", "●")
	s.Post(t, "/hierarchy", form("do", "join", "parent", "nonsense", "child-token", "tc1-x")).Has(t, `role="alert"`, `value="nonsense"`)
	s.Get(t, "/sites/nobody").Has(t, "There is no site")
	s.Operator.Scope = identity.Operate
	lacks(t, s.Get(t, "/hierarchy"), "Make a token", "Join a parent", "<button")
	for _, do := range []string{"token", "language", "join", "leave", "revoke"} {
		if got := s.Send(t, "/hierarchy", form("do", do)); got.Status != http.StatusForbidden {
			t.Errorf("%s by an operator answers %d", do, got.Status)
		}
	}
}

func TestTheTree(t *testing.T) {
	parent, child := family(t)
	top := parent.Get(t, "/hierarchy")
	top.Has(t, "Bern", "Wien", "this site", "heard of", "lacking: sites below need it", `name="tag" value="fr"`, "Manage fr here too")
	if strings.Count(top.Body, `class="site`) != 2 {
		t.Error("the tree does not show two sites")
	}
	parent.Post(t, "/hierarchy", form("do", "language", "tag", "fr")).Has(t, "manages fr now")
	lacks(t, parent.Get(t, "/hierarchy"), `class="mark lacking"`+"x", `name="tag" value="fr"`)
	below := child.Get(t, "/hierarchy")
	below.Has(t, "This site is a child of Bern", "Leave the parent", `<span class="state">parent</span>`)
	parent.Language = "de"
	parent.Get(t, "/hierarchy").Has(t, "diese Site", "zuletzt gehört")
}

func TestATokenIsShownOnceAndLetsAChildIn(t *testing.T) {
	parent, child := start(t, "Bern", "en"), start(t, "Wien", "en")
	parent.Post(t, "/hierarchy", form("do", "token", "name", "", "days", "3")).Has(t, `role="alert"`)
	made := parent.Post(t, "/hierarchy", form("do", "token", "name", "Wien <b>", "days", "3"))
	made.Has(t, "shown now and never again", "thatch child join --parent https://127.0.0.1:", "data-copy")
	token := regexp.MustCompile(`tc1-[A-Za-z0-9_-]+`).FindString(made.Body)
	listed := parent.Get(t, "/hierarchy")
	listed.Has(t, "Wien &lt;b&gt;", "Tokens that nobody used yet")
	lacks(t, listed, token)
	child.Post(t, "/hierarchy", form("do", "join", "parent", parent.URL(), "child-token", "tc1-wrong")).Has(t, `role="alert"`)
	child.Post(t, "/hierarchy", form("do", "join", "parent", parent.URL(), "child-token", token)).Has(t, "is a child of Bern now")
	child.Post(t, "/hierarchy", form("do", "leave", "force", "yes")).Has(t, "stands alone now")
}

func TestRevokeAToken(t *testing.T) {
	s := start(t, "Bern")
	s.Post(t, "/hierarchy", form("do", "token", "name", "Wien", "days", "x")).Has(t, "is no whole number", `value="x"`)
	s.Post(t, "/hierarchy", form("do", "token", "name", "Wien"))
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(s.Get(t, "/hierarchy").Body)[1]
	s.Post(t, "/hierarchy", form("do", "revoke", "id", id)).Has(t, "lets nobody in any more")
	lacks(t, s.Get(t, "/hierarchy"), "Tokens that nobody used yet")
}

func TestAChildsPage(t *testing.T) {
	parent, child := family(t)
	address := "/sites/" + child.Linked.Site().ID
	parent.Get(t, address).Has(t, "Wien", "a child of this site", "Last contact", "Rules that reach it", "What passed over the link", "Limits of the link", "Compliance")
	parent.Post(t, address, form("do", "rename", "name", "Vindobona <i>")).Has(t, "It is called Vindobona &lt;i&gt; here now")
	stands := parent.Get(t, address)
	version := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(stands.Body)[1]
	limit := func(rate, windows string) pagetest.Answer {
		return parent.Post(t, address, form("do", "limit", "version", version, "rate", rate, "windows", windows))
	}
	limit("slow", "").Has(t, "is no number of kilobytes", `value="slow"`)
	limit("500", "at night").Has(t, "want [WEEKDAYS]", "at night</textarea>")
	limit("500", "saturday,sunday 00:00+24h\n20:00+10h Europe/Berlin\n").Has(t, "within these limits", `value="500"`, "10h Europe/Berlin")
	stale := limit("600", "")
	if stale.Has(t, `role="alert"`, `value="600"`); stale.Status != http.StatusConflict {
		t.Errorf("another version of the form answers %d", stale.Status)
	}
	parent.Operator.Scope = identity.Viewer
	lacks(t, parent.Get(t, address), "<button name", "Shut it out", "Replicate now")
	for _, do := range []string{"rename", "limit", "revoke", "remove", "replicate", "verify"} {
		if got := parent.Send(t, address, form("do", do)); got.Status != http.StatusForbidden {
			t.Errorf("%s by a viewer answers %d", do, got.Status)
		}
	}
	parent.Operator.Scope = identity.Administrator
	parent.Post(t, address, form("do", "revoke", "reason", "stolen")).Has(t, "The site is shut out", "stolen")
	parent.Post(t, address, form("do", "remove")).Has(t, "The site is removed")
	child.Get(t, "/sites/"+parent.Linked.Site().ID).Has(t, "the parent of this site", "What passed over the link")
}
