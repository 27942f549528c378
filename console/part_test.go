package console_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"thatch/catalog/policy"
	"thatch/console"
	"thatch/console/api"
	"thatch/console/api/links"
	"thatch/console/api/overview"
	"thatch/console/api/policies/policiestest"
	"thatch/console/api/reports"
	"thatch/console/page/pagetest"
	"thatch/console/page/signin"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/operators"
	"thatch/node/policies"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/replicationtest"
	"thatch/schedule"
)

// act is what a form of a page would do.
type act struct{ page, do, key string }

func (a act) String() string { return strings.TrimSuffix(a.page+" do="+a.do+" key="+a.key, " key=") }

// walker goes over all pages that links lead to, and gathers what their forms would do.
type walker struct {
	t     *testing.T
	b     *pagetest.Browser
	seen  map[string]bool
	forms map[act]url.Values
	order []act
	pages map[string]string
}

// walk opens every page that an operator is led to. A page that is refused is one that should not have been shown.
func walk(t *testing.T, b *pagetest.Browser) *walker {
	t.Helper()
	w := &walker{t: t, b: b, seen: map[string]bool{}, forms: map[act]url.Values{}, pages: map[string]string{}}
	for queue := []string{"/"}; len(queue) > 0; queue = queue[1:] {
		queue = append(queue, w.visit(queue[0])...)
	}
	return w
}

func (w *walker) visit(address string) (links []string) {
	address, _, _ = strings.Cut(address, "#")
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "/assets") || u.Query().Has("format") {
		return nil
	}
	// Of the many ways to show a list one is enough, but forms are begun with what the address says.
	query := url.Values{}
	for _, name := range []string{"update", "bulletin", "type"} {
		if u.Query().Has(name) && (strings.HasSuffix(u.Path, "/new") || u.Path == "/packages") {
			query.Set(name, u.Query().Get(name))
		}
	}
	u.RawQuery = query.Encode()
	if address = u.String(); w.seen[address] || u.Path == "/sign-out" {
		return nil
	}
	w.seen[address] = true
	answer := w.b.Get(w.t, address)
	if answer.Status != http.StatusOK {
		w.t.Errorf("%s is led to %s, which answers %d:\n%s", w.b.Operator.Name, address, answer.Status, pagetest.Main(answer.Body))
		return nil
	}
	w.pages[address] = answer.Body
	root, err := html.Parse(strings.NewReader(answer.Body))
	if err != nil {
		w.t.Fatal(err)
	}
	w.gather(root, address, nil, &links)
	return links
}

// form is one that the walk is within.
type form struct {
	values url.Values
	keys   []string
	dos    []string
	// buttons that send it: without one it cannot be sent
	buttons int
}

func (w *walker) gather(n *html.Node, address string, in *form, links *[]string) {
	attr := func(name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	if n.Type == html.ElementNode {
		switch n.Data {
		case "a":
			*links = append(*links, attr("href"))
		case "form":
			if attr("method") == "post" && attr("action") == "" {
				in = &form{values: url.Values{}}
				defer func() { w.close(address, in) }()
			}
		case "input", "select", "textarea", "button":
			if in != nil {
				in.take(n, attr)
			}
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.gather(c, address, in, links)
	}
}

func (f *form) take(n *html.Node, attr func(string) string) {
	name, value := attr("name"), attr("value")
	if n.Data == "button" && attr("type") != "button" {
		f.buttons++
	}
	switch {
	case n.Data == "button" && name == "do":
		f.dos = append(f.dos, value)
	case name == "":
	case name == "key":
		f.keys = append(f.keys, value)
	case attr("type") == "checkbox" || attr("type") == "radio":
		if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "checked" }) || name == "tag" || name == "child" && f.values.Get("child") == "" {
			f.values.Add(name, value)
		}
	case n.Data == "select":
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			for _, a := range c.Attr {
				if a.Key == "value" && f.values.Get(name) == "" {
					f.values.Set(name, a.Val)
				}
			}
		}
	case n.Data == "textarea":
		if n.FirstChild != nil {
			value = n.FirstChild.Data
		}
		f.values.Set(name, value)
	default:
		f.values.Set(name, value)
	}
}

func (w *walker) close(address string, f *form) {
	keys := f.keys
	if keys == nil {
		keys = []string{""}
	}
	if f.buttons > 0 {
		f.dos = append(f.dos, f.values["do"]...)
	}
	for _, do := range f.dos {
		for _, key := range keys {
			a := act{address, do, key}
			// Forms of one page tell things apart by hidden fields.
			for _, field := range []string{"rule", "task", "name", "kind", "subject", "severity", "setting", "source"} {
				if key == "" {
					a.key += strings.TrimSpace(" " + f.values.Get(field))
				}
			}
			if w.forms[a] == nil {
				w.order = append(w.order, a)
				values := maps.Clone(f.values)
				values.Set("do", do)
				if key != "" {
					values.Set("key", key)
				}
				w.forms[a] = values
			}
		}
	}
}

// send sends what a form holds, with something in the fields that must be filled.
func (w *walker) send(a act, values url.Values) pagetest.Answer {
	values = maps.Clone(values)
	values.Set("token", pagetest.Token)
	for field, text := range map[string]string{"group": "berlin", "name": "something", "tag": "fr", "days": "3", "hours": "3", "schedule": "0 4 * * *", "command": "/quiet", "agents.attempts": "7"} {
		if values.Has(field) && (values.Get(field) == "" || strings.Contains(field, ".")) {
			values.Set(field, text)
		}
	}
	return w.b.Send(w.t, a.page, values)
}

// tree is a site with computers of two groups, two children, and something of everything that operators act on.
func tree(t *testing.T) (*node.Node, *api.Server) {
	t.Helper()
	linked := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de", "en"}})
	n := linked.Node
	a := api.New(n, append(console.Routes(n), links.Routes(n, linked.Link, linked.Rounds)...)...)
	policiestest.Fill(t, n, 4)
	post := func(path string, body any) {
		t.Helper()
		if _, _, err := a.Ask(t.Context(), identity.Local, api.Request{Method: http.MethodPost, Path: path, Body: body}); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	for _, id := range []string{"site-north", "site-south"} {
		bulletinstest.Write(t, n.Writer(), store.Statement{
			SQL:  `INSERT INTO child (id, name, authority, token, joined, seen, link, version, idx) VALUES (?, ?, ?, '', '', '', '{}', 1, ?)`,
			Args: []any{id, strings.TrimPrefix(id, "site-"), []byte{1}, store.Index{}}, Want: 1,
		})
		if err := n.Sites.Raise(t.Context(), sites.Alarm{Kind: sites.Refused, Subject: id, Text: "the site " + id + " is refused", Advice: "look"}); err != nil {
			t.Fatal(err)
		}
	}
	rules, _, err := n.Sites.Rules(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules { // those that send policies to every child are beyond any part
		post("/replication/rules/"+url.PathEscape(r.ID)+"/disable", nil)
	}
	for _, child := range []string{"north", "south"} {
		post("/replication/rules", map[string]any{"name": "to " + child, "type": "data", "children": []string{child}, "mode": "differential", "verify": 10})
	}
	for _, target := range []string{"pc-1", "pc-2"} {
		post("/policies", policies.Draft{Name: "for " + target, Bulletins: []string{"KB1"}, Target: &policy.Target{Names: []string{target}}})
	}
	post("/policies", policies.Draft{Name: "for all", Bulletins: []string{"KB1"}})
	post("/windows", map[string]any{"name": "nights", "repeat": schedule.Daily, "start": "22:00", "minutes": 90})
	post("/severities", map[string]any{"name": "Ours"})
	return n, a
}

// TestOperatorsOfAPart walks over every page as an operator who is limited to a part of the site, and as one of the same role
// who is not. What is shown to the first is not refused; what is shown to the second alone would be.
func TestOperatorsOfAPart(t *testing.T) {
	for _, scope := range []identity.Scope{identity.Operate, identity.Administrator} {
		for name, part := range map[string]identity.Part{"of a group": {Groups: []string{"berlin"}}, "of a subtree": {Sites: []string{"site-north"}}} {
			t.Run(fmt.Sprintf("%s %s", scope, name), func(t *testing.T) {
				if testing.Short() && scope == identity.Operate {
					t.Skip("the administrator's walk has all of it")
				}
				walkPart(t, scope, part)
			})
		}
	}
}

func walkPart(t *testing.T, scope identity.Scope, part identity.Part) {
	t.Helper()
	n, a := tree(t)
	made, _, err := n.Operators.Create(t.Context(), draft("gero", scope, part))
	if err != nil {
		t.Fatal(err)
	}
	theirs := pagetest.Open(n, a, append(console.Areas(), signin.New(n).Area())...)
	theirs.Operator = made.Acts()
	all := pagetest.Open(n, a, append(console.Areas(), signin.New(n).Area())...)
	all.Operator = identity.Operator{ID: made.ID, Name: "otto", Scope: scope}
	some, whole := walk(t, theirs), walk(t, all)
	if len(some.pages) < 30 || len(whole.forms) < 30 || len(some.forms) < 5 {
		t.Fatalf("%d pages and %d forms of a part, %d forms in all", len(some.pages), len(some.forms), len(whole.forms))
	}
	some.counts()
	var tried int
	for _, act := range whole.order {
		if some.forms[act] != nil || strings.HasPrefix(act.do, "view-") {
			continue
		}
		tried++
		if got := some.send(act, whole.forms[act]); got.Status != http.StatusForbidden && got.Status != http.StatusNotFound {
			t.Errorf("%s is not shown to who is limited, and answers them %d:\n%.1500s", act, got.Status, pagetest.Main(got.Body))
		}
	}
	last := []string{"delete", "retire", "revoke", "remove"} // what they act on is gone then
	slices.SortStableFunc(some.order, func(a, b act) int { return slices.Index(last, a.do) - slices.Index(last, b.do) })
	for _, act := range some.order {
		if got := some.send(act, some.forms[act]); got.Status == http.StatusForbidden || got.Status >= 500 {
			t.Errorf("%s is shown, and answers %d:\n%.1500s", act, got.Status, pagetest.Main(got.Body))
		}
	}
	t.Logf("%d pages, %d forms of theirs, %d of others refused", len(some.pages), len(some.forms), tried)
}

// counts holds that pages which count more than the operator's part say so, and that none tells of computers or sites of
// another part.
func (w *walker) counts() {
	for _, address := range []string{"/", "/bulletins", "/policies", "/reports/bulletins", "/reports/updates", "/reports/months", "/reports/cves", "/reports/delivery"} {
		if body := w.pages[address]; body != "" && !strings.Contains(body, `id="whole"`) {
			w.t.Errorf("%s does not say that it counts the whole site", address)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(w.pages)) {
		body := pagetest.Main(w.pages[address])
		for _, other := range []string{">pc-2<", ">pc-4<", "the site site-south"} {
			if strings.Contains(body, other) {
				w.t.Errorf("%s tells of %s", address, strings.Trim(other, "<>"))
			}
		}
	}
}

func draft(name string, scope identity.Scope, part identity.Part) operators.Draft {
	return operators.Draft{Name: name, Scope: scope, Part: part}
}

// Counts of computers are those of the operator's groups; what counts the whole site says so in a header, and to nobody else.
func TestCountsOfAPart(t *testing.T) {
	n, a := tree(t)
	whole := identity.Operator{ID: "w", Name: "otto", Scope: identity.Viewer}
	group, south := whole, whole
	group.Part, south.Part = identity.Part{Groups: []string{"berlin"}}, identity.Part{Sites: []string{"site-south"}}
	own := whole
	own.Part = identity.Part{Sites: []string{n.Site().ID}}
	for _, c := range []struct {
		who       identity.Operator
		computers int
		counts    bool
		alarms    int
	}{{whole, 4, false, 2}, {own, 4, false, 2}, {group, 2, true, 0}, {south, 0, true, 1}} {
		o := asked[overview.Overview](t, a, c.who, "/overview", c.counts)
		if o.Computers.Managed != c.computers || alarms(o.Needs) != c.alarms {
			t.Errorf("%v: %d computers and %d alarms, want %d and %d", c.who.Part, o.Computers.Managed, alarms(o.Needs), c.computers, c.alarms)
		}
		known := 0
		for _, line := range asked[api.List[*reports.Line]](t, a, c.who, "/compliance/summary?of=computers", false).Items {
			known += line.Known
		}
		if known != c.computers {
			t.Errorf("%v: the summary knows %d computers, want %d", c.who.Part, known, c.computers)
		}
		if got := asked[api.List[sites.Alarm]](t, a, c.who, "/alarms?kind="+sites.Refused, false).Total; got != c.alarms {
			t.Errorf("%v: %d alarms, want %d", c.who.Part, got, c.alarms)
		}
		for _, path := range []string{"/compliance/summary?of=bulletins", "/compliance/bulletins", "/compliance/updates", "/compliance/cves", "/compliance/months", "/delivery", "/delivery/policies", "/delivery/updates"} {
			_ = asked[any](t, a, c.who, path, c.counts)
		}
	}
}

func alarms(needs []overview.Need) (n int) {
	for _, need := range needs {
		if need.Kind == "alarm" && strings.HasSuffix(need.Text, "is refused") {
			n++
		}
	}
	return n
}

// asked reads a route as somebody, and holds whether its answer says that it counts the whole site.
func asked[T any](t *testing.T, a *api.Server, who identity.Operator, address string, whole bool) (answer T) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(identity.WithOperator(t.Context(), who), http.MethodGet, api.Prefix+address, nil)
	a.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s answers %d: %s", address, w.Code, w.Body)
	}
	if told := w.Header().Get(api.HeaderCounts) != ""; told != whole {
		t.Errorf("%v: %s says that it counts the whole site: %t, want %t", who.Part, address, told, whole)
	}
	return answer
}

// closed are the routes that operators of a part may not call although any viewer may.
var closed = []string{}

var names = regexp.MustCompile(`\{\w+\}`)

// Every route says what of the site it reaches, and what it changes.
func TestEveryRouteSaysWhatItReaches(t *testing.T) {
	linked := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"en"}})
	n := linked.Node
	routes, reads := slices.Concat(api.Routes(n), console.Routes(n), links.Routes(n, linked.Link, linked.Rounds)), map[string]bool{}
	for _, route := range routes {
		if route.Method == http.MethodGet {
			reads[names.ReplaceAllString(route.Path, "*")] = true
		}
	}
	for _, route := range routes {
		name, reach := route.Method+" "+route.Path, route.Reach
		says := reach.Free || reach.Whole || reach.Check != nil || reach.Group != "" || reach.Site != ""
		if route.Method == http.MethodGet && route.Scope == identity.Viewer && says == slices.Contains(closed, name) {
			t.Errorf("%s says what it reaches: %t", name, says)
		}
		nothing := route.Method == http.MethodGet || slices.Contains(changeNothing, name)
		if nothing == (route.Alters != "") {
			t.Errorf("%s alters %q", name, route.Alters)
		}
		templates, _, _ := strings.Cut(route.Alters, "#")
		for template := range strings.FieldsSeq(templates) {
			if path, _, _ := strings.Cut(template, "?"); !reads[names.ReplaceAllString(path, "*")] {
				t.Errorf("%s alters %s, which nothing reads", name, path)
			}
		}
	}
}

// changeNothing are the routes that change nothing that stands: they ask, start runs and end them, or make a secret.
var changeNothing = []string{
	"POST /catalog/imports", "POST /catalog/uploads", "POST /tasks/{name}/runs", "POST /runs/{id}/cancel", "POST /content/verify", "POST /content/import", "POST /content/export",
	"POST /evaluate", "POST /policies/preview", "POST /windows/preview", "POST /operators/first-link", "POST /operators/{operator}/enter",
	"PUT /self/password", "POST /self/totp", "POST /replication/rounds", "POST /replication/quarantine/retry",
	"POST /backups", "POST /backups/{name}/verify", "POST /site/node-key",
}
