package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/node/identity"
	"thatch/node/nodetest"
)

// odd are values that break what was not thought through.
var odd = []string{
	"", " ", "0", "-1", "1", "2147483648", "99999999999999999999", "NaN", "true", "null", "..", "../../etc/passwd", "a/b", "%", "%2F", "%zz",
	"'", `"`, "\\", "*", "!", ">", "<", ",", "a,b", "\x00", "\xff\xfe", "ä", "𝕏", "{}", "[]", "' OR 1=1 --", "2019-02-30", "2026-01-01",
	strings.Repeat("x", 5000), "en", "agents.attempts", "Critical", "msrc", "00000000-0000-0000-0000-000000000000",
}

var oddBodies = []string{
	"", "{", "{}", "[]", "null", "1", `"x"`, `{"name":null}`, `{"name":{}}`, `{"name":""}`, `{"value":null}`, `{"version":-1}`, `{"version":99}`,
	`{"x":1}`, `{"languages":["x","de"]}`, `{"ids":[]}`, `{"bulletins":[]}`, `{"bulletins":["nobody"]}`, `{"source":"nobody"}`,
	"\x00\xff", strings.Repeat("[", 10_000), `{"name":"` + strings.Repeat("x", 10_000) + `"}`,
}

// TestGarbage calls every route with odd names, parameters and bodies: each answer is the caller's fault, or right, and
// never the node's failure.
func TestGarbage(t *testing.T) {
	n := nodetest.New(t)
	handler := api.New(n)
	token := apitest.Token(t, n, identity.Administrator)
	routes := api.Routes(n)
	rapid.Check(t, func(rt *rapid.T) {
		route := rapid.SampledFrom(routes).Draw(rt, "route")
		path := names.ReplaceAllStringFunc(route.Path, func(string) string {
			return url.PathEscape(rapid.SampledFrom(odd).Draw(rt, "name"))
		})
		query := url.Values{}
		for _, name := range append([]string{"q", "sort", "page", "limit"}, route.Columns...) {
			if rapid.IntRange(0, 3).Draw(rt, "use "+name) == 0 {
				query.Set(name, rapid.SampledFrom(odd).Draw(rt, name))
			}
		}
		for _, p := range route.Query {
			if rapid.Bool().Draw(rt, "use "+p.Name) {
				query.Set(p.Name, rapid.SampledFrom(odd).Draw(rt, p.Name))
			}
		}
		body := rapid.SampledFrom(oddBodies).Draw(rt, "body")
		target := api.Prefix + path + "?" + query.Encode()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, route.Method, "https://node"+target, strings.NewReader(body))
		if err != nil {
			rt.Skip(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set(api.HeaderRequest, rapid.SampledFrom(odd).Draw(rt, "request"))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code >= 500 || answer.Code == 401 || answer.Code == 403 {
			rt.Fatalf("%s %.300s\n%.300s\nanswered %d %.500s", route.Method, target, body, answer.Code, answer.Body)
		}
	})
}

// FuzzPaths calls the API with any path at all.
func FuzzPaths(f *testing.F) {
	for _, s := range odd {
		f.Add("GET", "/api/v1/runs/"+s, s)
	}
	n := nodetest.New(f)
	handler := api.New(n)
	token := apitest.Token(f, n, identity.Administrator)
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r, err := http.NewRequest(method, "https://node", http.NoBody)
		if err != nil || strings.Contains(path, "/events") {
			return
		}
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code >= 500 {
			t.Fatalf("%q %q %q: %d %s", method, path, query, answer.Code, answer.Body)
		}
	})
}
