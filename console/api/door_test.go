package api_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/nodetest"
)

// plain is an HTTP client that speaks TLS with a node and knows nothing else of us.
func plain(t *testing.T, n *node.Node, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	root, err := x509.ParseCertificate(n.Identity.Authority())
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type ask struct {
	method, path, body string
	header             map[string]string
}

// answer makes a request and reads the answer, which for an error must be JSON with a code and a text.
func answer(t *testing.T, c *http.Client, n *node.Node, a ask) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(a.method, "https://"+n.Address()+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range a.header {
		r.Header.Set(name, value)
	}
	got, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode >= 400 {
		var e struct{ Code, Error string }
		if err := json.Unmarshal(body, &e); err != nil || e.Code == "" || e.Error == "" {
			t.Errorf("%s %s: the error has no code or text: %s", a.method, a.path, body)
		}
	}
	return got.StatusCode, string(body), got.Header
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

var names = regexp.MustCompile(`\{\w+\}`)

// TestEveryRouteAsksForItsScope walks the table: no token, a token too small, and one just right.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	n, _ := apitest.Start(t)
	c := plain(t, n)
	scopes := []identity.Scope{identity.Viewer, identity.Operate, identity.Approver, identity.Administrator}
	tokens := map[identity.Scope]string{}
	for _, s := range scopes {
		tokens[s] = apitest.Token(t, n, s)
	}
	for _, route := range api.Routes(n) {
		a := ask{method: route.Method, path: api.Prefix + names.ReplaceAllString(route.Path, "nobody"), body: "{"}
		if status, body, header := answer(t, c, n, a); status != 401 || header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a token: %d %s", route.Method, route.Path, status, body)
		}
		enough := false
		for _, s := range scopes {
			enough = enough || s == route.Scope
			a.header = bearer(tokens[s])
			if !enough {
				if status, body, _ := answer(t, c, n, a); status != 403 {
					t.Errorf("%s %s as %s: %d %s", route.Method, route.Path, s, status, body)
				}
			}
		}
		if !enough {
			t.Errorf("%s %s asks for the scope %q, which there is not", route.Method, route.Path, route.Scope)
		}
		if route.Method != "GET" && route.Scope == identity.Viewer && !strings.Contains(route.Summary, "nothing is changed") {
			t.Errorf("%s %s: a viewer may call what may change something", route.Method, route.Path)
		}
	}
}

func TestBadTokens(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, apitest.Routes(n)...)})
	c, good := plain(t, n), apitest.Token(t, n, identity.Administrator)
	status := func(header map[string]string) (int, string) {
		code, body, _ := answer(t, c, n, ask{method: "GET", path: "/api/v1/site", header: header})
		return code, body
	}
	if code, body := status(bearer(good)); code != 200 {
		t.Fatalf("a good token: %d %s", code, body)
	}
	for _, bad := range []map[string]string{
		{},
		{"Authorization": ""},
		{"Authorization": "Bearer"},
		{"Authorization": "Bearer "},
		{"Authorization": "Basic eDp5"},
		{"Authorization": good},
		bearer(good + "a"), bearer(good[:20]), bearer("tl1-00"), bearer("tt1-" + good[4:]),
		bearer(strings.Repeat("x", 20_000)),
	} {
		if code, body := status(bad); code != 401 {
			t.Errorf("%v: %d %s", bad, code, body)
		}
	}
	local := apitest.Local(t, n)
	var tokens api.List[identity.APIToken]
	if err := local.Get(t.Context(), "/tokens/api", nil, &tokens); err != nil || len(tokens.Items) != 1 {
		t.Fatalf("%+v, %v", tokens, err)
	}
	if err := local.Delete(t.Context(), client.Path("tokens", tokens.Items[0].ID)); err != nil {
		t.Fatal(err)
	}
	if code, body := status(bearer(good)); code != 401 || !strings.Contains(body, "revoked") {
		t.Errorf("a revoked token: %d %s", code, body)
	}
	short := apitest.Token(t, n, identity.Viewer)
	clock.Move(time.Hour)
	if code, body := status(bearer(short)); code != 401 || !strings.Contains(body, "ended") {
		t.Errorf("an expired token: %d %s", code, body)
	}
}

func TestBadRequests(t *testing.T) {
	n, _ := apitest.Start(t)
	c, token := plain(t, n), apitest.Token(t, n, identity.Administrator)
	for _, b := range []struct {
		ask
		status int
		text   string
	}{
		{ask{method: "GET", path: "/api/v1/nothing"}, 404, "openapi.json"},
		{ask{method: "GET", path: "/else"}, 404, "nothing at"},
		{ask{method: "DELETE", path: "/api/v1/site"}, 405, "DELETE"},
		{ask{method: "GET", path: "/api/v1/site?x=1"}, 400, "x"},
		{ask{method: "GET", path: "/api/v1/runs?page=0"}, 400, "page"},
		{ask{method: "GET", path: "/api/v1/runs?page=x"}, 400, "page"},
		{ask{method: "GET", path: "/api/v1/runs?limit=-1"}, 400, "limit"},
		{ask{method: "GET", path: "/api/v1/runs?limit=99999999"}, 400, "limit"},
		{ask{method: "GET", path: "/api/v1/runs?page=99999999999999999999"}, 400, "page"},
		{ask{method: "GET", path: "/api/v1/runs?sort=-nothing"}, 400, "nothing"},
		{ask{method: "GET", path: "/api/v1/runs?colour=red"}, 400, "colour"},
		{ask{method: "GET", path: "/api/v1/runs/nobody"}, 404, "nobody"},
		{ask{method: "GET", path: "/api/v1/runs/nobody/events"}, 404, "nobody"},
		{ask{method: "GET", path: "/api/v1/runs/a%2Fb%20c"}, 404, `a/b c`},
		{ask{method: "POST", path: "/api/v1/runs/nobody/cancel"}, 404, "nobody"},
		{ask{method: "POST", path: "/api/v1/tokens/api"}, 400, "no body"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: "<xml/>"}, 400, "JSON"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: `{"name":1}`}, 400, "JSON"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: `{"name":"x","colour":"red"}`}, 400, "colour"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: `{"name":"x","scope":"viewer"}{}`}, 400, "followed"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: `{"name":"x","scope":"viewer","hours":-1}`}, 400, "lasts"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: `{"name":"x","scope":"viewer","hours":99999999999}`}, 400, "lasts"},
		{ask{method: "POST", path: "/api/v1/tokens/api", body: strings.Repeat(" ", api.MaxBody+1)}, 413, "bytes"},
		{ask{method: "PUT", path: "/api/v1/settings/agents.attempts", body: `{"value":"five"}`}, 400, "agents.attempts"},
		{ask{method: "PUT", path: "/api/v1/settings/nothing", body: `{"value":1}`}, 404, "nothing"},
		{ask{method: "GET", path: "/api/v1/site", header: map[string]string{api.HeaderIndex: "x"}}, 400, api.HeaderIndex},
		{ask{method: "GET", path: "/api/v1/site", header: map[string]string{api.HeaderRequest: strings.Repeat("x", 999)}}, 400, api.HeaderRequest},
	} {
		if b.header == nil {
			b.header = map[string]string{}
		}
		b.header["Authorization"] = "Bearer " + token
		status, body, _ := answer(t, c, n, b.ask)
		if status != b.status || !strings.Contains(body, b.text) {
			t.Errorf("%s %s: %d %s; want %d with %q", b.method, b.path, status, body, b.status, b.text)
		}
	}
	if status, body, _ := answer(t, c, n, ask{method: "GET", path: "/api/v1/site", header: bearer(token)}); status != 200 {
		t.Errorf("after all that: %d %s", status, body)
	}
}

// TestCertificatesAreJudgedAtTheDoor has computers with certificates knock: a stranger's ends the handshake.
func TestCertificatesAreJudgedAtTheDoor(t *testing.T) {
	n, _ := apitest.Start(t)
	stranger := nodetest.New(t)
	certificate := func(of *node.Node) tls.Certificate {
		key, csr := identitytest.Key(t)
		issued, err := of.Identity.Issue(csr, "c1")
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{issued.DER}, PrivateKey: key}
	}
	insists := plain(t, n) // a client shows what the site asks for; this one shows what it has
	foreign := certificate(stranger)
	insists.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &foreign, nil
	}
	if _, err := insists.Get("https://" + n.Address() + "/healthz"); err == nil {
		t.Error("a certificate of another site was let in")
	}
	c := plain(t, n, certificate(n))
	if status, _, _ := answer(t, c, n, ask{method: "GET", path: "/healthz"}); status != 200 {
		t.Errorf("a computer asks for health: %d", status)
	}
	if status, _, _ := answer(t, c, n, ask{method: "GET", path: "/api/v1/site"}); status != 401 {
		t.Errorf("a computer's certificate opens the operators' door: %d", status)
	}
	old := plain(t, n)
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
	if _, err := old.Get("https://" + n.Address() + "/healthz"); err == nil {
		t.Error("TLS 1.2 was let in")
	}
}

func TestPlainDoors(t *testing.T) {
	n, _ := apitest.Start(t)
	c := plain(t, n)
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/api/v1/openapi.json": `"openapi":"3.1.0"`,
	} {
		if status, body, _ := answer(t, c, n, ask{method: "GET", path: path}); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
}

// Strangers learn that a node answers; counts and versions are for operators, unless the site says that its metrics are
// open.
func TestWhatStrangersSee(t *testing.T) {
	n, _ := apitest.Start(t)
	c, viewer := plain(t, n), apitest.Token(t, n, identity.Viewer)
	sees := func(path, text string, header map[string]string, want int) {
		t.Helper()
		status, body, _ := answer(t, c, n, ask{method: "GET", path: path, header: header})
		if status != want || (want == 200) != strings.Contains(body, text) {
			t.Errorf("%s with %d headers: %d, want %d with %q: %.300s", path, len(header), status, want, text, body)
		}
	}
	sees("/metrics", "thatch_applied_index", nil, 401)
	sees("/metrics", "thatch_applied_index", bearer("ta1-nonsense"), 401)
	sees("/metrics", "thatch_applied_index", bearer(viewer), 200)
	for value, want := range map[string]int{"true": 200, "null": 401} {
		if _, err := n.Settings.Set(t.Context(), "metrics.open", json.RawMessage(value), -1); err != nil {
			t.Fatal(err)
		}
		sees("/metrics", "thatch_applied_index", nil, want)
	}
}

// TestErrorsInTheCallersLanguage: the English text stays where it is, and stands beside that of the language asked for.
func TestErrorsInTheCallersLanguage(t *testing.T) {
	n, _ := apitest.Start(t)
	c, header := plain(t, n), bearer(apitest.Token(t, n, identity.Viewer))
	for languages, said := range map[string]string{"": "", "en": "", "fr, en;q=0.5": "", "de-AT, en;q=0.5": "Richtlinie „none“ gibt es hier nicht"} {
		header["Accept-Language"] = languages
		status, body, _ := answer(t, c, n, ask{method: "GET", path: "/api/v1/policies/none", header: header})
		var e api.Error
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if status != http.StatusNotFound || e.Code != "not_found" || e.Text != `policy "none": not found` || e.Said != said {
			t.Errorf("for %q: %d %+v", languages, status, e)
		}
	}
}

// TestReadsSeeWrites has a client hand on the index of its write; a client that asks for an index to come waits.
func TestReadsSeeWrites(t *testing.T) {
	n, _ := apitest.Start(t)
	c, token := plain(t, n), apitest.Token(t, n, identity.Administrator)
	put := ask{method: "PUT", path: "/api/v1/settings/agents.attempts", body: `{"value":7}`, header: bearer(token)}
	status, body, header := answer(t, c, n, put)
	if status != 200 || header.Get(api.HeaderIndex) == "" {
		t.Fatalf("%d %s %v", status, body, header)
	}
	get := ask{method: "GET", path: "/api/v1/settings/agents.attempts", header: bearer(token)}
	get.header[api.HeaderIndex] = header.Get(api.HeaderIndex)
	if status, body, _ := answer(t, c, n, get); status != 200 || !strings.Contains(body, `"value":7`) {
		t.Errorf("%d %s", status, body)
	}
	get.header[api.HeaderIndex] = fmt.Sprint(n.Index() + 1)
	waited := make(chan int, 1)
	go func() {
		r, err := http.NewRequest("GET", "https://"+n.Address()+get.path, nil)
		if err != nil {
			waited <- 0
			return
		}
		for name, value := range get.header {
			r.Header.Set(name, value)
		}
		got, err := c.Do(r)
		if err != nil {
			waited <- 0
			return
		}
		got.Body.Close()
		waited <- got.StatusCode
	}()
	if status, body, _ := answer(t, c, n, put); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status := <-waited; status != 200 {
		t.Errorf("a read that waited for its index: %d", status)
	}
}

// TestIndexThatNeverComes has a client ask for what no node has: it is told so in time.
func TestIndexThatNeverComes(t *testing.T) {
	n, _ := apitest.Start(t)
	header := bearer(apitest.Token(t, n, identity.Viewer))
	header[api.HeaderIndex] = "18446744073709551615"
	status, body, answered := answer(t, plain(t, n), n, ask{method: "GET", path: "/api/v1/site", header: header})
	if status != 503 || answered.Get("Retry-After") == "" {
		t.Errorf("%d %s", status, body)
	}
}

func TestRetryIsNotAppliedTwice(t *testing.T) {
	n, _ := apitest.Start(t)
	c, token := plain(t, n), apitest.Token(t, n, identity.Administrator)
	put := ask{
		method: "PUT", path: "/api/v1/settings/agents.attempts", body: `{"value":7}`,
		header: map[string]string{"Authorization": "Bearer " + token, api.HeaderRequest: "r1"},
	}
	for range 2 {
		if status, body, _ := answer(t, c, n, put); status != 200 || !strings.Contains(body, `"version":1`) {
			t.Errorf("%d %s", status, body)
		}
	}
}

// Every kind of change, asked again by a tool that lost the answer: it is done once, and no answer speaks of what is not there.
func TestAskedAgain(t *testing.T) {
	n, local := apitest.Start(t)
	c, token := plain(t, n), apitest.Token(t, n, identity.Administrator)
	before := func(subject string) string {
		return "this request was carried out before, and its answer cannot be given again: look at what is there now" + subject
	}
	for i, step := range []struct {
		method, path, body string
		status             int // of the second answer
		says               string
		list               string // which afterwards has one more row than before
	}{
		{"POST", "/tokens/enrolment", `{"name":"twice"}`, 409, before(" (GET /api/v1/tokens/enrolment)"), "/tokens/enrolment"},
		{"POST", "/tokens/api", `{"name":"twice","scope":"viewer"}`, 409, before(" (GET /api/v1/tokens/api)"), "/tokens/api"},
		{"POST", "/node-tokens", `{"name":"twice"}`, 409, before(" (GET /api/v1/node-tokens)"), "/node-tokens"},
		{"POST", "/child-tokens", `{"name":"twice"}`, 409, before(" (GET /api/v1/child-tokens)"), "/child-tokens"},
		{"POST", "/severities", `{"name":"Twice"}`, 409, before(" (GET /api/v1/severities)"), "/severities"},
		{"POST", "/windows", `{"name":"twice","repeat":"daily","start":"22:00","minutes":90}`, 409, before(""), "/windows"},
		{"POST", "/operators", `{"name":"twice","scope":"viewer"}`, 409, before(""), "/operators"},
		{"POST", "/tasks/housekeeping/runs", ``, 409, before(""), "/runs"},
		{"PUT", "/site/name", `{"name":"North"}`, 200, `"North"`, ""},
		{"PUT", "/settings/agents.attempts", `{"value":4,"version":0}`, 200, `"version":1`, ""},
		{"PUT", "/operators/twice", `{"name":"thrice","scope":"viewer"}`, 409, before(""), ""},
		{"DELETE", "/operators/thrice", ``, 204, "", ""},
	} {
		count := func() int {
			var list struct{ Total int }
			if step.list != "" {
				if err := local.Get(t.Context(), step.list, nil, &list); err != nil {
					t.Fatal(err)
				}
			}
			return list.Total
		}
		had := count()
		q := ask{
			method: step.method, path: "/api/v1" + step.path, body: step.body,
			header: map[string]string{"Authorization": "Bearer " + token, api.HeaderRequest: fmt.Sprint("again-", i)},
		}
		first, body, _ := answer(t, c, n, q)
		if first >= 300 {
			t.Errorf("%s %s: %d %s", step.method, step.path, first, body)
			continue
		}
		status, body, _ := answer(t, c, n, q)
		if status != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s %s, asked again: %d %s, want %d with %q", step.method, step.path, status, body, step.status, step.says)
		}
		if now := count(); step.list != "" && now != had+1 {
			t.Errorf("%s %s, asked twice: %s had %d rows, and has %d", step.method, step.path, step.list, had, now)
		}
	}
}

func TestAuditNamesWhoAsked(t *testing.T) {
	n, local := apitest.Start(t)
	token := apitest.Token(t, n, identity.Administrator)
	remote := apitest.Remote(t, n, token)
	if err := remote.Put(t.Context(), "/settings/agents.attempts", map[string]any{"value": 9}, nil); err != nil {
		t.Fatal(err)
	}
	var entries api.List[identity.Entry]
	if err := local.Get(t.Context(), "/audit", url.Values{"q": {"agents.attempts"}}, &entries); err != nil {
		t.Fatal(err)
	}
	if entries.Total != 1 || !strings.Contains(entries.Items[0].Actor, "test administrator") || entries.Items[0].Detail != `{"value":9}` {
		t.Errorf("%+v", entries)
	}
}

func TestPagesPartitionAList(t *testing.T) {
	n, c := apitest.Start(t)
	for range 23 {
		apitest.Token(t, n, identity.Viewer)
	}
	for _, sort := range []string{"", "name", "-expires"} {
		seen := map[string]bool{}
		for page := 1; page <= 5; page++ {
			var list api.List[identity.APIToken]
			query := url.Values{"limit": {"5"}, "page": {fmt.Sprint(page)}, "sort": {sort}}
			if err := c.Get(t.Context(), "/tokens/api", query, &list); err != nil {
				t.Fatal(err)
			}
			if list.Total != 23 || list.Page != page || list.Limit != 5 {
				t.Errorf("%+v", list)
			}
			for _, item := range list.Items {
				seen[item.ID] = true
			}
		}
		if len(seen) != 23 {
			t.Errorf("sorted by %q, the pages hold %d of 23", sort, len(seen))
		}
	}
	var none api.List[identity.APIToken]
	if err := c.Get(t.Context(), "/tokens/api", url.Values{"q": {"100%"}}, &none); err != nil || none.Total != 0 || none.Items == nil {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestErrorsOfTheClient(t *testing.T) {
	n, _ := apitest.Start(t)
	for _, cfg := range []client.Config{
		{Server: "http://" + n.Address()},
		{Server: "nonsense"},
		{Server: "https://" + n.Address(), Fingerprint: "12"},
		{Server: "https://" + n.Address(), Authority: "/nowhere"},
	} {
		if _, err := client.New(cfg); !errors.Is(err, client.ErrUsage) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := client.New(client.Config{Dir: t.TempDir()}); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("an empty folder: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, []byte(authenticodetest.Authority(t, "Other").PEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		cfg  client.Config
		want error
		text string
	}{
		// The system's roots do not know the site.
		{client.Config{Server: "https://" + n.Address()}, client.ErrUsage, "give --fingerprint, as thatch site show prints it"},
		{client.Config{Server: "https://" + n.Address(), Fingerprint: strings.Repeat("00", 32)}, client.ErrUsage, "not of the site that was named"},
		{client.Config{Server: "https://" + n.Address(), Authority: other}, client.ErrUsage, "not of the site that was named"},
		{client.Config{Server: "https://127.0.0.1:1", Fingerprint: strings.Repeat("00", 32)}, client.ErrNoNode, "127.0.0.1:1"},
	} {
		c, err := client.New(s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), "/site", nil, nil); !errors.Is(err, s.want) || !strings.Contains(err.Error(), s.text) {
			t.Errorf("%+v: %v, want %q", s.cfg, err, s.text)
		}
	}
	for _, id := range []string{"", ".", ".."} {
		if err := apitest.Remote(t, n, "x").Get(t.Context(), client.Path("computers", id), nil, nil); !errors.Is(err, client.ErrUsage) {
			t.Errorf("the id %q: %v", id, err)
		}
	}
	c := apitest.Remote(t, n, "ta1-nonsense")
	var e *client.Error
	if err := c.Get(t.Context(), "/site", nil, nil); !errors.As(err, &e) || e.Status != 401 || e.Code != "unauthorised" {
		t.Errorf("a bad token: %v", err)
	}
}

func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	n := nodetest.New(t)
	routes := api.Routes(n)
	text, err := json.Marshal(api.Document(routes, "test"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, route := range routes {
		where := route.Method + " " + route.Path
		op := doc.Paths[api.Prefix+route.Path][strings.ToLower(route.Method)]
		if op == nil || route.Summary == "" {
			t.Errorf("%s: not described, or without a summary", where)
			continue
		}
		seen := map[string]bool{}
		parameters, _ := op["parameters"].([]any)
		for _, p := range parameters {
			described, _ := p.(map[string]any)
			name := fmt.Sprint(described["in"], " ", described["name"])
			if seen[name] {
				t.Errorf("%s: two parameters are called %s", where, name)
			}
			seen[name] = true
		}
		id, _ := op["operationId"].(string)
		if other := ids[id]; other != "" {
			t.Errorf("%s and %s share the operation id %s", where, other, id)
		}
		ids[id] = where
	}
	for _, ref := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllSubmatch(text, -1) {
		if _, ok := doc.Components.Schemas[string(ref[1])]; !ok {
			t.Errorf("the schema %s is referred to and not there", ref[1])
		}
		if !regexp.MustCompile(`^[\w.-]+$`).Match(ref[1]) {
			t.Errorf("the schema's name %s is none of OpenAPI's", ref[1])
		}
	}
	if bytes.Contains(text, []byte(`"thatch/`)) {
		t.Error("import paths are shown")
	}
}

// Files of the node's machine are named only by whoever may read its data folder, by whatever way they are named.
func TestStrangersNameNoFiles(t *testing.T) {
	n, _ := apitest.Start(t)
	c := apitest.Remote(t, n, apitest.Token(t, n, identity.Administrator))
	for _, a := range []struct{ method, path, body string }{
		{"POST", "/catalog/imports", `{"source":"msrc","from":"/etc"}`},
		{"POST", "/catalog/imports", `{"source":"msrc","all":["https://one.example/x","/etc"]}`},
		{"PUT", "/catalog/sources/msrc", `{"from":["/etc"]}`},
		{"PUT", "/tasks/catalog-import-msrc", `{"schedule":"@daily","params":{"source":"msrc","from":"/etc"}}`},
		{"PUT", "/tasks/catalog-import-msrc", `{"schedule":"@daily","params":"nonsense"}`},
	} {
		err := c.Do(t.Context(), client.Request{Method: a.method, Path: a.path, In: json.RawMessage(a.body)}, nil)
		if e := (*client.Error)(nil); !errors.As(err, &e) || e.Code != "invalid" && e.Code != "forbidden" {
			t.Errorf("%s %s %s: %v", a.method, a.path, a.body, err)
		}
	}
}
