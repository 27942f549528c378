package copies

import (
	"errors"
	"net/http"
	"time"

	"thatch/catalog/content"
	"thatch/node/places"
	"thatch/node/wire"
)

const (
	mostSends = 16          // payloads on their way to sisters at once
	stall     = time.Minute // for each part that a sister takes
)

// Send gives a payload file, or a range of it, to a sister. An error is the caller's to answer.
func (k *Keeper) Send(w http.ResponseWriter, r *http.Request, sum string) error {
	if !k.sends.Take("") {
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: "busy", Text: "this node sends as many payloads as it does at once"}
	}
	defer k.sends.GiveBack("")
	slow := places.NewPatient(w, stall)
	defer slow.End()
	err := k.cfg.Content.Serve(slow, r, sum)
	switch {
	case errors.Is(err, content.ErrNotHeld), errors.Is(err, content.ErrAltered):
		k.Look()
		return &wire.Error{Status: http.StatusNotFound, Code: "not_held", Text: err.Error()}
	case errors.Is(err, content.ErrBadDigest):
		return &wire.Error{Status: http.StatusBadRequest, Code: "invalid", Text: err.Error()}
	}
	return err
}
