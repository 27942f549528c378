// Package server is the parent's half of the wire between sites: the handlers of /replication/v1. Who calls is asked at
// every request; a child that was shut out gets no further answer.
package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"thatch/node"
	"thatch/node/identity"
	"thatch/node/places"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// Limits of what a node takes on at once. Beyond them callers are told when to come again.
const (
	maxJoins      = 8
	maxCalls      = 128
	maxOwnCalls   = 12 // of one child
	maxStreams    = 4096
	maxOwnStreams = 6           // of one child: it has at most five nodes
	maxSmall      = 64 << 10    // bytes of a request
	stall         = time.Minute // in which a reader takes nothing
	busyLeast     = 2 * time.Second
	busySpread    = 10 * time.Second
)

// server answers children.
type server struct {
	node         *node.Node
	log          *slog.Logger
	joins, calls chan struct{} // places: strangers take none from children
	// One child takes none from the others.
	ownCalls, ownStreams, payloads *places.Places
	pages                          chan struct{} // being made: each costs memory and a processor
	streams                        streams
	orders                         orders
	paces                          paces
}

// Parent is a node's half of the wire towards the children of its site: the handler of everything below
// /replication/v1/, and what children can be asked for.
type Parent struct {
	*server
	handler http.Handler
}

// ServeHTTP implements http.Handler.
func (p *Parent) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// patiently has a handler's answers wait for slow readers, and end with an error where one takes nothing of them for a while:
// nobody holds a place for ever.
func patiently(stall time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Time{}) // the connection served requests before; where there is none, nobody stalls
		defer func() { _ = control.SetWriteDeadline(time.Now().Add(stall)) }()
		next.ServeHTTP(&patient{ResponseWriter: w, control: control, stall: stall}, r)
	})
}

// patient writes in portions, each of which the reader takes in time.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

// Write implements io.Writer.
func (p *patient) Write(all []byte) (done int, err error) {
	for done < len(all) {
		_ = p.control.SetWriteDeadline(time.Now().Add(p.stall))
		n, err := p.ResponseWriter.Write(all[done:min(len(all), done+maxPortion)])
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// Unwrap lets a response controller find the connection.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// New makes a node's half.
func New(n *node.Node) *Parent {
	s := &server{
		node: n, log: n.Log().With("part", "replication"), joins: make(chan struct{}, maxJoins), calls: make(chan struct{}, maxCalls),
		ownCalls: places.New(0, maxOwnCalls), ownStreams: places.New(maxStreams, maxOwnStreams), payloads: places.New(maxPayloads, maxOfChild),
		pages: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+wire.PathJoin, s.invited(limited(s.joins, s.answer(wire.MaxJoin, handle(s.join)))))
	mux.Handle("POST "+wire.PathLeave, limited(s.calls, s.child(maxSmall, handleChild(s.leave))))
	s.routes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, wire.Refuse(wire.CodeInvalid, "there is nothing for children at %s %s", r.Method, r.URL.Path))
	})
	return &Parent{s, patiently(stall, s.leading(mux))}
}

// routes are those of a link that stands.
func (s *server) routes(mux *http.ServeMux) {
	small := func(path string, do childHandler) {
		mux.Handle("POST "+path, limited(s.calls, s.child(wire.MaxRequest, do)))
	}
	small(wire.PathLink, handleChild(s.link))
	small(wire.PathRan, handleChild(s.ran))
	small(wire.PathPage, s.few(handleChild(s.page)))
	small(wire.PathComplete, s.few(handleChild(s.complete)))
	small(wire.PathBodies, s.few(handleChild(s.bodies(s.scheduled))))
	small(wire.PathUrgent, s.few(handleChild(s.urgent)))
	small(wire.PathBuckets, s.few(handleChild(s.buckets(s.scheduled))))
	small(wire.PathBucketHead, s.few(handleChild(s.bucketHeads(s.scheduled))))
	small(wire.PathUpBuckets, s.few(handleChild(s.buckets(s.upScope))))
	small(wire.PathUpBucketHead, s.few(handleChild(s.bucketHeads(s.upScope))))
	small(wire.PathUpBodies, s.few(handleChild(s.bodies(s.upScope))))
	mux.Handle("POST "+wire.PathUp, limited(s.calls, s.child(wire.MaxPage, s.few(handlePage(s.up)))))
	mux.Handle("POST "+wire.PathMend, limited(s.calls, s.child(wire.MaxPage, s.few(handlePage(s.mend)))))
	mux.HandleFunc("GET "+wire.PathPayload+"{sha256}", s.payload)
	mux.HandleFunc("GET "+wire.PathStream, func(w http.ResponseWriter, r *http.Request) {
		child, err := s.admit(r.Context(), r.TLS)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if !s.ownStreams.Take(child.ID) {
			refuse(w, busy(r.RemoteAddr, "as many streams as this node holds, or as a child may have, are open"))
			return
		}
		defer s.ownStreams.GiveBack(child.ID)
		ctx, cancel := s.whileLeading(r.Context())
		defer cancel()
		s.stream(w, r.WithContext(ctx), child)
	})
}

// few makes pages a few at a time: the others wait, so that many children at once cost time and no memory.
func (s *server) few(do childHandler) childHandler {
	return func(r *http.Request, child sites.Child, body []byte) (any, error) {
		select {
		case s.pages <- struct{}{}:
			defer func() { <-s.pages }()
			return do(r, child, body)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// handlePage makes a handler of a call that brings a page.
func handlePage[A any](do func(r *http.Request, child sites.Child, page *wire.Page) (A, error)) childHandler {
	return func(r *http.Request, child sites.Child, body []byte) (any, error) {
		page, err := wire.DecodePage(bytes.NewReader(body))
		if err != nil {
			return nil, wire.Refuse(wire.CodeInvalid, "%v", err)
		}
		return do(r, child, page)
	}
}

// limited lets as many requests in as the channel holds; the others are told to come again, each at another time.
func limited(of chan struct{}, next http.Handler) http.Handler {
	return places.Limited(of, func(w http.ResponseWriter, r *http.Request) {
		places.Unread(w)
		refuse(w, busy(r.RemoteAddr, "the node has as much to do as it takes on at once"))
	}, next)
}

func busy(key, text string) *wire.Error {
	after := busyLeast + places.Spread(key, busySpread)
	return &wire.Error{Code: wire.CodeBusy, Text: text, After: int(after / time.Second)}
}

// handler answers a request whose body was read; an error becomes the answer.
type handler func(r *http.Request, body []byte) (any, error)

func handle[Q, A any](do func(r *http.Request, q Q) (A, error)) handler {
	return func(r *http.Request, body []byte) (any, error) {
		var q Q
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, wire.Refuse(wire.CodeInvalid, "the request's JSON: %v", err)
		}
		return do(r, q)
	}
}

// childHandler is a handler of a call of a child.
type childHandler func(r *http.Request, child sites.Child, body []byte) (any, error)

func handleChild[Q, A any](do func(r *http.Request, child sites.Child, q Q) (A, error)) childHandler {
	return func(r *http.Request, child sites.Child, body []byte) (any, error) {
		return handle(func(r *http.Request, q Q) (A, error) { return do(r, child, q) })(r, body)
	}
}

// unreadable is the answer to a request whose body could not be read.
func unreadable(err error) error {
	if errors.Is(err, places.ErrTooLarge) {
		return wire.Refuse(wire.CodeTooLarge, "%v", err)
	}
	return wire.Refuse(wire.CodeInvalid, "%v", err)
}

// answer reads the body up to a limit and writes what the handler answers.
func (s *server) answer(limit int64, do handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := places.Read(w, r, limit)
		if err != nil {
			s.fail(w, r, unreadable(err))
			return
		}
		answer, err := do(r, body)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if page, ok := answer.(*wire.Page); ok && takesKnown(r) {
			w.Header().Set("Content-Type", wire.KnownMedia)
			_ = page.EncodeKnown(w, body) // the child went away: nobody to tell; a page that is cut is none
			return
		}
		write(w, http.StatusOK, answer)
	})
}

// takesKnown says whether a caller reads pages that are compressed against what it holds.
func takesKnown(r *http.Request) bool { return r.Header.Get("Accept") == wire.KnownMedia }

// child lets nodes of children in.
func (s *server) child(limit int64, do childHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		child, err := s.admit(r.Context(), r.TLS)
		if err != nil {
			places.Unread(w)
			s.fail(w, r, err)
			return
		}
		if !s.ownCalls.Take(child.ID) {
			places.Unread(w)
			refuse(w, busy(r.RemoteAddr, "this child has as many calls under way as are its share"))
			return
		}
		defer s.ownCalls.GiveBack(child.ID)
		ctx := wire.KeepByHand(store.WithCaller(r.Context(), &store.Caller{Actor: actor(child.ID)}), r)
		s.answer(limit, func(r *http.Request, body []byte) (any, error) { return do(r, child, body) }).ServeHTTP(s.slowed(w, r, child), r.WithContext(ctx))
	})
}

// actor names a site in batches and in the audit log.
func actor(site string) string { return "site " + site }

// admit tells which child calls, now.
func (s *server) admit(ctx context.Context, state *tls.ConnectionState) (sites.Child, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return sites.Child{}, wire.Refuse(wire.CodeUnknown, "this path takes the certificate of a node of a child: join first (thatch child join)")
	}
	peer, err := s.node.Identity.Peer(ctx, state)
	if err != nil {
		return sites.Child{}, err
	}
	if peer.Kind != identity.KindNode || peer.Site == s.node.Site().ID {
		return sites.Child{}, wire.Refuse(wire.CodeUnknown, "this path is for nodes of children, not for a %s of this site", peer.Kind)
	}
	child, err := s.node.Sites.Child(ctx, peer.Site)
	if errors.Is(err, store.ErrNotFound) {
		err = wire.Refuse(wire.CodeUnknown, "site %s is no child of this site any more", peer.Site)
	}
	if err == nil {
		s.node.Sites.Seen(child.ID)
	}
	return child, err
}

// fail answers with what an error means to a child. What is the node's own fault is logged here and not told.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if own := asError(err); own != nil {
		if own.Code != wire.CodeBusy && own.Code != wire.CodeBehind {
			s.log.Warn("a child's call was refused", "path", r.URL.Path, "from", r.RemoteAddr, "code", own.Code, "error", own.Text)
		}
		refuse(w, own)
		return
	}
	if r.Context().Err() == nil {
		s.log.Error("a child's call failed", "path", r.URL.Path, "from", r.RemoteAddr, "error", err)
	}
	refuse(w, busy(r.RemoteAddr, "the parent's node could not do it now; its log says why"))
}

// asError is the answer that fits an error, nil where the error is the node's own.
func asError(err error) *wire.Error {
	var own *wire.Error
	var refusal *sites.Refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &refusal):
		return &wire.Error{Code: refusal.Code, Text: refusal.Text, After: int(refusal.After / time.Second)}
	case errors.Is(err, identity.ErrUnauthorised):
		return wire.Refuse(wire.CodeUnknown, "%v", err)
	case errors.Is(err, store.ErrInvalid):
		return wire.Refuse(wire.CodeInvalid, "%v", err)
	}
	return nil
}

func refuse(w http.ResponseWriter, answer *wire.Error) {
	if answer.After > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(answer.After))
	}
	write(w, wire.Status(answer.Code), answer)
}

func write(w http.ResponseWriter, status int, answer any) {
	if page, ok := answer.(*wire.Page); ok {
		w.Header().Set("Content-Type", wire.PageMedia)
		w.WriteHeader(status)
		_ = page.Encode(w) // the child went away: nobody to tell; a page that is cut is none
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer) // the child went away: nobody to tell
}
