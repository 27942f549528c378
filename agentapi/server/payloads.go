package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"thatch/agentapi"
	"thatch/catalog/content"
	"thatch/node/copies"
	"thatch/node/places"
)

// stall is how long a computer may take for each part that is sent to it (32 kB): one that sleeps gives its place back.
const stall = time.Minute

// hold is how long a computer waits in its request for what another node of the site has: shorter than it waits for an answer.
const hold = 20 * time.Second

// payload sends a payload file, or a range of it. The store verifies what it sends. What another node of the site holds is
// brought here first.
func (s *server) payload(w http.ResponseWriter, r *http.Request, _ caller) {
	slow, sum := places.NewPatient(w, stall), strings.ToLower(r.PathValue("sha256"))
	defer slow.End()
	err := s.node.Content.Serve(slow, r, sum)
	if errors.Is(err, content.ErrNotHeld) || errors.Is(err, content.ErrAltered) {
		wait, cancel := context.WithTimeout(r.Context(), hold)
		held := s.node.Copies.Bring(wait, sum)
		cancel()
		if err = held; err == nil {
			err = s.node.Content.Serve(slow, r, sum)
		}
	}
	var later *copies.Later
	switch {
	case err == nil:
	case errors.As(err, &later):
		after := int(max(later.After, time.Second) / time.Second)
		refuse(w, http.StatusServiceUnavailable, &agentapi.Error{Code: agentapi.CodeBusy, Text: "the payload is not here yet: " + later.Text, After: after})
	case errors.Is(err, content.ErrBadDigest):
		refuse(w, http.StatusBadRequest, &agentapi.Error{Code: agentapi.CodeInvalid, Text: err.Error()})
	case errors.Is(err, content.ErrNotHeld), errors.Is(err, content.ErrAltered):
		refuse(w, http.StatusNotFound, &agentapi.Error{Code: agentapi.CodeNotHeld, Text: err.Error() + "; the site fetches it again"})
	default:
		s.fail(w, r, err)
	}
}
