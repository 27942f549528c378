package signin

import (
	"html/template"
	"net/http"
	"time"

	"thatch/console/api"
	routes "thatch/console/api/operators"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/operators"
)

// account is the page of one's own account: password, second factor, sessions, preferences, own tokens.
func (d *Door) account() *page.Page {
	return &page.Page{
		Path: "/account", Title: "Your account",
		Help: page.Help{
			Text:    "What you set for yourself: password, second factor, language, and where you are signed in.",
			Command: []string{"thatch self show", "thatch self tokens create --name laptop --scope operator"},
		},
		Show: showAccount,
		Acts: map[string]page.Act{
			"password":      {Scope: identity.Viewer, Do: d.choosePassword},
			"second":        {Scope: identity.Viewer, Do: beginSecond},
			"confirm":       {Scope: identity.Viewer, Do: d.confirmSecond},
			"remove-second": {Scope: identity.Viewer, Do: d.removeSecond},
			"end":           {Scope: identity.Viewer, Do: endSession},
			"end-others":    {Scope: identity.Viewer, Do: endOthers},
			"preferences":   {Scope: identity.Viewer, Do: setPreferences},
			"token":         {Scope: identity.Viewer, Do: makeToken},
			"revoke":        {Scope: identity.Viewer, Do: revokeToken},
		},
	}
}

// required is the page on which an operator sets up the second factor that the site asks for.
func (d *Door) required() *page.Page {
	return &page.Page{
		Path: requiredPath, Nav: "/account", Title: "Set up a second factor",
		Help: page.Help{
			Text:    "This site asks for a second factor: a code of an app on your phone, beside the password. It is set up once, before anything else.",
			Command: []string{"thatch settings set operators.second_factor yes", "thatch operators reset anna --second-factor"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			self, err := page.Get[routes.Self](q, "/self")
			return &page.View{Template: "account-required.html", Data: self}, err
		},
		Acts: map[string]page.Act{
			"second":  {Scope: identity.Viewer, Do: beginSecond},
			"confirm": {Scope: identity.Viewer, Do: d.confirmSecond},
		},
	}
}

// account is what the page shows.
type account struct {
	Self        routes.Self
	Sessions    []operators.Opened
	Preferences operators.Preferences
	Tokens      []identity.APIToken
	Scopes      []identity.Scope
	Hours       []lasting
}

// authenticator is what an app takes over: URI is otpauth://, made by this program.
type authenticator struct {
	URI    template.URL
	Secret string
}

// lasting is how long a token may last.
type lasting struct {
	Hours int
	Title string
}

func showAccount(q *page.Request) (*page.View, error) {
	var a account
	var err error
	if a.Self, err = page.Get[routes.Self](q, "/self"); err != nil {
		return nil, err
	}
	if a.Self.Operator == "" { // signed in without an account of one's own
		return &page.View{Template: "account-none.html", Data: a}, nil
	}
	sessions, err := page.Get[api.List[operators.Opened]](q, "/self/sessions")
	if err != nil {
		return nil, err
	}
	tokens, err := page.Get[api.List[identity.APIToken]](q, "/self/tokens", "revoked", "false")
	if err != nil {
		return nil, err
	}
	a.Preferences, err = page.Get[operators.Preferences](q, "/self/preferences")
	a.Sessions, a.Tokens, a.Scopes = sessions.Items, tokens.Items, a.Self.Permissions
	a.Hours = []lasting{{24, q.T("a day")}, {30 * 24, q.T("30 days")}, {90 * 24, q.T("90 days")}, {366 * 24, q.T("a year")}}
	return &page.View{Template: "account.html", Data: a}, err
}

// renewed gives the browser another cookie for its session: what it may do, or how it was proved, has changed.
func (d *Door) renewed(q *page.Request) ([]*http.Cookie, error) {
	c, err := q.R.Cookie(CookieName(q.R.Host))
	if err != nil {
		return nil, nil // no session of a browser: nothing to renew
	}
	next, err := d.node.Operators.Renew(q.Context(), c.Value)
	if err != nil {
		return nil, err
	}
	q.Session.Token = operators.FormToken(next) // for the forms of this very answer
	return []*http.Cookie{cookie(CookieName(q.R.Host), next, http.SameSiteLaxMode, 0)}, nil
}

func (d *Door) choosePassword(q *page.Request) (page.Outcome, error) {
	if q.R.PostForm.Get("new") != q.R.PostForm.Get("again") {
		return page.Outcome{}, page.Refuse(q.T("The two passwords are not the same."))
	}
	in := routes.NewPassword{Password: q.R.PostForm.Get("password"), NewPassword: q.R.PostForm.Get("new")}
	if _, err := page.Send[api.None](q, http.MethodPut, "/self/password", in); err != nil {
		return page.Outcome{}, err
	}
	cookies, err := d.renewed(q)
	return page.Outcome{To: "/account", Note: q.T("Your password is changed. You are signed in here alone."), Cookies: cookies}, err
}

func beginSecond(q *page.Request) (page.Outcome, error) {
	begun, err := page.Send[operators.Authenticator](q, http.MethodPost, "/self/totp", routes.Proof{Password: q.R.PostForm.Get("password")})
	data := authenticator{URI: template.URL(begun.URI), Secret: begun.Secret}
	return page.Outcome{Once: &page.View{Template: "account-second.html", Title: q.T("Second factor"), Data: data}}, err
}

func (d *Door) confirmSecond(q *page.Request) (page.Outcome, error) {
	codes, err := page.Send[routes.Recovery](q, http.MethodPut, "/self/totp", routes.Code{Code: q.Form("code")})
	if err != nil {
		return page.Outcome{}, err
	}
	cookies, err := d.renewed(q)
	return page.Outcome{Once: &page.View{Template: "account-codes.html", Title: q.T("Recovery codes"), Data: codes}, Cookies: cookies}, err
}

func (d *Door) removeSecond(q *page.Request) (page.Outcome, error) {
	if _, err := page.Send[api.None](q, http.MethodPost, "/self/totp/remove", routes.Proof{Password: q.R.PostForm.Get("password")}); err != nil {
		return page.Outcome{}, err
	}
	cookies, err := d.renewed(q)
	return page.Outcome{To: "/account", Note: q.T("No second factor is asked for any more."), Cookies: cookies}, err
}

func endSession(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodDelete, "/self/sessions"+page.To(q.Form("session")), nil)
	return page.Outcome{To: "/account", Note: q.T("The session is ended.")}, err
}

func endOthers(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodDelete, "/self/sessions", nil)
	return page.Outcome{To: "/account", Note: q.T("You are signed in here alone.")}, err
}

func setPreferences(q *page.Request) (page.Outcome, error) {
	now, err := page.Get[operators.Preferences](q, "/self/preferences")
	if err != nil {
		return page.Outcome{}, err
	}
	now.Language, now.Theme, now.TimeZone = q.Form("language"), q.Form("theme"), q.Form("zone")
	_, err = page.Send[operators.Preferences](q, http.MethodPut, "/self/preferences", now)
	return page.Outcome{To: "/account", Note: q.T("Saved.")}, err
}

func makeToken(q *page.Request) (page.Outcome, error) {
	hours, err := time.ParseDuration(q.Form("hours") + "h")
	if err != nil {
		return page.Outcome{}, page.Refuse(q.T("Say how long the token is good."))
	}
	in := routes.NewAPI{Name: q.Form("name"), Scope: identity.Scope(q.Form("scope")), Hours: int(hours / time.Hour)}
	made, err := page.Send[identity.APIToken](q, http.MethodPost, "/self/tokens", in)
	return page.Outcome{Once: &page.View{Template: "account-token.html", Title: q.T("Your token"), Data: made}}, err
}

func revokeToken(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodDelete, "/self/tokens"+page.To(q.Form("id")), nil)
	return page.Outcome{To: "/account", Note: q.T("The token is revoked.")}, err
}
