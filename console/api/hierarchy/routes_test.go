package hierarchy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/hierarchy"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	tree "thatch/node/sites/hierarchy"
	"thatch/node/store"
	"thatch/replication/replicationtest"
)

var odd = []string{
	"", " ", "0", "-1", "yes", "null", "..", "a/b", "%", "%2F", "%zz", "'", `"`, "\\", "*", "!", ">", ",", "all", "\x00", "\xff\xfe", "ä",
	"{}", "[]", "' OR 1=1 --", "2026-01-01", strings.Repeat("x", 5000), "standard-data", "Berlin", "language-below",
	"00000000-0000-0000-0000-000000000000",
}

var oddBodies = []string{
	"", "{", "{}", "[]", "null", "1", `"x"`, `{"name":null}`, `{"name":{}}`, `{"name":""}`, `{"name":"x","hours":-1}`, `{"name":"x","hours":999999999}`,
	`{"parent":"https://127.0.0.1:1","token":"x"}`, `{"parent":"","token":""}`, `{"urls":[]}`, `{"urls":["x"]}`, `{"urls":["http://x"]}`, `{"urls":[""]}`,
	`{"limits":{"rate":-1}}`, `{"limits":{"windows":[{}]}}`, `{"limits":{},"version":99}`, `{"reason":"` + strings.Repeat("x", 10_000) + `"}`,
	`{"name":"r","type":"data","mode":"complete","children":["nobody"]}`, `{"name":"r","type":"data","mode":"differential","documents":["x"]}`,
	`{"name":"r","type":"policies","mode":"differential","documents":["policy/` + strings.Repeat("x", 1000) + `"]}`, `{"name":"r","type":"data","children":7}`,
	`{"name":"r","type":"data","mode":"differential","verify":1e300}`, "\x00\xff", strings.Repeat("[", 10_000),
}

var names = regexp.MustCompile(`\{\w+\}`)

// TestGarbage calls every route with odd names, parameters and bodies: each answer is the caller's fault, or right, and
// never the node's failure.
func TestGarbage(t *testing.T) {
	n := nodetest.New(t)
	routes := hierarchy.Routes(n)
	handler := api.New(n, routes...)
	token := apitest.Token(t, n, identity.Administrator)
	rapid.Check(t, func(rt *rapid.T) {
		route := rapid.SampledFrom(routes).Draw(rt, "route")
		path := names.ReplaceAllStringFunc(route.Path, func(string) string {
			return url.PathEscape(rapid.SampledFrom(odd).Draw(rt, "name"))
		})
		query := url.Values{}
		for _, p := range append(route.Columns, "q", "sort", "page", "kind", "subject", "force") {
			if rapid.IntRange(0, 3).Draw(rt, "use "+p) == 0 {
				query.Set(p, rapid.SampledFrom(odd).Draw(rt, p))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		body := rapid.SampledFrom(oddBodies).Draw(rt, "body")
		target := api.Prefix + path + "?" + query.Encode()
		r, err := http.NewRequestWithContext(ctx, route.Method, "https://node"+target, strings.NewReader(body))
		if err != nil {
			rt.Skip(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code >= 500 || answer.Code == 401 || answer.Code == 403 {
			rt.Fatalf("%s %.300s\n%.300s\nanswered %d %.500s", route.Method, target, body, answer.Code, answer.Body)
		}
	})
}

// TestScopes: only administrators change the tree; viewers see it, but no tokens.
func TestScopes(t *testing.T) {
	n := nodetest.New(t)
	for _, route := range hierarchy.Routes(n) {
		reads := route.Method == "GET" && !strings.Contains(route.Path, "token")
		wanted := identity.Administrator
		switch {
		case reads:
			wanted = identity.Viewer
		case route.Path == "/alarms/one":
			wanted = identity.Operate
		}
		if route.Scope != wanted || route.Summary == "" {
			t.Errorf("%s %s takes %s, want %s", route.Method, route.Path, route.Scope, wanted)
		}
	}
}

func answered(t *testing.T, what string, err error, status int, says string) {
	t.Helper()
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != status || !strings.Contains(answer.Text, says) {
		t.Errorf("%s: %v, want %d and %q", what, err, status, says)
	}
}

// TestWhatGoesWrongBetweenTwoSites: each trouble has its status and its words at the child's operator.
func TestWhatGoesWrongBetweenTwoSites(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Berlin", "de")
	c := apitest.Local(t, berlin)
	at, token := replicationtest.URL(top), replicationtest.Token(t, top)
	join := func(parent, token string) error {
		return c.Post(t.Context(), "/parent", hierarchy.Join{Parent: parent, Token: token}, nil)
	}
	answered(t, "nobody there", join("https://127.0.0.1:1", token), 503, "call the parent")
	answered(t, "a token of another site", join(at, replicationtest.Token(t, berlin)), 400, "fingerprint")
	answered(t, "no token", join(at, ""), 400, "not a child token")
	answered(t, "itself", join(replicationtest.URL(berlin), replicationtest.Token(t, berlin)), 409, "its own parent")
	if err := join(at, token); err != nil {
		t.Fatal(err)
	}
	answered(t, "twice", join(at, token), 409, "leave it first")
	var p sites.Parent
	if err := c.Get(t.Context(), "/parent", nil, &p); err != nil || p.Name != "Top" || p.URLs[0] != at {
		t.Errorf("%+v, %v", p, err)
	}
	answered(t, "no addresses", c.Put(t.Context(), "/parent", hierarchy.Addresses{}, nil), 400, "1 to 8")
	if err := c.Put(t.Context(), "/parent", hierarchy.Addresses{URLs: []string{"127.0.0.1:1"}}, &p); err != nil || p.URLs[0] != "https://127.0.0.1:1" {
		t.Errorf("%+v, %v", p, err)
	}
	leave := func(force string) error {
		return c.Do(t.Context(), client.Request{Method: "DELETE", Path: "/parent", Query: url.Values{"force": {force}}}, nil)
	}
	answered(t, "leaving who cannot be reached", leave("false"), 503, "--force")
	if err := leave("true"); err != nil {
		t.Fatal(err)
	}
	answered(t, "leaving nobody", leave("true"), 404, "no parent")
	if err := join(at, replicationtest.Token(t, top)); err != nil {
		t.Errorf("a child that left unheard joins again: %v", err)
	}
}

// TestHierarchy: a grandchild is known once its documents have come up; of those above, only who they are.
func TestHierarchy(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top", "en"), replicationtest.Site(t, "Berlin", "de")
	c := apitest.Local(t, berlin)
	if err := c.Post(t.Context(), "/parent", hierarchy.Join{Parent: replicationtest.URL(top), Token: replicationtest.Token(t, top)}, nil); err != nil {
		t.Fatal(err)
	}
	read := func(n *node.Node) tree.Hierarchy {
		var h tree.Hierarchy
		if err := apitest.Local(t, n).Get(t.Context(), "/hierarchy", nil, &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	above := read(top)
	if len(above.Sites) != 2 || above.Self != top.Site().ID || above.Sites[0].Relation != "self" || above.Sites[1].Relation != "child" ||
		above.Sites[1].Parent != above.Self || above.Sites[0].Below[0] != "de" || above.Sites[0].Lacking[0] != "de" || above.Sites[1].Link.Seen.IsZero() {
		t.Errorf("at the top: %+v", above)
	}
	below := read(berlin)
	if len(below.Sites) != 2 || below.Sites[0].Relation != "parent" || below.Sites[0].Name != "Top" || below.Sites[1].Depth != 1 || below.Sites[1].Relation != "self" {
		t.Errorf("below: %+v", below)
	}
	run := sites.LinkRun{
		ID: "r1", Neighbour: berlin.Site().ID, Direction: "down", Type: "data", Mode: "differential", State: "done", Started: top.Now(), Ended: top.Now(),
		Result: []byte(`{"documents":7,"bytes":99,"sequence":{"index":1,"position":0},"verified":{"digest_here":"abc","equal":true}}`),
	}
	if err := top.Sites.Ran(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	link := read(top).Sites[1].Link
	if len(link.Runs) != 1 || link.Runs[0].Documents != 7 || link.Runs[0].Digest != "abc" || link.Runs[0].Equal == nil || !*link.Runs[0].Equal || link.Behind != 0 {
		t.Errorf("the link: %+v", link)
	}
	// A change that no rule sends to the child is nothing that it lags behind.
	run.ID, run.Type, run.Result = "r2", string(dataset.Settings), fmt.Appendf(nil, `{"sequence":{"index":%d,"position":1000}}`, top.Index())
	if err := top.Sites.Ran(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "other"} {
		put(t, top, document.Severity, id)
	}
	behind := func(want int) {
		t.Helper()
		if link := read(top).Sites[1].Link; link.Behind != want {
			t.Errorf("%d changes behind, want %d", link.Behind, want)
		}
	}
	behind(2)
	rules, err := top.Sites.RulesOf(t.Context(), berlin.Site().ID)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(rules, func(r sites.Rule) bool { return r.Type == string(dataset.Settings) })
	rules[at].Documents = []string{"severity/one"}
	if _, err := top.Sites.ChangeRule(t.Context(), rules[at].ID, rules[at], rules[at].Version); err != nil {
		t.Fatal(err)
	}
	put(t, top, document.Severity, "third")
	behind(1) // the one that is selected
	if _, err := top.Sites.EnableRule(t.Context(), rules[at].ID, false); err != nil {
		t.Fatal(err)
	}
	behind(0)

	// What a child needs that is shut out is nobody's business.
	if _, err := top.Sites.Revoke(t.Context(), "Berlin", "test"); err != nil {
		t.Fatal(err)
	}
	if above = read(top); len(above.Sites) != 2 || len(above.Sites[0].Below)+len(above.Sites[0].Lacking) > 0 || above.Sites[1].Link.Revoked.IsZero() {
		t.Errorf("a child that is shut out: %+v", above.Sites)
	}
	if err := top.Sites.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, alarm := range read(top).Alarms {
		if alarm.Kind == sites.LanguageBelow {
			t.Errorf("an alarm about what a child needs that is shut out: %+v", alarm)
		}
	}
}

func put(t *testing.T, n *node.Node, kind document.Kind, id string) {
	t.Helper()
	doc, err := document.New(kind, id, nil, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	n.Identity.Sign(&doc)
	applied, err := n.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Statements: store.Put(doc, "", store.Former{Absent: true})})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}
