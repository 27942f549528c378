package api

import (
	"errors"
	"net/http"

	"thatch/node/store"
)

// do runs a call's route. What a request had done that is asked again, because its answer was lost, it does not do again; it is
// answered with what stands now (PUT, DELETE), or told that its answer cannot be given again: what it made has an id, and maybe
// a secret, that this attempt does not know.
func (s *Server) do(c *Call) (any, error) {
	answer, err := s.change(c)
	if c.caller.Request == "" || c.route.Method == http.MethodGet {
		return answer, err
	}
	done := c.caller.Repeated()
	refused := errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
	if !done && refused { // maybe because of what it had done itself
		index, failed := store.Carried(c.Context(), s.node.Reader(), c.caller)
		if failed != nil {
			return nil, failed
		}
		done = index > 0
	}
	_, none := answer.(None)
	switch {
	case !done || err != nil && !refused:
		return answer, err
	case c.route.Method == http.MethodDelete && refused:
		return None{}, nil
	case err == nil && (none || c.route.Method == http.MethodPut):
		return answer, nil
	}
	if c.caller.Subject == "" {
		return nil, store.Conflicting("this request was carried out before, and its answer cannot be given again: look at what is there now")
	}
	return nil, store.Conflicting("this request was carried out before, and its answer cannot be given again: look at what is there now (GET %s%s)", Prefix, c.caller.Subject)
}
