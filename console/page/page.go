// Package page is the console: pages made on the server from templates in the binary. A page is a client of /api/v1 in the
// same process, so whatever can be done here can be done by tools, with the same checks. Rooms beside this one
// (console/page/...) hold the pages, each with its templates, as an Area; this package serves them.
package page

import (
	"context"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"thatch/console/api"
	"thatch/console/page/assets"
	"thatch/console/page/words"
	"thatch/node/identity"
	"thatch/node/store/signed"
)

// Page is one address of the console.
type Page struct {
	Path  string         // "/bulletins/{id}"
	Nav   string         // path of the entry of the navigation that it stands under; "" its own
	Title string         // in English, as the message catalog has it
	Scope identity.Scope // that it takes to see it; "" viewer
	Takes string         // a call of the API without which the page is of no use: "POST /policies"; "" none
	Help  Help
	List  *List                                         // the page is a list, and files of it; nil: Show makes it
	Show  func(q *Request) (*View, error)               // GET; of a page with a List, what stands around its table
	Acts  map[string]Act                                // what its forms do, by their field "do"
	Raw   func(q *Request, w http.ResponseWriter) error // the page writes its answer itself (streams, files)
	Files int64                                         // largest form with a file that its acts take, in bytes; 0: none. It takes an operator
}

// Help says what a page is for and how the command line does the same.
type Help struct {
	Text    string   // in English, as the message catalog has it
	Command []string // command lines
}

// Act is what a form of a page does.
type Act struct {
	Scope identity.Scope // that it takes; "" operator
	Do    func(q *Request) (Outcome, error)
}

// Outcome is where the browser goes after an Act, and what it says there.
type Outcome struct {
	To      string         // address; "" the page itself
	Note    string         // in the reader's language
	Cookies []*http.Cookie // that the browser gets with it
	Once    *View          // shown as the answer itself: what is told but once, such as a secret
}

// View is what Show makes of a page.
type View struct {
	Template string // name of a template of the Area
	Data     any    // its .Data
	Title    string // instead of the page's, as it stands (a name of something)
	Crumbs   []Link // above the title, after the entry of the navigation
}

// Link is a text that leads somewhere.
type Link struct{ Text, To string }

// Area is the pages of one room with their templates (files *.html, each a template by its file's name).
type Area struct {
	Templates fs.FS
	Pages     []*Page
}

// Session is who sits before the browser.
type Session struct {
	Operator identity.Operator
	Token    string   // that forms carry, so that no other site can send them
	Language string   // preferred, "" the browser's
	Zone     string   // IANA name, "" the browser's
	Theme    string   // light, dark, "" the browser's
	Home     []string // parts of the first page, nil all
	Only     string   // the one page that is open as yet, "" all: something is to be set up there before anything else
}

// Sessions finds the session of a request, or says where to sign in.
type Sessions interface {
	// Session is the session of a request; false where there is none (any more).
	Session(r *http.Request) (Session, bool, error)
	// SignIn is the address at which to sign in and come back to another address.
	SignIn(back string) string
}

// Config is what the console is made of.
type Config struct {
	API      *api.Server
	Sessions Sessions
	Site     func(ctx context.Context) string // the site's name
	Now      func() time.Time
	Log      *slog.Logger
	Areas    []Area
	Open     map[string]http.Handler // addresses without a session, by their prefix: signing in
}

// Console serves the pages.
type Console struct {
	Config
	router    *mux.Router
	templates *templates
	nav       []navEntry
	pages     map[string]*Page // by path
}

// New makes the console. A template that cannot be read, and two pages at one address, are faults of the program and
// panic.
func New(cfg Config) *Console {
	c := &Console{Config: cfg, router: mux.NewRouter().UseEncodedPath(), pages: map[string]*Page{}}
	sources := []fs.FS{own()}
	for _, area := range cfg.Areas {
		if area.Templates != nil {
			sources = append(sources, area.Templates)
		}
		for _, p := range area.Pages {
			if c.pages[p.Path] != nil {
				panic("two pages at " + p.Path)
			}
			c.pages[p.Path] = p
			if p.List != nil {
				if i := slices.IndexFunc(p.List.Columns, func(c Column) bool { return slices.Contains(reserved, c.Name) && !c.Unfiltered }); i >= 0 {
					panic("a column called " + p.List.Columns[i].Name + " at " + p.Path)
				}
				acts := listActs(p.List)
				maps.Copy(acts, p.Acts)
				p.Acts = acts
			}
			c.router.Path(p.Path).Handler(c.serve(p))
		}
	}
	c.templates = parse(sources)
	c.nav = c.navigation()
	c.router.PathPrefix(assets.Prefix).Handler(assets.Handler())
	for prefix, open := range cfg.Open {
		c.router.PathPrefix(prefix).Handler(open)
	}
	c.router.NotFoundHandler = c.session(func(q *Request, w http.ResponseWriter) {
		c.fail(q, w, &api.Error{Status: http.StatusNotFound, Code: "not_found", Text: q.T("There is no page at %s.", q.R.URL.Path)})
	})
	return c
}

// ServeHTTP answers browsers, and hands tools to the API.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if api.Handles(r.URL.Path) {
		c.API.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, assets.Prefix) {
		c.router.ServeHTTP(w, r)
		return
	}
	if err := c.catchUp(r); err != nil {
		q := &Request{R: r, console: c, Words: words.For(r.Header.Get("Accept-Language"))}
		q.zone = zone(q.Session, r)
		c.fail(q, w, err)
		return
	}
	record := &signed.Record{}
	c.router.ServeHTTP(&recorded{w, r, c, record, false}, r.WithContext(signed.WithRecord(r.Context(), record)))
}

// policy lets a page take styles, scripts and images from this node alone, and be framed by nobody.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// session finds who calls before anything else is done.
func (c *Console) session(next func(q *Request, w http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, ok, err := c.Sessions.Session(r)
		q := &Request{R: r, Session: s, console: c, Words: words.For(first(s.Language, r.Header.Get("Accept-Language")))}
		q.zone = zone(s, r)
		switch {
		case err != nil:
			c.fail(q, w, err)
		case !ok:
			http.Redirect(w, r, c.Sessions.SignIn(r.URL.RequestURI()), http.StatusSeeOther)
		case s.Only != "" && r.URL.Path != s.Only:
			http.Redirect(w, r, s.Only, http.StatusSeeOther)
		default:
			q.read(w)
			next(q, w)
		}
	})
}

func (c *Console) serve(p *Page) http.Handler {
	return c.session(func(q *Request, w http.ResponseWriter) {
		q.page = p
		if err := q.Session.Operator.Require(first(p.Scope, identity.Viewer)); err != nil {
			c.fail(q, w, err)
			return
		}
		if p.Takes != "" {
			if err := q.Refused(p.Takes); err != nil {
				c.fail(q, w, err)
				return
			}
		}
		switch q.R.Method {
		case http.MethodGet, http.MethodHead:
			c.show(q, w, nil)
		case http.MethodPost:
			c.act(q, w)
		default:
			c.fail(q, w, &api.Error{Status: http.StatusMethodNotAllowed, Code: "invalid", Text: q.T("This page does not take %s.", q.R.Method)})
		}
	})
}

// show renders a page; wrong is what a form of it was refused for.
func (c *Console) show(q *Request, w http.ResponseWriter, wrong error) {
	var view *View
	var err error
	switch p := q.page; {
	case p.Raw != nil:
		if err := p.Raw(q, w); err != nil {
			c.fail(q, w, err)
		}
		return
	case p.List != nil && q.Arg("format") != "":
		if err := q.export(p.List, w); err != nil {
			c.fail(q, w, err)
		}
		return
	case p.List != nil && p.Show == nil:
		view, err = q.listPage(p.List)
	default:
		view, err = p.Show(q)
	}
	if err != nil {
		c.fail(q, w, err)
		return
	}
	status := http.StatusOK
	if wrong != nil {
		status = api.AsError(wrong).Status
	}
	c.render(q, w, status, view, wrong)
}

// act does what a form asks for, and sends the browser on, so that a reload repeats nothing.
func (c *Console) act(q *Request, w http.ResponseWriter) {
	if q.page.Files > 0 {
		if err := q.takeFiles(w); err != nil {
			c.fail(q, w, err)
			return
		}
		defer q.dropFiles()
	}
	if err := q.genuine(); err != nil {
		c.fail(q, w, err)
		return
	}
	act, ok := q.page.Acts[q.Form("do")]
	if !ok {
		c.fail(q, w, Refuse(q.T("This page cannot do %q.", q.Form("do"))))
		return
	}
	if err := q.Session.Operator.Require(first(act.Scope, identity.Operate)); err != nil {
		c.fail(q, w, err)
		return
	}
	out, err := act.Do(q)
	if err != nil {
		c.refused(q, w, err)
		return
	}
	for _, cookie := range out.Cookies {
		http.SetCookie(w, cookie)
	}
	if out.Once != nil {
		q.note.Text = out.Note
		c.render(q, w, http.StatusOK, out.Once, nil)
		return
	}
	q.leaveNote(w, note{Text: out.Note})
	http.Redirect(w, q.R, first(out.To, q.R.URL.RequestURI()), http.StatusSeeOther)
}

// refused shows the page again with what was written in the form and why it was refused. A list says it at its head.
func (c *Console) refused(q *Request, w http.ResponseWriter, err error) {
	e := api.AsError(err)
	if e.Status >= http.StatusInternalServerError || q.page.Show == nil && q.page.List == nil {
		c.fail(q, w, err)
		return
	}
	c.show(q, w, err)
}

func (c *Console) fail(q *Request, w http.ResponseWriter, err error) {
	e := api.AsError(err)
	if e.Status >= http.StatusInternalServerError && q.R.Context().Err() == nil {
		c.Log.Error("page failed", "method", q.R.Method, "path", q.R.URL.Path, "error", err)
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	c.render(q, w, e.Status, &View{Template: "failed.html", Title: q.T(failedTitle(e.Status)), Data: q.sentence(e)}, nil)
}

func failedTitle(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusServiceUnavailable:
		return "Not available now"
	}
	return "That did not work"
}

// first is the first that is not empty.
func first[T ~string](all ...T) T {
	for _, text := range all {
		if text != "" {
			return text
		}
	}
	return ""
}

// HTML is markup that the program made itself.
type HTML = template.HTML
