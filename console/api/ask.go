package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"thatch/node/identity"
)

// Request is a call of a route from within the process.
type Request struct {
	Method string
	Path   string // below Prefix, ids as escaped segments
	Query  url.Values
	Body   any // encoded as JSON; an io.Reader: a file, as it stands; nil: none
}

// Ask runs a route for an operator whom the caller has let in, with the checks that every call takes, and returns what
// the route answers, of the type it was made with. Pages are made of it: so whatever a page can do, tools can do too.
func (s *Server) Ask(ctx context.Context, who identity.Operator, q Request) (answer any, about About, err error) {
	c, err := s.call(ctx, who, q)
	if err != nil {
		return nil, About{}, err
	}
	if err := s.admit(c, nil); err != nil {
		return nil, About{}, err
	}
	answer, err = s.do(c)
	return answer, About{c.caller.Index(), c.whole}, err
}

// About is what stands in the headers of an answer.
type About struct {
	Index uint64 // of what was written, 0 nothing
	Whole bool   // it counts the whole site, and the caller is limited to a part
}

// call makes the call of a request from within.
func (s *Server) call(ctx context.Context, who identity.Operator, q Request) (*Call, error) {
	var text bytes.Buffer
	body, isFile := q.Body.(io.Reader)
	if !isFile {
		body = &text
		if q.Body != nil {
			if err := json.NewEncoder(&text).Encode(q.Body); err != nil {
				return nil, err
			}
		}
	}
	target := url.URL{Path: Prefix + q.Path, RawQuery: q.Query.Encode()}
	var err error
	if target.Path, err = url.PathUnescape(Prefix + q.Path); err != nil {
		return nil, fmt.Errorf("%s: %w", q.Path, err)
	}
	target.RawPath = Prefix + q.Path
	r, err := http.NewRequestWithContext(identity.WithOperator(ctx, who), q.Method, "/", body)
	if err != nil {
		return nil, err
	}
	r.URL = &target
	var match mux.RouteMatch
	found, ok := http.Handler(nil), false
	if s.router.Match(r, &match) && match.MatchErr == nil {
		found = match.Handler
	}
	handler, ok := found.(*handler)
	if !ok || handler.route.Do.run == nil {
		return nil, fmt.Errorf("there is no route %s %s to be asked", q.Method, q.Path)
	}
	return &Call{Node: s.node, route: handler.route, r: mux.SetURLVars(r, match.Vars)}, nil
}

// ServeFor answers a request at a path below Prefix as ServeHTTP does, for an operator whom the caller has let in:
// streams of events reach pages so.
func (s *Server) ServeFor(who identity.Operator, path string, w http.ResponseWriter, r *http.Request) {
	r = r.Clone(identity.WithOperator(r.Context(), who))
	plain, err := url.PathUnescape(Prefix + path)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	r.URL.Path, r.URL.RawPath = plain, Prefix+path
	s.ServeHTTP(w, r)
}

// Handles says whether an address is this package's.
func Handles(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/metrics":
		return true
	}
	return path == Prefix || len(path) > len(Prefix) && path[:len(Prefix)+1] == Prefix+"/"
}
