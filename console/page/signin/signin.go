// Package signin lets people into the console: names and passwords, second factors, the links with which passwords are
// chosen, the provider of OpenID Connect, signing out; and the page of one's own account.
package signin

import (
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"thatch/console/api"
	routes "thatch/console/api/operators"
	"thatch/console/page"
	"thatch/console/page/signin/provider"
	"thatch/node"
	"thatch/node/operators"
	"thatch/node/store"
)

// cookieName begins the name of the cookie by which a session is known. Browsers take a name that begins so only from this
// very host, over TLS.
const cookieName = "__Host-thatch"

// CookieName is the name of a session's cookie at a HOST:PORT. Browsers send a host's cookies to all its ports: the name tells
// nodes of several sites apart that run on one machine.
func CookieName(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "443" {
		return cookieName + "-" + port
	}
	return cookieName
}

const (
	formCookie = "__Host-thatch-form"
	maxForm    = 64 << 10
	formSecret = 24 // bytes
)

// Paths of the pages.
const (
	path       = "/sign-in"
	secondPath = path + "/second"
	firstPath  = routes.FirstPath
	enterPath  = routes.EnterPath
	oidcPath   = path + "/oidc"
	backPath   = oidcPath + "/back"
	outPath    = "/sign-out"
	// requiredPath is where operators set up the second factor that the site asks for.
	requiredPath = "/account/second-factor"
)

//go:embed templates/*.html
var files embed.FS

// Renderer writes pages without a session; titles are in English.
type Renderer interface {
	Open(w http.ResponseWriter, r *http.Request, status int, v page.View)
}

// Door lets people in. It is the console's page.Sessions.
type Door struct {
	node     *node.Node
	log      *slog.Logger
	provider *provider.Provider
	render   Renderer
}

// New makes the door. Give it a Renderer before it answers: the console, which is made of its Area and its Open.
func New(n *node.Node) *Door {
	return &Door{node: n, log: n.Log(), provider: provider.New(n.Settings, n.Now)}
}

// RenderWith says who writes the door's pages.
func (d *Door) RenderWith(r Renderer) { d.render = r }

// Area is the page of one's own account, with the templates of all pages of this package.
func (d *Door) Area() page.Area {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // embedded
	}
	return page.Area{Templates: templates, Pages: []*page.Page{d.account(), d.required()}}
}

// Open are the addresses that need no session, by their prefix.
func (d *Door) Open() map[string]http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET " + path + "/{$}": d.showSignIn, "GET " + path: d.showSignIn, "POST " + path: d.signIn,
		"GET " + secondPath: d.showSecond, "POST " + secondPath: d.second,
		"GET " + firstPath: d.showFirst, "POST " + firstPath: d.first,
		"GET " + enterPath: d.enterByLink,
		"GET " + oidcPath:  d.toProvider, "GET " + backPath: d.fromProvider,
		"POST " + outPath: d.signOut,
	} {
		mux.HandleFunc(pattern, handler)
	}
	return map[string]http.Handler{path: mux, outPath: mux}
}

// Session is the session of a request; false where there is none.
func (d *Door) Session(r *http.Request) (page.Session, bool, error) {
	cookie, err := r.Cookie(CookieName(r.Host))
	if err != nil {
		return page.Session{}, false, nil
	}
	find := d.node.Operators.Session
	if r.Header.Get("X-Part") != "" || r.Header.Get("Accept") == "text/event-stream" {
		find = d.node.Operators.Look // the page asks by itself, and nobody need sit before it
	}
	s, err := find(r.Context(), cookie.Value)
	if errors.Is(err, operators.ErrNoSession) {
		return page.Session{}, false, nil
	}
	p, only := s.Preferences, ""
	if s.Lacks {
		only = requiredPath
	}
	return page.Session{
		Only:     only,
		Operator: s.Operator, Token: s.CSRF, Language: p.Language, Zone: p.TimeZone, Theme: p.Theme, Home: p.Home,
	}, err == nil, err
}

// SignIn is the address at which to sign in and come back to another address.
func (d *Door) SignIn(back string) string { return withBack(path, back) }

func withBack(path, back string) string {
	if back = local(back); back == "/" {
		return path
	}
	return path + "?" + url.Values{"back": {back}}.Encode()
}

// local is an address of this console; anything else is the first page.
func local(back string) string {
	u, err := url.Parse(back)
	odd := strings.ContainsFunc(back, func(c rune) bool { return c < ' ' || c == '\\' || c == 0x7f })
	if err != nil || odd || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") ||
		strings.HasPrefix(back, path) || strings.HasPrefix(back, outPath) {
		return "/"
	}
	return back
}

// view is a page with a form; the title is in English.
type view struct{ template, title string }

var (
	signInView = view{"signin.html", "Sign in"}
	secondView = view{"signin-second.html", "Second factor"}
	firstView  = view{"signin-first.html", "Choose a password"}
)

// form is what the pages of this package are given.
type form struct {
	Secret string // hidden field: the browser's cookie has the same
	Back   string
	Wrong  string // in English, why the last attempt was refused
	Name   string // as typed
	Code   string // of a link
	Label  string // of the provider, "" none
	Nobody bool   // the site has no operator yet
	First  bool   // the link makes the first administrator
}

// genuine says whether a form was sent by a page of this console. It is asked before there is a session: the form bears
// what a cookie of the same browser has, and the browser names no other site as where it comes from.
func genuine(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil || !page.SameOrigin(r) {
		return false
	}
	cookie, err := r.Cookie(formCookie)
	return err == nil && cookie.Value != "" && subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostForm.Get("form"))) == 1
}

// show writes a page with a form.
func (d *Door) show(w http.ResponseWriter, r *http.Request, status int, at view, f form) {
	if cookie, err := r.Cookie(formCookie); err == nil && len(cookie.Value) == base64.RawURLEncoding.EncodedLen(formSecret) {
		f.Secret = cookie.Value
	} else {
		raw := make([]byte, formSecret)
		if _, err := rand.Read(raw); err != nil {
			d.fail(w, r, err)
			return
		}
		f.Secret = base64.RawURLEncoding.EncodeToString(raw)
		setCookie(w, formCookie, f.Secret, http.SameSiteStrictMode, 0)
	}
	d.render.Open(w, r, status, page.View{Template: at.template, Title: at.title, Data: f})
}

// setCookie sets a cookie that lasts as long as the browser, or seconds; less than 0 takes it away.
func setCookie(w http.ResponseWriter, name, value string, same http.SameSite, seconds int) {
	http.SetCookie(w, cookie(name, value, same, seconds))
}

func cookie(name, value string, same http.SameSite, seconds int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: same, MaxAge: seconds}
}

// enter gives the browser its session, and sends it to the second factor or to where it wanted to go. The session that it
// had before ends.
func (d *Door) enter(w http.ResponseWriter, r *http.Request, entry operators.Entry, back string) {
	if former, err := r.Cookie(CookieName(r.Host)); err == nil && former.Value != entry.Cookie {
		if err := d.node.Operators.SignOut(r.Context(), former.Value); err != nil {
			d.log.Warn("a former session could not be ended", "error", err)
		}
	}
	setCookie(w, CookieName(r.Host), entry.Cookie, http.SameSiteLaxMode, 0)
	to := local(back)
	if entry.Pending {
		to = withBack(secondPath, back)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// The texts of refusals, as the message catalog has them.
const (
	textRefused = "The name or the password is not right, or there were too many attempts. Wait a while before the next one."
	textCode    = "The code is not right, or was used before. Wait for the next one."
	textLink    = "This link is not known, was used, or has ended. Ask for another one."
	textMany    = "Too many attempts come from this address. Wait a while before the next one."
	textForm    = "The form was not sent by this page, or the page was open for too long. Please try again."
	textSession = "Signing in took too long. Please begin again."
)

// refusal is the status and the text with which an attempt is answered; what is nobody's fault at the browser is not.
func refusal(w http.ResponseWriter, err error) (status int, text string, ok bool) {
	var many operators.TooMany
	switch {
	case errors.As(err, &many):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(many.Wait.Seconds()))))
		return http.StatusTooManyRequests, textMany, true
	case errors.Is(err, operators.ErrRefused):
		return http.StatusUnauthorized, textRefused, true
	case errors.Is(err, operators.ErrCode):
		return http.StatusUnauthorized, textCode, true
	case errors.Is(err, operators.ErrLink):
		return http.StatusUnauthorized, textLink, true
	case errors.Is(err, operators.ErrNoSession):
		return http.StatusUnauthorized, textSession, true
	}
	e := api.AsError(err)
	return e.Status, e.Text, e.Status < http.StatusInternalServerError
}

func (d *Door) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := api.AsError(err)
	if e.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		d.log.Error("signing in failed", "path", r.URL.Path, "error", err)
	}
	d.render.Open(w, r, e.Status, page.View{Template: "signin-failed.html", Title: "That did not work", Data: form{Wrong: e.Text}})
}

func origin(r *http.Request) operators.Origin {
	return operators.Origin{From: r.RemoteAddr, Agent: r.UserAgent()}
}

func (d *Door) showSignIn(w http.ResponseWriter, r *http.Request) {
	back := local(r.URL.Query().Get("back"))
	if _, ok, err := d.Session(r); err == nil && ok {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	d.signInPage(w, r, http.StatusOK, form{Back: back})
}

func (d *Door) signInPage(w http.ResponseWriter, r *http.Request, status int, f form) {
	label, err := d.provider.Label(r.Context())
	if err != nil {
		d.fail(w, r, err)
		return
	}
	any, err := d.node.Operators.Any(r.Context())
	if err != nil {
		d.fail(w, r, err)
		return
	}
	f.Label, f.Nobody = label, !any
	d.show(w, r, status, signInView, f)
}

func (d *Door) signIn(w http.ResponseWriter, r *http.Request) {
	sent := genuine(w, r)
	f := form{Back: local(r.PostForm.Get("back")), Name: r.PostForm.Get("name")}
	if !sent {
		f.Wrong = textForm
		d.signInPage(w, r, http.StatusForbidden, f)
		return
	}
	entry, err := d.node.Operators.SignIn(r.Context(), f.Name, r.PostForm.Get("password"), origin(r))
	if err == nil {
		d.enter(w, r, entry, f.Back)
		return
	}
	status, text, ok := refusal(w, err)
	if !ok {
		d.fail(w, r, err)
		return
	}
	f.Wrong = text
	d.signInPage(w, r, status, f)
}

func (d *Door) showSecond(w http.ResponseWriter, r *http.Request) {
	d.show(w, r, http.StatusOK, secondView, form{Back: local(r.URL.Query().Get("back"))})
}

func (d *Door) second(w http.ResponseWriter, r *http.Request) {
	sent := genuine(w, r)
	f := form{Back: local(r.PostForm.Get("back"))}
	if !sent {
		f.Wrong = textForm
		d.show(w, r, http.StatusForbidden, secondView, f)
		return
	}
	pending := ""
	if c, err := r.Cookie(CookieName(r.Host)); err == nil {
		pending = c.Value
	}
	entry, err := d.node.Operators.SecondFactor(r.Context(), pending, r.PostForm.Get("code"), origin(r))
	if err == nil {
		d.enter(w, r, entry, f.Back)
		return
	}
	status, text, ok := refusal(w, err)
	switch f.Wrong = text; {
	case !ok:
		d.fail(w, r, err)
	case errors.Is(err, operators.ErrNoSession):
		d.signInPage(w, r, status, f)
	default:
		d.show(w, r, status, secondView, f)
	}
}

// enterByLink opens the session of a link from whoever may read the node's data folder.
func (d *Door) enterByLink(w http.ResponseWriter, r *http.Request) {
	entry, err := d.node.Operators.Enter(r.Context(), r.URL.Query().Get("code"), origin(r))
	if err == nil {
		d.enter(w, r, entry, "/")
		return
	}
	status, text, ok := refusal(w, err)
	if !ok {
		d.fail(w, r, err)
		return
	}
	d.render.Open(w, r, status, page.View{Template: "signin-failed.html", Title: "That did not work", Data: form{Wrong: text}})
}

func (d *Door) showFirst(w http.ResponseWriter, r *http.Request) {
	d.firstPage(w, r, http.StatusOK, form{Code: r.URL.Query().Get("code")})
}

// firstPage shows the form in which somebody who came by a link chooses a password.
func (d *Door) firstPage(w http.ResponseWriter, r *http.Request, status int, f form) {
	invited, err := d.node.Operators.Invitation(r.Context(), f.Code)
	if err != nil {
		status, text, ok := refusal(w, err)
		if !ok {
			d.fail(w, r, err)
			return
		}
		d.render.Open(w, r, status, page.View{Template: "signin-failed.html", Title: "That did not work", Data: form{Wrong: text}})
		return
	}
	if f.First = invited.Name == ""; !f.First {
		f.Name = invited.Name
	}
	d.show(w, r, status, firstView, f)
}

func (d *Door) first(w http.ResponseWriter, r *http.Request) {
	sent := genuine(w, r)
	f := form{Code: r.PostForm.Get("code"), Name: r.PostForm.Get("name")}
	switch {
	case !sent:
		f.Wrong = textForm
		d.firstPage(w, r, http.StatusForbidden, f)
		return
	case r.PostForm.Get("password") != r.PostForm.Get("again"):
		f.Wrong = "The two passwords are not the same."
		d.firstPage(w, r, http.StatusBadRequest, f)
		return
	}
	entry, err := d.node.Operators.Accept(r.Context(), operators.Chosen{Code: f.Code, Name: f.Name, Password: r.PostForm.Get("password")}, origin(r))
	if err == nil {
		d.enter(w, r, entry, "/")
		return
	}
	status, text, ok := refusal(w, err)
	if !ok {
		d.fail(w, r, err)
		return
	}
	f.Wrong = strings.TrimPrefix(text, store.ErrInvalid.Error()+": ")
	d.firstPage(w, r, status, f)
}

// signOut ends the session. Its form is one of a page, and bears the session's token.
func (d *Door) signOut(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	c, err := r.Cookie(CookieName(r.Host))
	s, ok, failed := d.Session(r)
	switch {
	case failed != nil:
		d.fail(w, r, failed)
		return
	case err == nil && ok:
		if r.ParseForm() != nil || !page.SameOrigin(r) || subtle.ConstantTimeCompare([]byte(s.Token), []byte(r.PostForm.Get("token"))) != 1 {
			d.render.Open(w, r, http.StatusForbidden, page.View{Template: "signin-failed.html", Title: "That did not work", Data: form{Wrong: textForm}})
			return
		}
		if err := d.node.Operators.SignOut(r.Context(), c.Value); err != nil {
			d.fail(w, r, err)
			return
		}
	}
	setCookie(w, CookieName(r.Host), "", http.SameSiteLaxMode, -1)
	http.Redirect(w, r, path, http.StatusSeeOther)
}
