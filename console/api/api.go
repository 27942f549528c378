// Package api is /api/v1: the verbs of a node as JSON for people's tools and for the command line. Every route is a
// line in a table (see Route), from which the router, the checks and the OpenAPI document are made.
package api

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"thatch/console/api/subject"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/store"
)

// Prefix is where the routes live.
const Prefix = "/api/v1"

// Headers of the API.
const (
	HeaderIndex   = "X-Thatch-Index" // of a write: its index; sent back by the client, its reads see that write
	HeaderRequest = "X-Request-Id"   // chosen by the client, a retry with the same one is not applied twice
)

const (
	maxRequestID = 128
	indexWait    = 5 * time.Second // for the index that a caller wants to see
)

// Server answers /api/v1, health and metrics.
type Server struct {
	node   *node.Node
	log    *slog.Logger
	routes []Route
	meter  *meter
	turns  subject.Turns
	router *mux.Router
	logs   http.Handler // the router, with every request logged
}

// New makes the handler of everything that tools ask at an operator's door: /api/v1, health and metrics. More are the
// routes of nouns that have a package of their own.
func New(n *node.Node, more ...Route) *Server {
	s := &Server{node: n, log: n.Log(), routes: append(Routes(n), more...), meter: newMeter(n)}
	router := mux.NewRouter().UseEncodedPath()
	s.router = router
	// The path comes before the method: the router takes another path's method for this one's otherwise.
	for i := range s.routes {
		route := &s.routes[i]
		router.Path(Prefix + route.Path).Methods(route.Method).Handler(&handler{s, route})
	}
	router.Path(Prefix + "/openapi.json").Methods(http.MethodGet).HandlerFunc(s.openapi)
	router.Path("/healthz").Methods(http.MethodGet).HandlerFunc(s.healthz)
	router.Path("/readyz").Methods(http.MethodGet).HandlerFunc(s.readyz)
	router.Path("/metrics").Methods(http.MethodGet).Handler(s.metrics())
	router.NotFoundHandler = http.HandlerFunc(s.notFound)
	router.MethodNotAllowedHandler = http.HandlerFunc(s.notAllowed)
	s.logs = s.logged(router)
	return s
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.logs.ServeHTTP(w, r) }

// Routes is the whole table.
func Routes(n *node.Node) []Route {
	var all []Route
	for _, table := range [][]Route{
		siteRoutes(n), taskRoutes(n), settingRoutes(n),
		bulletinRoutes(n), stagingRoutes(n),
		computerRoutes(n),
	} {
		all = append(all, table...)
	}
	return all
}

// handler is a route on its server.
type handler struct {
	*Server
	route *Route
}

// ServeHTTP answers a call of the route.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{Node: h.node, route: h.route, r: r}
	if err := h.admit(c, w); err != nil {
		h.fail(w, r, err)
		return
	}
	if h.route.Do.stream != nil {
		if err := h.route.Do.stream(c, w); err != nil {
			h.fail(w, r, err)
		}
		return
	}
	answer, err := h.do(c)
	if index := c.caller.Index(); index > 0 {
		w.Header().Set(HeaderIndex, strconv.FormatUint(index, 10))
	}
	if c.whole {
		w.Header().Set(HeaderCounts, wholeSite)
	}
	switch _, none := answer.(None); {
	case err != nil:
		h.fail(w, r, err)
	case none:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// Epoch is the site's, in which indexes count.
func (s *Server) Epoch() string { return s.node.Site().Epoch }

// admit decides who calls, whether they may, and gives the request its context and body.
func (s *Server) admit(c *Call, w http.ResponseWriter) error {
	who, err := s.operator(c.r)
	if err != nil {
		return err
	}
	if err := who.Require(c.route.Scope); err != nil {
		return err
	}
	c.Who = who
	if err := c.unescape(); err != nil {
		return err
	}
	if err := c.checkArgs(); err != nil {
		return err
	}
	if err := c.readBody(w); err != nil {
		return err
	}
	if err := s.prepare(c); err != nil {
		return err
	}
	return c.within()
}

// operator tells who calls: whom the door that the call came through has let in, or the bearer of a token.
func (s *Server) operator(r *http.Request) (identity.Operator, error) {
	if who, ok := identity.OperatorOf(r.Context()); ok {
		return who, nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return identity.Operator{}, identity.Unauthorised("send a token: Authorization: Bearer ... (make one with: thatch tokens create --api)")
	}
	who, err := s.node.Identity.Operator(r.Context(), strings.TrimSpace(token))
	if err == nil && who.ID != "" {
		return s.node.Operators.Owner(r.Context(), who)
	}
	return who, err
}

func (s *Server) prepare(c *Call) error {
	request := c.r.Header.Get(HeaderRequest)
	if len(request) > maxRequestID {
		return store.Invalid("%s has more than %d bytes", HeaderRequest, maxRequestID)
	}
	c.caller = &store.Caller{Actor: c.Who.Actor(), Request: request, Detail: identity.Redacted(c.body)}
	ctx := store.WithCaller(identity.WithOperator(c.r.Context(), c.Who), c.caller)
	if text := c.r.Header.Get(HeaderIndex); text != "" {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return store.Invalid("%s is %.40q, which is no index", HeaderIndex, text)
		}
		if err := s.Reach(ctx, index); err != nil {
			return err
		}
	}
	c.r = c.r.WithContext(ctx)
	return nil
}

// Reach waits until this node's database holds an index, so that the caller reads what it wrote, wherever that was; not for
// long: then the error says that the node lags behind.
func (s *Server) Reach(ctx context.Context, index uint64) error {
	waiting, cancel := context.WithTimeout(store.AtLeast(ctx, index), indexWait)
	defer cancel()
	err := s.node.Reader().View(waiting, func(*sql.Tx) error { return nil })
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return &Error{
			Status: http.StatusServiceUnavailable, Code: "unavailable",
			Text: fmt.Sprintf("this node lags behind what you changed (it is at index %d, that was at %d); try again in a while, or ask another node of the site", s.node.Index(), index),
		}
	}
	return err
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := AsError(err)
	if e.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeError(w, r, e)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, r, &Error{Status: http.StatusNotFound, Code: "not_found", Text: "there is nothing at " + r.URL.Path + "; the paths are in " + Prefix + "/openapi.json"})
}

func (s *Server) notAllowed(w http.ResponseWriter, r *http.Request) {
	writeError(w, r, &Error{Status: http.StatusMethodNotAllowed, Code: "invalid", Text: r.URL.Path + " does not take " + r.Method})
}

// logged writes one line per request and counts it.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		counted := &countedWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(counted, r)
		took := time.Since(start)
		s.meter.observe(r.Method, counted.status, took)
		level := slog.LevelDebug
		if r.Method != http.MethodGet || counted.status >= http.StatusBadRequest {
			level = slog.LevelInfo
		}
		s.log.Log(context.WithoutCancel(r.Context()), level, "request", "method", r.Method, "path", r.URL.Path,
			"status", counted.status, "bytes", counted.bytes, "took", took.Round(time.Microsecond), "from", r.RemoteAddr)
	})
}

// countedWriter remembers what was answered.
type countedWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush streams.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
