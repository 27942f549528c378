package operators_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/operators"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/nodetest"
	room "thatch/node/operators"
	"thatch/node/operators/operatorstest"
	"thatch/node/store"
)

// site is a node with its whole API.
type site struct {
	*node.Node
	t      *testing.T
	routes []api.Route
	api    http.Handler
}

func start(t *testing.T) *site {
	t.Helper()
	n := nodetest.New(t)
	nodetest.Run(t, n, nil)
	more := apitest.Routes(n)
	return &site{n, t, append(api.Routes(n), more...), api.New(n, more...)}
}

// call asks the API with a token, or as who is let in where the token is "".
func (s *site) call(token string, who *identity.Operator, method, path string, body any) *httptest.ResponseRecorder {
	s.t.Helper()
	text := ""
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(raw)
	}
	ctx := s.t.Context()
	if who != nil {
		ctx = identity.WithOperator(ctx, *who)
	}
	r := httptest.NewRequestWithContext(ctx, method, api.Prefix+path, strings.NewReader(text))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	return w
}

func (s *site) token(t identity.APIToken) string {
	s.t.Helper()
	t.Expires = s.Now().Add(time.Hour)
	made, err := s.Identity.NewAPIToken(s.t.Context(), t)
	if err != nil {
		s.t.Fatal(err)
	}
	return made.Token
}

var names = regexp.MustCompile(`\{\w+\}`)

// TestEachRoleGetsItsScope calls every route as every role: it is let in exactly where its scope says so. A parameter that
// no route has ends each call right after that.
func TestEachRoleGetsItsScope(t *testing.T) {
	s := start(t)
	if len(s.routes) < 120 {
		t.Errorf("there are %d routes: are all asked?", len(s.routes))
	}
	scopes := identity.Scopes()
	for at, scope := range scopes {
		made := operatorstest.Make(t, s.Operators, room.Draft{Name: string(scope), Scope: scope})
		who := made.Acts()
		own := s.token(identity.APIToken{Name: "own", Scope: identity.Administrator, Owner: made.ID})
		tool := s.token(identity.APIToken{Name: "tool", Scope: scope})
		for _, route := range s.routes {
			path := names.ReplaceAllString(route.Path, "x") + "?no_such_parameter=1"
			want := http.StatusForbidden
			if at >= slices.Index(scopes, route.Scope) {
				want = http.StatusBadRequest
			}
			for how, got := range map[string]*httptest.ResponseRecorder{
				"a session": s.call("", &who, route.Method, path, nil), "a tool's token": s.call(tool, nil, route.Method, path, nil),
				"an own token that promises more": s.call(own, nil, route.Method, path, nil),
			} {
				if got.Code != want {
					t.Errorf("%s %s takes %s; %s with %s is answered %d, want %d: %s", route.Method, route.Path, route.Scope, scope, how, got.Code, want, got.Body)
				}
			}
		}
	}
	for _, route := range s.routes {
		for _, token := range []string{"", "ta1-guessed"} {
			if got := s.call(token, nil, route.Method, names.ReplaceAllString(route.Path, "x"), nil); got.Code != http.StatusUnauthorized {
				t.Errorf("%s %s answers a stranger %d", route.Method, route.Path, got.Code)
			}
		}
	}
}

// inPart are the routes that change something, or tell what only some are told, and are open to those who are limited to a
// part of the site. Whoever adds one says what of it they may reach.
var inPart = []string{
	"POST /evaluate", "POST /windows/preview", "PUT /computers/{id}", "POST /computers/{id}/retire",
	"POST /policies", "POST /policies/preview", "PUT /policies/{id}", "DELETE /policies/{id}", "POST /policies/{id}/revise",
	"POST /policies/{id}/enable", "POST /policies/{id}/disable", "POST /policies/{id}/pause", "POST /policies/{id}/resume",
	"PUT /children/{child}", "POST /children/{child}/revoke", "DELETE /children/{child}",
	"POST /replication/rules", "PUT /replication/rules/{rule}", "POST /replication/rules/{rule}/enable",
	"POST /replication/rules/{rule}/disable", "DELETE /replication/rules/{rule}",
	"PUT /self/password", "POST /self/totp", "PUT /self/totp", "POST /self/totp/remove", "DELETE /self/sessions",
	"DELETE /self/sessions/{session}", "PUT /self/preferences", "POST /self/views", "PUT /self/views/{view}", "DELETE /self/views/{view}",
	"POST /self/tokens", "DELETE /self/tokens/{id}", "POST /computer-prompts", "POST /computer-prompts/cancel",
}

// TestPartsAreClosedByDefault: nothing but what is listed is open to who is limited to a part, and no list of computers or of
// sites is told whole.
func TestPartsAreClosedByDefault(t *testing.T) {
	s := start(t)
	who := identity.Operator{ID: "x", Name: "limited", Scope: identity.Administrator, Part: identity.Part{Groups: []string{"berlin"}}}
	for _, route := range s.routes {
		name, reach := route.Method+" "+route.Path, route.Reach
		declared := reach.Free || reach.Whole || reach.Check != nil || reach.Group != "" || reach.Site != ""
		reads := route.Method == http.MethodGet && route.Scope == identity.Viewer
		if open := slices.Contains(inPart, name); !reads && declared != open {
			t.Errorf("%s: open to who is limited: %v, want %v", name, declared, open)
		}
		if !reads && !declared {
			got := s.call("", &who, route.Method, names.ReplaceAllString(route.Path, "x")+needed(route), nil)
			if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "part of it") {
				t.Errorf("%s answers %d: %s", name, got.Code, got.Body)
			}
		}
		if reads && !declared {
			t.Errorf("%s does not say what of it who is limited to a part is told", name)
		}
		if (reach.Free || reach.Whole) && (slices.Contains(route.Columns, "group") || strings.Contains(route.Path, "computer")) {
			t.Errorf("%s tells of computers, and not which of them who is limited is told of", name)
		}
	}
}

func needed(route api.Route) string {
	query := url.Values{}
	for _, name := range route.Needs {
		query.Set(name, "x")
	}
	return "?" + query.Encode()
}

func (s *site) enrol(name, group string) string {
	s.t.Helper()
	newcomer := computers.Newcomer{Name: name, MachineID: name, Hardware: name, Platform: "windows", Languages: []string{"de-de"}, Group: group}
	place, err := s.Computers.Place(s.t.Context(), newcomer)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := s.Computers.Enrol(s.t.Context(), newcomer, place, "serial "+name)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.ID
}

func (s *site) child(id, name string) {
	s.t.Helper()
	bulletinstest.Write(s.t, s.Writer(), store.Statement{
		SQL:  `INSERT INTO child (id, name, authority, token, joined, seen, link, version, idx) VALUES (?, ?, ?, '', '', '', '{}', 1, ?)`,
		Args: []any{id, name, []byte{1}, store.Index{}}, Want: 1,
	})
}

// want calls as somebody and holds the status and what the answer says and does not say.
func (s *site) want(who identity.Operator, status int, method, path string, body any, says ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	got := s.call("", &who, method, path, body)
	if got.Code != status {
		s.t.Errorf("%s: %s %s answers %d, want %d: %s", who.Name, method, path, got.Code, status, got.Body)
	}
	for _, text := range says {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(got.Body.String(), text) == not {
			s.t.Errorf("%s: %s %s: %q (not: %v)\n%s", who.Name, method, path, text, not, got.Body)
		}
	}
	return got
}

func limited(name string, scope identity.Scope, part identity.Part) identity.Operator {
	return identity.Operator{ID: name, Name: name, Scope: scope, Part: part}
}

// TestComputersOfOtherGroups: who is limited to groups sees and moves and retires computers of those alone.
func TestComputersOfOtherGroups(t *testing.T) {
	s := start(t)
	berlin, paris := s.enrol("berlin-1", "berlin"), s.enrol("paris-1", "paris")
	s.enrol("none-1", "")
	who := limited("otto", identity.Administrator, identity.Part{Groups: []string{"berlin", "potsdam"}})
	for _, list := range []string{"/computers", "/compliance/computers", "/computers?group=paris,berlin", "/computers?sort=-computer", "/computers?q=1"} {
		s.want(who, 200, "GET", list, nil, "berlin-1", "!paris-1", "!none-1", `"total":1,`)
	}
	s.want(who, 200, "GET", "/computers?group=paris", nil, `"total":0,`)
	s.want(who, 200, "GET", "/computers/"+berlin, nil, "berlin-1")
	for _, path := range []string{"/computers/" + paris, "/computers/paris-1", "/computers/paris-1/updates"} {
		s.want(who, 403, "GET", path, nil, `group \"paris\"`, "groups berlin, potsdam")
	}
	s.want(who, 403, "PUT", "/computers/paris-1", map[string]any{"group": "berlin"})
	s.want(who, 403, "PUT", "/computers/berlin-1", map[string]any{"group": "paris"}, `the group \"paris\" is not in it`)
	s.want(who, 204, "PUT", "/computers/berlin-1", map[string]any{"group": "potsdam"})
	s.want(who, 403, "POST", "/computers/paris-1/retire", map[string]any{})
	s.want(who, 204, "POST", "/computers/berlin-1/retire", map[string]any{})
	s.want(limited("all", identity.Administrator, identity.Part{Sites: []string{s.Site().ID}}), 200, "GET", "/computers", nil, "paris-1", "none-1")
	s.want(limited("none", identity.Administrator, identity.Part{Sites: []string{"elsewhere"}}), 200, "GET", "/computers", nil, `"total":0,`)
	s.want(limited("none", identity.Administrator, identity.Part{Sites: []string{"elsewhere"}}), 403, "GET", "/computers/paris-1", nil)
	// Tokens are held to it alike.
	token := s.token(identity.APIToken{Name: "t", Scope: identity.Viewer, Part: identity.Part{Groups: []string{"paris"}}})
	if got := s.call(token, nil, "GET", "/computers", nil); !strings.Contains(got.Body.String(), "paris-1") || strings.Contains(got.Body.String(), "none-1") {
		t.Errorf("a token for paris: %s", got.Body)
	}
}

// TestSitesOfAnotherSubtree: an operator of one subtree acts on no other.
func TestSitesOfAnotherSubtree(t *testing.T) {
	s := start(t)
	s.child("b-id", "Berlin")
	s.child("p-id", "Paris")
	who := limited("otto", identity.Administrator, identity.Part{Sites: []string{"b-id"}})
	s.want(who, 200, "GET", "/children", nil, "Berlin", "!Paris", `"total":1,`)
	s.want(who, 200, "GET", "/hierarchy", nil, "Berlin", "!Paris", s.Site().ID)
	s.want(who, 200, "GET", "/compliance/tree/sites", nil, "!Paris")
	s.want(who, 403, "GET", "/compliance/tree/bulletins", nil, "of=")
	s.want(who, 403, "GET", "/compliance/tree/bulletins?of=Paris", nil, "Paris is not in it")
	s.want(who, 200, "GET", "/compliance/tree/bulletins?of=Berlin", nil)
	s.want(who, 200, "GET", "/children/Berlin", nil)
	for method, path := range map[string]string{"GET": "/children/Paris", "PUT": "/children/p-id", "DELETE": "/children/Paris", "POST": "/children/Paris/revoke"} {
		s.want(who, 403, method, path, map[string]any{"name": "Lyon"}, "site Paris is not in it")
	}
	ruleOf := func(name string, children ...string) map[string]any {
		return map[string]any{"name": name, "type": "data", "mode": "differential", "enabled": true, "verify": 10, "children": children}
	}
	s.want(who, 403, "POST", "/replication/rules", ruleOf("r1", "all"), "for all children")
	s.want(who, 403, "POST", "/replication/rules", map[string]any{"name": "r1", "type": "data", "mode": "differential"}, "for all children")
	s.want(who, 403, "POST", "/replication/rules", ruleOf("r1", "Berlin", "Paris"), "site Paris")
	s.want(who, 200, "POST", "/replication/rules", ruleOf("mine", "Berlin"))
	s.want(who, 403, "PUT", "/replication/rules/mine", ruleOf("mine", "Paris"), "site Paris")
	s.want(who, 200, "POST", "/replication/rules/mine/disable", nil)
	root := limited("root", identity.Administrator, identity.Part{})
	s.want(root, 200, "POST", "/replication/rules", ruleOf("theirs", "Paris"))
	s.want(who, 403, "POST", "/replication/rules/theirs/disable", nil, "site Paris")
	s.want(who, 403, "DELETE", "/replication/rules/theirs", nil, "site Paris")
	s.want(who, 200, "PUT", "/children/Berlin", map[string]any{"name": "Potsdam"})
	s.want(who, 200, "POST", "/children/Potsdam/revoke", map[string]any{"reason": "test"})
	// Who may manage operators manages all of them: that is for the whole site.
	s.want(who, 403, "POST", "/operators", room.Draft{Name: "eve", Scope: identity.Administrator}, "whole site")
	s.want(who, 403, "GET", "/operators", nil)
	s.want(who, 403, "GET", "/audit", nil)
	s.want(who, 403, "PUT", "/settings/agents.attempts", map[string]any{"value": 5})
}

// order makes bulletin b1 ready to be ordered.
func (s *site) order() {
	s.t.Helper()
	n := s.Node
	pack := bulletinstest.Doc(s.t, document.Package, "p1", nil, catalog.Package{
		Update: "u1", Name: "p1", Files: []catalog.File{{Name: "a.exe"}}, Installer: catalog.Installer{Type: catalog.EXE, File: "a.exe"},
	})
	bulletinstest.Save(s.t, n.Bulletins, "sdp", "file",
		bulletinstest.Doc(s.t, document.Bulletin, "b1", nil, catalog.Bulletin{Name: "KB1", Source: "sdp"}),
		bulletinstest.Doc(s.t, document.Update, "u1", nil, catalog.Update{Name: "Update 1", Bulletin: "b1", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True")}}), pack)
	hash := strings.Repeat("ab", 32)
	payload := bulletinstest.Doc(s.t, document.Payload, "p1", nil, catalog.Payload{
		Package: "p1", PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "a.exe", SHA256: hash, Size: 7}},
	})
	n.Identity.Sign(&payload)
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = 0xab
	}
	bulletinstest.Write(s.t, n.Writer(), append(store.Put(payload, "", store.Former{}),
		store.Statement{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES ('b1', '', 'test')`},
		store.Statement{SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 7)`, Args: []any{raw}})...)
}

// TestPoliciesBeyondOnesPart: who is limited orders nothing for others.
func TestPoliciesBeyondOnesPart(t *testing.T) {
	s := start(t)
	s.order()
	s.enrol("berlin-1", "berlin")
	s.enrol("berlin-2", "paris") // called so, and yet of another group
	s.enrol("potsdam-1", "berlin")
	who := limited("otto", identity.Administrator, identity.Part{Groups: []string{"berlin"}})
	root := limited("root", identity.Administrator, identity.Part{})
	draft := func(name string, target map[string]any) map[string]any {
		d := map[string]any{"name": name, "bulletins": []string{"KB1"}}
		if target != nil {
			d["target"] = target
		}
		return d
	}
	mine := map[string]any{"names": []string{"potsdam-*"}, "needs_it": true}
	s.want(who, 403, "POST", "/policies", draft("p", nil), "names no computers")
	s.want(who, 403, "POST", "/policies", draft("p", map[string]any{"platforms": []string{"windows"}}), "names no computers")
	s.want(who, 403, "POST", "/policies", draft("p", map[string]any{"names": []string{"berlin-*"}, "needs_it": true}), "berlin-2", "paris")
	s.want(who, 403, "POST", "/policies/preview", draft("p", nil))
	s.want(who, 200, "POST", "/policies", draft("mine", mine))
	s.want(who, 200, "POST", "/policies/mine/pause", map[string]any{})
	s.want(who, 403, "PUT", "/policies/mine", map[string]any{"target": map[string]any{"names": []string{"*"}}}, "berlin-2")
	s.want(root, 200, "POST", "/policies", draft("theirs", nil))
	for _, verb := range []string{"enable", "disable", "pause", "resume", "revise"} {
		s.want(who, 403, "POST", "/policies/theirs/"+verb, map[string]any{}, "names no computers")
	}
	s.want(who, 403, "PUT", "/policies/theirs", map[string]any{"target": mine}) // not even to make it one's own
	s.want(who, 403, "DELETE", "/policies/theirs", nil)
	// What a rule sends to a site outside is beyond the part too.
	s.child("p-id", "Paris")
	bulletinstest.Write(t, s.Writer(), store.Statement{
		SQL:  `INSERT INTO replication_rule (id, type, name, enabled, children, documents, mode, schedule, verify, version, idx) VALUES ('r', 'policies', 'To all', 1, '', '', 'differential', '', 0, 1, ?)`,
		Args: []any{store.Index{}},
	})
	s.want(who, 403, "POST", "/policies", draft("more", mine), "To all", "Paris")
	s.want(who, 403, "POST", "/policies/mine/resume", map[string]any{}, "Paris")
	s.want(limited("olga", identity.Operate, identity.Part{Groups: []string{"berlin"}, Sites: []string{"p-id"}}), 200, "POST", "/policies/mine/resume", map[string]any{})
	s.want(who, 403, "POST", "/bulletins/unstage", map[string]any{"bulletins": []string{"KB1"}}, "whole site")
}

func TestOperatorsByAPI(t *testing.T) {
	s := start(t)
	local := identity.Local
	var made operators.Made
	got := s.want(local, 200, "POST", "/operators", room.Draft{Name: "Anna", Display: "Anna Meier", Scope: identity.Operate}, "/sign-in/first?code=")
	if err := json.Unmarshal(got.Body.Bytes(), &made); err != nil || made.Name != "anna" || made.Password {
		t.Fatalf("%+v, %v", made, err)
	}
	s.want(local, 409, "POST", "/operators", room.Draft{Name: "ANNA", Scope: identity.Viewer}, "already")
	for name, bad := range map[string]any{
		"name": room.Draft{Name: "a b", Scope: identity.Viewer}, "scope": room.Draft{Name: "x", Scope: "king"}, "characters": room.Draft{Scope: identity.Viewer},
		"subject": room.Draft{Name: "x", Scope: identity.Viewer, Subject: "s"}, "colour": map[string]any{"name": "x", "scope": "viewer", "colour": "red"},
		"groups": room.Draft{Name: "x", Scope: identity.Viewer, Part: identity.Part{Groups: []string{"a", "a"}}},
		"line":   room.Draft{Name: "x", Scope: identity.Viewer, Display: "a\nb"},
	} {
		s.want(local, 400, "POST", "/operators", bad, name)
	}
	s.want(local, 404, "POST", "/operators", room.Draft{Name: "x", Scope: identity.Viewer, Part: identity.Part{Sites: []string{"Atlantis"}}}, "Atlantis")
	s.want(local, 200, "PUT", "/operators/anna", map[string]any{"part": map[string]any{"sites": []string{s.Site().Name}}}, s.Site().ID)
	s.want(local, 409, "PUT", "/operators/anna", map[string]any{"display": "x", "from": 99})
	s.want(local, 200, "GET", "/operators?scope=operator", nil, `"total":1,`)
	s.want(local, 404, "GET", "/operators/nobody", nil)
	s.want(local, 200, "POST", "/operators/anna/lock", nil, `"disabled":true`)
	s.want(local, 200, "POST", "/operators/anna/unlock", nil, `"disabled":false`)
	s.want(local, 200, "POST", "/operators/anna/reset", map[string]any{"second_factor": true}, "/sign-in/first?code=")
	s.want(local, 200, "POST", "/operators/first-link", nil, "/sign-in/first?code=")
	s.want(limited("root", identity.Administrator, identity.Part{}), 403, "POST", "/operators/first-link", nil, "data folder")
	s.want(local, 204, "DELETE", "/operators/anna", nil)
	s.want(local, 404, "DELETE", "/operators/anna", nil)
	// The local door is nobody: there is nothing to set.
	for _, route := range operators.Routes(s.Node) {
		if strings.HasPrefix(route.Path, "/self/") && route.Method == http.MethodGet {
			s.want(local, 400, "GET", route.Path, nil, "no operator with an account")
		}
	}
	s.want(local, 200, "GET", "/self", nil, `"permissions":["viewer","operator","approver","administrator"]`)
}

func TestSelf(t *testing.T) {
	s := start(t)
	anna := operatorstest.Make(t, s.Operators, room.Draft{Name: "anna", Scope: identity.Operate}).Acts()
	otto := operatorstest.Make(t, s.Operators, room.Draft{Name: "otto", Scope: identity.Operate}).Acts()
	s.want(anna, 200, "GET", "/self", nil, `"permissions":["viewer","operator"]`, `"password":true`)
	s.want(anna, 200, "PUT", "/self/preferences", room.Preferences{Language: "de", Home: []string{"vulnerabilities", "sites"}})
	s.want(anna, 200, "GET", "/self/preferences", nil, `"home":["vulnerabilities","sites"]`)
	for says, bad := range map[string]any{
		"language": map[string]any{"language": "fr"}, "theme": map[string]any{"theme": "pink"}, "zone": map[string]any{"time_zone": "Local"},
		"named twice": map[string]any{"home": []string{"a", "a"}}, "no name": map[string]any{"home": []string{"<b>"}}, "size": map[string]any{"size": 1},
	} {
		s.want(anna, 400, "PUT", "/self/preferences", bad, says)
	}
	var view room.View
	got := s.want(anna, 200, "POST", "/self/views", room.View{Page: "/bulletins", Name: "Open", Query: "missing=>0"})
	if err := json.Unmarshal(got.Body.Bytes(), &view); err != nil || view.ID == "" {
		t.Fatal(view, err)
	}
	s.want(anna, 200, "POST", "/self/views", room.View{Page: "/bulletins", Name: "Open", Query: "missing=>9"}, view.ID)
	s.want(anna, 200, "POST", "/self/views", room.View{Page: "/computers", Name: "Open", Query: ""})
	s.want(anna, 200, "GET", "/self/views?page=/bulletins", nil, `"total":1,`, "missing=>9")
	s.want(otto, 200, "GET", "/self/views", nil, `"total":0,`)
	s.want(otto, 404, "DELETE", "/self/views/"+view.ID, nil)
	s.want(otto, 404, "PUT", "/self/views/"+view.ID, operators.ViewName{Name: "Mine"})
	s.want(anna, 200, "PUT", "/self/views/"+view.ID, operators.ViewName{Name: "Closed"}, "Closed")
	s.want(anna, 400, "PUT", "/self/views/"+view.ID, operators.ViewName{Name: " "})
	s.want(anna, 400, "POST", "/self/views", room.View{Page: "/x", Name: "y", Query: strings.Repeat("z", 5000)})
	s.want(anna, 204, "DELETE", "/self/views/"+view.ID, nil)
	for i := range 199 {
		if _, err := s.Operators.SaveView(t.Context(), anna.ID, room.View{Page: "/p", Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	s.want(anna, 409, "POST", "/self/views", room.View{Page: "/p", Name: "one more"}, "the most")
	s.want(anna, 200, "POST", "/self/views", room.View{Page: "/p", Name: "7", Query: "x=y"})

	s.want(anna, 403, "POST", "/self/tokens", operators.NewAPI{Name: "t", Scope: identity.Approver})
	var token identity.APIToken
	got = s.want(anna, 200, "POST", "/self/tokens", operators.NewAPI{Name: "t", Scope: identity.Viewer})
	if err := json.Unmarshal(got.Body.Bytes(), &token); err != nil || token.Token == "" {
		t.Fatal(token, err)
	}
	s.want(otto, 200, "GET", "/self/tokens", nil, `"total":0,`)
	s.want(otto, 404, "DELETE", "/self/tokens/"+token.ID, nil)
	if got := s.call(token.Token, nil, "GET", "/self", nil); !strings.Contains(got.Body.String(), `"name":"anna"`) || !strings.Contains(got.Body.String(), `"scope":"viewer"`) {
		t.Errorf("with an own token: %s", got.Body)
	}
	s.want(anna, 204, "DELETE", "/self/tokens/"+token.ID, nil)
	if got := s.call(token.Token, nil, "GET", "/self", nil); got.Code != http.StatusUnauthorized {
		t.Errorf("with a revoked token: %d", got.Code)
	}
	// Sessions of others are nobody's business.
	cookie := operatorstest.SignIn(t, s.Operators, "otto")
	session, err := s.Operators.Session(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	s.want(anna, 404, "DELETE", "/self/sessions/"+session.ID, nil)
	s.want(otto, 200, "GET", "/self/sessions", nil, session.ID)
	s.want(otto, 204, "DELETE", "/self/sessions/"+session.ID, nil)
	s.want(anna, 400, "PUT", "/self/password", operators.NewPassword{Password: operatorstest.Password, NewPassword: "short"}, "12 characters")
	audit, _, err := s.Identity.Audit(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range audit {
		if strings.Contains(e.Detail, operatorstest.Password) || strings.Contains(e.Detail, "short") {
			t.Errorf("the audit log keeps a password: %+v", e)
		}
	}
}
