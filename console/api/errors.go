package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"thatch/node/identity"
	"thatch/node/quorum"
	"thatch/node/store"
)

// Error is the body of every answer that is not 2xx.
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"code"`  // stable: invalid, unauthorised, forbidden, not_found, conflict, too_large, unavailable, failed
	Text   string `json:"error"` // what, where, what to do next
}

func (e *Error) Error() string { return e.Text }

// AsError finds the answer that fits an error. Only an Error of this package, and errors that wrap one of the words
// of node/store or node/identity, tell their text to the caller as their own fault.
func AsError(err error) *Error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, store.ErrInvalid):
		return &Error{http.StatusBadRequest, "invalid", err.Error()}
	case errors.Is(err, store.ErrNotFound):
		return &Error{http.StatusNotFound, "not_found", err.Error()}
	case errors.Is(err, store.ErrConflict):
		return &Error{http.StatusConflict, "conflict", err.Error()}
	case errors.Is(err, identity.ErrUnauthorised):
		return &Error{http.StatusUnauthorized, "unauthorised", err.Error()}
	case errors.Is(err, identity.ErrForbidden):
		return &Error{http.StatusForbidden, "forbidden", err.Error()}
	case errors.Is(err, quorum.ErrUnavailable), errors.Is(err, quorum.ErrUncertain), errors.Is(err, quorum.ErrStopped):
		return &Error{http.StatusServiceUnavailable, "unavailable", err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{http.StatusServiceUnavailable, "unavailable", "the node did not get to it in time: " + err.Error()}
	}
	return &Error{http.StatusInternalServerError, "failed", err.Error()}
}

func writeError(w http.ResponseWriter, e *Error) {
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="thatch"`)
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
