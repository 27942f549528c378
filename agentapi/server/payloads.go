package server

import (
	"errors"
	"net/http"

	"thatch/agentapi"
	"thatch/catalog/content"
)

// payload sends a payload file, or a range of it. The store verifies what it sends.
func (s *server) payload(w http.ResponseWriter, r *http.Request, _ caller) {
	err := s.node.Content.Serve(w, r, r.PathValue("sha256"))
	switch {
	case err == nil:
	case errors.Is(err, content.ErrBadDigest):
		refuse(w, http.StatusBadRequest, &agentapi.Error{Code: agentapi.CodeInvalid, Text: err.Error()})
	case errors.Is(err, content.ErrNotHeld), errors.Is(err, content.ErrAltered):
		refuse(w, http.StatusNotFound, &agentapi.Error{Code: agentapi.CodeNotHeld, Text: err.Error() + "; the site fetches it again"})
	default:
		s.fail(w, r, err)
	}
}
