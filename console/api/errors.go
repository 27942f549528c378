package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"thatch/console/page/words"
	"thatch/node/identity"
	"thatch/node/quorum"
	"thatch/node/store"
)

// Error is the body of every answer that is not 2xx.
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"code"`  // stable: invalid, unauthorised, forbidden, not_found, conflict, too_large, unavailable, failed
	Text   string `json:"error"` // what, where, what to do next
	// Said is the same in the language that the request asks for by Accept-Language; empty where that is English.
	Said string `json:"said,omitempty"`
}

func (e *Error) Error() string { return e.Text }

// AsError finds the answer that fits an error. Only an Error of this package, and errors that wrap one of the words
// of node/store or node/identity, tell their text to the caller as their own fault.
func AsError(err error) *Error {
	var own *Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Text: fmt.Sprintf("the request has more than %d bytes, which is the most that is taken here", tooLarge.Limit),
		}
	case errors.As(err, &own):
		return own
	case errors.Is(err, store.ErrInvalid):
		return &Error{Status: http.StatusBadRequest, Code: "invalid", Text: err.Error()}
	case errors.Is(err, store.ErrNotFound):
		return &Error{Status: http.StatusNotFound, Code: "not_found", Text: err.Error()}
	case errors.Is(err, store.ErrConflict):
		return &Error{Status: http.StatusConflict, Code: "conflict", Text: err.Error()}
	case errors.Is(err, identity.ErrUnauthorised):
		return &Error{Status: http.StatusUnauthorized, Code: "unauthorised", Text: err.Error()}
	case errors.Is(err, identity.ErrForbidden):
		return &Error{Status: http.StatusForbidden, Code: "forbidden", Text: err.Error()}
	case errors.Is(err, store.ErrUncertain):
		return &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: "it is not known whether this was done, for the site lost its leader meanwhile: look before you do it again (" + err.Error() + ")"}
	case errors.Is(err, store.ErrUnavailable):
		return &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: "nothing was changed, for the site has no leader: too few of its nodes run and reach each other. What is shown goes on; try again in a while, and see: thatch site status (" + err.Error() + ")"}
	case errors.Is(err, quorum.ErrStopped), errors.Is(err, store.ErrTakenOver):
		return &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: "the node did not get to it in time: " + err.Error()}
	}
	return &Error{Status: http.StatusInternalServerError, Code: "failed", Text: err.Error()}
}

func writeError(w http.ResponseWriter, r *http.Request, e *Error) {
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="thatch"`)
	}
	if catalog := words.For(r.Header.Get("Accept-Language")); catalog.Language != "en" {
		with := *e
		with.Said = catalog.Said(e.Text)
		e = &with
	}
	writeJSON(w, e.Status, e)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client went away: nobody to tell
}
