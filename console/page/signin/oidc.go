package signin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/console/page/signin/provider"
	"thatch/node/identity"
)

// tripCookie remembers somebody while they are at the provider, sealed. It comes along when the provider sends them back.
const tripCookie = "__Host-thatch-trip"

const (
	tripPurpose = "trip to the provider"
	tripSeconds = 600
)

func redirectURL(r *http.Request) string { return "https://" + r.Host + backPath }

func (d *Door) toProvider(w http.ResponseWriter, r *http.Request) {
	to, trip, err := d.provider.Begin(r.Context(), redirectURL(r), local(r.URL.Query().Get("back")))
	if err != nil {
		d.providerFailed(w, r, err)
		return
	}
	raw, err := json.Marshal(trip)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	sealed, err := d.node.Identity.Seal(tripPurpose, raw)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	setCookie(w, tripCookie, base64.RawURLEncoding.EncodeToString(sealed), http.SameSiteLaxMode, tripSeconds)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// trip is what the browser remembers of where it was sent; the zero one fits no answer.
func (d *Door) trip(r *http.Request) (t provider.Trip) {
	c, err := r.Cookie(tripCookie)
	if err != nil {
		return t
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return t
	}
	raw, err := d.node.Identity.Unseal(tripPurpose, sealed)
	if err != nil || json.Unmarshal(raw, &t) != nil {
		return provider.Trip{}
	}
	return t
}

func (d *Door) fromProvider(w http.ResponseWriter, r *http.Request) {
	args, trip := r.URL.Query(), d.trip(r)
	setCookie(w, tripCookie, "", http.SameSiteLaxMode, -1) // it is good for one answer
	if problem := args.Get("error"); problem != "" {
		d.providerFailed(w, r, identity.Unauthorised("the provider refuses: %.100q %.300q", problem, args.Get("error_description")))
		return
	}
	claims, err := d.provider.Finish(r.Context(), trip, redirectURL(r), args.Get("state"), args.Get("code"))
	if err != nil {
		d.providerFailed(w, r, err)
		return
	}
	entry, err := d.node.Operators.SignInBy(r.Context(), claims, origin(r))
	if err != nil {
		d.providerFailed(w, r, err)
		return
	}
	d.enter(w, r, entry, trip.Back)
}

// providerFailed tells of what went wrong with the provider, who is somewhere else: it is in the log too.
func (d *Door) providerFailed(w http.ResponseWriter, r *http.Request, err error) {
	d.log.Warn("signing in by the provider failed", "error", err, "from", r.RemoteAddr)
	status, text, ok := refusal(w, err)
	switch {
	case errors.Is(err, provider.ErrNone):
		status, text = http.StatusNotFound, err.Error()
	case !ok:
		status, text = http.StatusBadGateway, api.AsError(err).Text
	}
	d.render.Open(w, r, status, page.View{Template: "signin-failed.html", Title: "That did not work", Data: form{Wrong: text}})
}
