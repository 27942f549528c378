// Package pagetest opens pages of the console on a running node, for tests.
package pagetest

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/console/api/catalog"
	"thatch/console/page"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
)

// Token is what the forms of the browser's session carry.
const Token = "a token that nobody guesses"

// Browser opens pages as an operator whom nobody asked for a password.
type Browser struct {
	Node     *node.Node
	Operator identity.Operator
	Language string // "" English
	Zone     string // "" UTC
	Home     []string
	console  *page.Console
	cookies  []*http.Cookie
}

// Start runs a node with the API and the pages of areas, and returns a browser of an administrator.
func Start(t testing.TB, routes func(n *node.Node) []api.Route, areas ...page.Area) *Browser {
	t.Helper()
	n := nodetest.New(t)
	more := catalog.Routes(n)
	if routes != nil {
		more = append(more, routes(n)...)
	}
	a := api.New(n, more...)
	nodetest.Run(t, n, map[string]http.Handler{"/": a})
	return Open(n, a, areas...)
}

// Open is a browser of an administrator on a node that runs.
func Open(n *node.Node, a *api.Server, areas ...page.Area) *Browser {
	b := &Browser{Node: n, Operator: identity.Operator{Name: "Ada", Scope: identity.Administrator}}
	b.console = page.New(page.Config{
		API: a, Sessions: b, Site: func(context.Context) string { return "North" }, Now: n.Now, Log: n.Log(), Areas: areas,
	})
	return b
}

// Session is the browser's, always there.
func (b *Browser) Session(*http.Request) (page.Session, bool, error) {
	return page.Session{Operator: b.Operator, Token: Token, Language: b.Language, Zone: b.Zone, Home: b.Home}, b.Operator.Name != "", nil
}

// SignIn is where strangers are sent.
func (b *Browser) SignIn(back string) string { return "/sign-in?back=" + url.QueryEscape(back) }

// Answer is what a page answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Get opens an address.
func (b *Browser) Get(t testing.TB, address string) Answer {
	t.Helper()
	return b.do(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
}

// Post sends a form, and follows to where it leads.
func (b *Browser) Post(t testing.TB, address string, form url.Values) Answer {
	t.Helper()
	form.Set("token", Token)
	answer := b.Send(t, address, form)
	if answer.Status == http.StatusSeeOther {
		to, _, _ := strings.Cut(answer.Header.Get("Location"), "#") // which the server is not told
		return b.Get(t, to)
	}
	return answer
}

// Send sends a form as it stands, with headers (names and values).
func (b *Browser) Send(t testing.TB, address string, form url.Values, headers ...[2]string) Answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, header := range headers {
		r.Header.Set(header[0], header[1])
	}
	return b.do(t, r)
}

// SendFile sends a form with a file in the field "file", and answers without following where it leads.
func (b *Browser) SendFile(t testing.TB, address string, form url.Values, name, content string) Answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for field, values := range form {
		for _, value := range values {
			if err := w.WriteField(field, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if name != "" {
		part, err := w.CreateFormFile("file", name)
		if err == nil {
			_, err = io.WriteString(part, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(t, r)
}

func (b *Browser) do(t testing.TB, r *http.Request) Answer {
	t.Helper()
	for _, cookie := range b.cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	b.console.ServeHTTP(w, r)
	answer := w.Result()
	for _, cookie := range answer.Cookies() {
		b.keep(cookie)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") && answer.Header.Get("Location") == "" {
		Check(t, r.URL.Path, string(body))
	}
	return Answer{answer.StatusCode, answer.Header, string(body)}
}

func (b *Browser) keep(cookie *http.Cookie) {
	kept := b.cookies[:0]
	for _, c := range b.cookies {
		if c.Name != cookie.Name {
			kept = append(kept, c)
		}
	}
	if cookie.MaxAge >= 0 {
		kept = append(kept, cookie)
	}
	b.cookies = kept
}

// Has fails a test where an answer lacks a text.
func (a Answer) Has(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			t.Errorf("%d: the page lacks %q:\n%s", a.Status, text, Main(a.Body))
		}
	}
}

// Main is what a page has between its frame.
func Main(body string) string {
	_, rest, _ := strings.Cut(body, "<main")
	rest, _, _ = strings.Cut(rest, "</main>")
	return rest
}

// ServeHTTP lets a real browser in.
func (b *Browser) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.console.ServeHTTP(w, r) }
