package console

import (
	"errors"
	"net/http"
	"net/url"

	"thatch/console/page"
	"thatch/node/operators"
)

// Cookie carries the session of an operator's browser. Its name binds it to this host, to TLS and to all paths.
const Cookie = "__Host-thatch"

// sessions finds operators by their cookie.
type sessions struct{ room *operators.Room }

// Session is the session of a request's cookie.
func (s sessions) Session(r *http.Request) (page.Session, bool, error) {
	cookie, err := r.Cookie(Cookie)
	if err != nil {
		return page.Session{}, false, nil
	}
	held, err := s.room.Session(r.Context(), cookie.Value)
	switch {
	case errors.Is(err, operators.ErrNoSession):
		return page.Session{}, false, nil
	case err != nil:
		return page.Session{}, false, err
	}
	p := held.Preferences
	return page.Session{
		Operator: held.Operator, Token: held.CSRF, Language: p.Language, Zone: p.TimeZone, Theme: p.Theme, Home: p.Home,
	}, true, nil
}

// SignIn is the page where to sign in, which leads back to an address.
func (s sessions) SignIn(back string) string {
	if back == "/" {
		return "/sign-in"
	}
	return "/sign-in?back=" + url.QueryEscape(back)
}
