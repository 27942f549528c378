package page

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"thatch/console/api"
	"thatch/console/page/format"
	"thatch/console/page/words"
	"thatch/node/identity"
	"thatch/node/sites/hierarchy"
	"thatch/node/store"
)

// maxForm is the largest form, in bytes.
const maxForm = 1 << 20

// Request is one request of a browser with a session.
type Request struct {
	R       *http.Request
	Session Session
	Words   *words.Catalog
	console *Console
	page    *Page
	zone    *time.Location
	note    note
	index   uint64            // of the last write
	sites   map[string]string // names by id; nil: not read
	Whole   bool              // something on the page counts the whole site, and the operator is limited to a part of it
}

// note is what one answer leaves for the next page, in a cookie.
type note struct {
	Text string `json:"t,omitempty"`
}

const noteCookie = "__Host-thatch-note"

// T is a text in the reader's language.
func (q *Request) T(english string, args ...any) string { return q.Words.T(english, args...) }

func (q *Request) values() format.Values {
	return format.Values{Catalog: q.Words, Zone: q.zone, Now: q.Now}
}

// Said is what the node said, in the reader's language, with times in the reader's zone, and sites by their names.
func (q *Request) Said(text string) string { return q.named(q.values().Said(text)) }

// Sentence is Said, beginning like a sentence.
func (q *Request) Sentence(text string) string { return q.named(q.values().Sentence(text)) }

// siteID is how the node names a site in what it keeps.
var siteID = regexp.MustCompile(`\b([Ss]ite )([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b`)

// named says the names of sites that the reader may see.
func (q *Request) named(text string) string {
	if !siteID.MatchString(text) {
		return text
	}
	if q.sites == nil { // once a page
		q.sites = map[string]string{}
		tree, err := Get[hierarchy.Hierarchy](q, "/hierarchy")
		if err != nil {
			q.console.Log.Warn("names of sites could not be read", "path", q.R.URL.Path, "error", err)
		}
		for _, s := range tree.Sites {
			q.sites[s.ID] = s.Name
		}
		q.sites[tree.Self] = q.console.Site(q.R.Context())
	}
	return siteID.ReplaceAllStringFunc(text, func(found string) string {
		word, id := found[:len("site ")], found[len("site "):]
		return word + first(q.sites[id], id)
	})
}

// Day is a date without its year, as below a chart.
func (q *Request) Day(date string) string { return q.values().Day(date) }

// Context is the request's: reads under it see what the session wrote just before.
func (q *Request) Context() context.Context {
	if q.index > 0 {
		return store.AtLeast(q.R.Context(), q.index)
	}
	return q.R.Context()
}

// Now is the time.
func (q *Request) Now() time.Time { return q.console.Now() }

// Zone is the reader's time zone.
func (q *Request) Zone() *time.Location { return q.zone }

// Var is a name of the path, unescaped.
func (q *Request) Var(name string) string {
	plain, err := url.PathUnescape(mux.Vars(q.R)[name])
	if err != nil {
		return mux.Vars(q.R)[name]
	}
	return plain
}

// Arg is a parameter of the address.
func (q *Request) Arg(name string) string { return q.R.URL.Query().Get(name) }

// Form is a field of the form that was sent, without white space around it.
func (q *Request) Form(name string) string { return strings.TrimSpace(q.R.PostForm.Get(name)) }

// Forms are all values of a field of the form that was sent.
func (q *Request) Forms(name string) []string { return q.R.PostForm[name] }

// Sent says whether a form was sent: Show then shows its values again.
func (q *Request) Sent() bool { return q.R.Method == http.MethodPost }

// Value is a field's value in a form that is shown again, or what it stands at.
func (q *Request) Value(name, stands string) string {
	if q.Sent() && q.R.PostForm.Has(name) {
		return q.R.PostForm.Get(name)
	}
	return stands
}

// Allows says whether the operator may call a route of the API, "PUT /policies/{id}" with the names of the page's path: what
// they may not do is not shown. Names that the page's path has not are those of things not known yet.
func (q *Request) Allows(call string) bool { return q.Refused(call) == nil }

// Refused is the API's refusal of a call to this operator, nil where there is none: for actions that read a form before they call.
func (q *Request) Refused(call string) error {
	method, path, _ := strings.Cut(call, " ")
	for name, value := range mux.Vars(q.R) {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return q.console.API.Allows(q.R.Context(), q.Session.Operator, method, path)
}

// Opens says whether the operator may open a page, by its path.
func (q *Request) Opens(path string) bool {
	p := q.console.pages[path]
	return p == nil || q.May(first(p.Scope, identity.Viewer)) && (p.Takes == "" || q.Allows(p.Takes))
}

// May says whether the operator has a scope.
func (q *Request) May(scope identity.Scope) bool { return q.Session.Operator.Require(scope) == nil }

// Ask calls a route of the API as the operator.
func (q *Request) Ask(method, path string, query url.Values, body any) (any, error) {
	answer, about, err := q.console.API.Ask(q.Context(), q.Session.Operator,
		api.Request{Method: method, Path: path, Query: query, Body: body})
	q.index, q.Whole = max(q.index, about.Index), q.Whole || about.Whole
	return answer, err
}

// Get reads a route of the API whose answer is a T. Query is names and values in turn.
func Get[T any](q *Request, path string, query ...string) (T, error) {
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return asked[T](q, http.MethodGet, path, values, nil)
}

// Send calls a route of the API whose answer is a T, with a body.
func Send[T any](q *Request, method, path string, body any) (T, error) {
	return asked[T](q, method, path, nil, body)
}

func asked[T any](q *Request, method, path string, query url.Values, body any) (T, error) {
	var none T
	answer, err := q.Ask(method, path, query, body)
	if err != nil {
		return none, err
	}
	is, ok := answer.(T)
	if !ok {
		return none, fmt.Errorf("%s %s answers %T, not %T", method, path, answer, none)
	}
	return is, nil
}

// To makes an address of segments, each escaped: To("bulletins", id).
func To(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// ServeAPI answers the browser with a route of the API, such as a stream of events.
func (q *Request) ServeAPI(path string, w http.ResponseWriter) {
	q.console.API.ServeFor(q.Session.Operator, path, w, q.R)
}

// read takes in the form, and the note that the answer before left.
func (q *Request) read(w http.ResponseWriter) {
	if q.R.Method == http.MethodPost && !q.withFiles() { // those are read where the page takes them
		q.R.Body = http.MaxBytesReader(w, q.R.Body, maxForm)
		if err := q.R.ParseForm(); err != nil {
			q.R.PostForm = url.Values{} // then the form's token is missing, and it is refused
		}
	}
	cookie, err := q.R.Cookie(noteCookie)
	if err != nil {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err == nil && json.Unmarshal(raw, &q.note) == nil && q.R.Method == http.MethodGet && q.R.Header.Get("X-Part") == "" {
		http.SetCookie(w, &http.Cookie{Name: noteCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
}

func (q *Request) leaveNote(w http.ResponseWriter, n note) {
	if n == (note{}) {
		return
	}
	raw, err := json.Marshal(n)
	if err != nil {
		return // a text and a number
	}
	http.SetCookie(w, &http.Cookie{
		Name: noteCookie, Value: base64.RawURLEncoding.EncodeToString(raw), Path: "/", MaxAge: 60,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// genuine says whether a form was sent by a page of this console: it carries the session's token, and the browser names
// no other site as where it comes from.
func (q *Request) genuine() error {
	if !SameOrigin(q.R) || q.Session.Token == "" || subtle.ConstantTimeCompare([]byte(q.R.PostForm.Get("token")), []byte(q.Session.Token)) != 1 {
		return &api.Error{
			Status: http.StatusForbidden, Code: "forbidden",
			Text: q.T("This form was not sent by a page of this session. Open the page anew and send it again."),
		}
	}
	return nil
}

// SameOrigin says whether the browser names no other site as where a request comes from.
func SameOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	origin := r.Header.Get("Origin")
	from, err := url.Parse(origin)
	return (site == "" || site == "same-origin" || site == "none") && (origin == "" || err == nil && from.Host == r.Host)
}

// zone is the reader's time zone: the operator's choice, or what the browser's script left in a cookie, or UTC.
func zone(s Session, r *http.Request) *time.Location {
	name := s.Zone
	if cookie, err := r.Cookie(zoneCookie); err == nil && name == "" {
		name, _ = url.QueryUnescape(cookie.Value)
	}
	return format.Zone(name)
}

const zoneCookie = "thatch-zone"
