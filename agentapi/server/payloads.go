package server

import (
	"errors"
	"net/http"
	"time"

	"thatch/agentapi"
	"thatch/catalog/content"
)

// stall is how long a computer may take for each part that is sent to it (32 kB): one that sleeps gives its place back.
const stall = time.Minute

// patient waits for a slow reader as long as it takes each part in time.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (p *patient) Write(part []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(stall)) // where there is no connection, nobody stalls
	return p.ResponseWriter.Write(part)
}

// Unwrap lets a response controller find the connection.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// payload sends a payload file, or a range of it. The store verifies what it sends.
func (s *server) payload(w http.ResponseWriter, r *http.Request, _ caller) {
	slow := &patient{ResponseWriter: w, control: http.NewResponseController(w)}
	err := s.node.Content.Serve(slow, r, r.PathValue("sha256"))
	_ = slow.control.SetWriteDeadline(time.Time{}) // the connection serves more requests
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
