package page

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"thatch/console/api"
	"thatch/console/page/assets"
	"thatch/console/page/format"
	"thatch/console/page/words"
)

//go:embed templates/*.html
var ownTemplates embed.FS

func own() fs.FS {
	sub, err := fs.Sub(ownTemplates, "templates")
	if err != nil {
		panic(err) // embedded
	}
	return sub
}

// templates are all templates of the console, made ready for each language and time zone when they are first needed: so
// that a template says {{t "..."}} and {{when .Time}} and nothing of who reads it.
type templates struct {
	master *template.Template // never executed
	mu     sync.Mutex
	ready  map[string]*template.Template // by language and zone
}

// maxReady bounds how many sets are kept; whoever comes with yet another zone pays for a set of its own.
const maxReady = 64

func parse(sources []fs.FS) *templates {
	master := template.New("").Funcs(funcs(format.Values{Catalog: words.For("en"), Zone: time.UTC, Now: time.Now})).Option("missingkey=error")
	for _, source := range sources {
		names, err := fs.Glob(source, "*.html")
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			if master.Lookup(name) != nil {
				panic("two templates called " + name)
			}
			text, err := fs.ReadFile(source, name)
			if err != nil {
				panic(err)
			}
			template.Must(master.New(name).Parse(string(text)))
		}
	}
	return &templates{master: master, ready: map[string]*template.Template{}}
}

func funcs(v format.Values) template.FuncMap {
	all := v.Funcs()
	all["to"] = To
	return all
}

func (t *templates) set(v format.Values) (*template.Template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := v.Language + " " + v.Zone.String()
	if set := t.ready[key]; set != nil {
		return set, nil
	}
	set, err := t.master.Clone()
	if err != nil {
		return nil, err
	}
	set.Funcs(funcs(v))
	if len(t.ready) < maxReady {
		t.ready[key] = set
	}
	return set, nil
}

// frame is what the layout's template is given; a page's own template sees it as its dot, and its data as .Data.
type frame struct {
	*Request
	Site    string
	Nav     []navEntry
	Title   string
	Crumbs  []Link
	Note    string
	Wrong   string // why a form was refused
	Help    Help
	Data    any
	Content template.HTML
	Self    string // the page's address
	Assets  map[string]string
}

// PagePath is the page's address with its {names}, for styles and tests.
func (f *frame) PagePath() string {
	if f.page == nil {
		return ""
	}
	return f.page.Path
}

// Token is the hidden field that every form carries.
func (f *frame) Token() template.HTML {
	return template.HTML(`<input type="hidden" name="token" value="` + template.HTMLEscapeString(f.Session.Token) + `">`)
}

// render writes a page.
func (c *Console) render(q *Request, w http.ResponseWriter, status int, view *View, wrong error) {
	f := &frame{
		Request: q, Site: c.Site(q.R.Context()), Nav: c.navFor(q), Title: view.Title, Crumbs: view.Crumbs, Note: q.note.Text,
		Data: view.Data, Self: q.R.URL.RequestURI(), Assets: assets.Names(),
	}
	if q.page != nil {
		f.Help = q.page.Help
		f.Title = first(view.Title, q.T(q.page.Title))
	}
	if wrong != nil {
		f.Wrong = q.sentence(api.AsError(wrong))
	}
	c.write(w, status, view.Template, "layout.html", f)
}

// write makes the content, then the layout around it, and answers with both or with neither.
func (c *Console) write(w http.ResponseWriter, status int, name, layout string, f *frame) {
	q := f.Request
	out, err := c.page(q, name, layout, f)
	if err != nil {
		c.Log.Error("page could not be made", "path", q.R.URL.Path, "template", name, "error", err)
		http.Error(w, "this page could not be made; the node's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", q.Words.Language)
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

func (c *Console) page(q *Request, name, layout string, f *frame) ([]byte, error) {
	set, err := c.templates.set(q.values())
	if err != nil {
		return nil, err
	}
	var content, whole bytes.Buffer
	if err := set.ExecuteTemplate(&content, name, f); err != nil {
		return nil, err
	}
	f.Content = template.HTML(content.String())
	if err := set.ExecuteTemplate(&whole, layout, f); err != nil {
		return nil, err
	}
	return whole.Bytes(), nil
}

// Part renders a template with data of its own as its .Data, to be put into another.
func (q *Request) Part(name string, data any) (HTML, error) {
	set, err := q.console.templates.set(q.values())
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := set.ExecuteTemplate(&out, name, &frame{Request: q, Data: data, Self: q.R.URL.RequestURI()}); err != nil {
		return "", err
	}
	return HTML(out.String()), nil
}

// Open renders a page without a session, such as the one to sign in, in a layout of its own. The view's title is in English.
func (c *Console) Open(w http.ResponseWriter, r *http.Request, status int, v View) {
	q := &Request{R: r, console: c, Words: words.For(r.Header.Get("Accept-Language")), zone: zone(Session{}, r)}
	f := &frame{Request: q, Site: c.Site(r.Context()), Title: q.T(v.Title), Data: v.Data, Assets: assets.Names(), Self: r.URL.RequestURI()}
	c.write(w, status, v.Template, "open.html", f)
}

// sentence is an error's text as a page says it: without the word for its class, which the API's code says too.
func (q *Request) sentence(e *api.Error) string {
	text := e.Text
	for _, class := range []string{"invalid: ", "conflict: ", "not allowed: "} {
		text = strings.TrimPrefix(text, class)
	}
	return q.values().Sentence(text)
}
