// Package server is the node's half of agentapi: the handlers of every path, over TLS with the certificates of
// computers.
package server

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"thatch/agentapi"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/places"
	"thatch/node/store"
)

// Limits of what a node takes on at once. Beyond them agents are told when to come again.
const (
	maxCalls      = 256 // being answered, payloads and enrolments apart
	maxEnrolments = 64  // being answered
	maxPayloads   = 128 // being sent
	maxOwnCalls   = 4   // of one computer
	maxOwnSends   = 2   // of one computer
	maxEnrolment  = 64 << 10
	maxSmall      = 64 << 10 // bytes of every request but a report
	busyLeast     = 5 * time.Second
	busySpread    = 30 * time.Second
)

// server answers agents.
type server struct {
	node               *node.Node
	log                *slog.Logger
	enrolments, calls  chan struct{} // places: strangers take none from computers
	payloads           chan struct{}
	ownCalls, ownSends *places.Places // and one computer takes none from the others
	waits              *waits
	arrivals           *arrivals
	roster             *roster
	pages              *pages
	keys               *keyring
}

// New makes the handler of everything below /agent/v1/.
func New(n *node.Node) http.Handler { return NewWith(n, Usual) }

// Limits are how much of some things a node takes on.
type Limits struct {
	Waiting int // agents whose waiting calls are held
	Asking  int // calls a second of those that are not held, in all the site
	Arrive  int // computers a second that come anew to the node
}

// Usual are the limits of a node. An agent that waits takes 62 kB.
var Usual = Limits{Waiting: 2000, Asking: 200, Arrive: 500}

// NewWith is New with other limits.
func NewWith(n *node.Node, limits Limits) http.Handler {
	s := &server{
		node: n, log: n.Log(), enrolments: make(chan struct{}, maxEnrolments), calls: make(chan struct{}, maxCalls), payloads: make(chan struct{}, maxPayloads),
		ownCalls: places.New(0, maxOwnCalls), ownSends: places.New(0, maxOwnSends),
		waits: newWaits(n, limits), arrivals: newArrivals(limits.Arrive), roster: newRoster(n), pages: newPages(), keys: newKeyring(n),
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+agentapi.PathEnrol, s.invited(s.limited(s.enrolments, handle(s, maxEnrolment, s.enrol))))
	mux.Handle("POST "+agentapi.PathRenew, s.limited(s.calls, s.known(maxSmall, handlePeer(s, s.renew))))
	mux.Handle("POST "+agentapi.PathRules, s.limited(s.calls, s.known(maxSmall, handlePeer(s, s.rules))))
	mux.Handle("POST "+agentapi.PathReport, s.limited(s.calls, s.known(agentapi.MaxRequest, handlePeer(s, s.report))))
	mux.Handle("POST "+agentapi.PathAssignments, s.limited(s.calls, s.known(maxSmall, handlePeer(s, s.assignments))))
	mux.Handle("POST "+agentapi.PathWait, s.limited(s.waits.calls, s.computer(s.waits.own, s.whole(maxSmall, handlePeer(s, s.wait)))))
	mux.Handle("POST "+agentapi.PathNodes, s.limited(s.calls, s.known(maxSmall, handlePeer(s, s.nodes))))
	mux.HandleFunc("GET "+agentapi.PathHere, s.here)
	mux.Handle("GET "+agentapi.PathPayload+"{sha256}", s.limited(s.payloads, s.computer(s.ownSends, s.payload)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, &agentapi.Error{Code: agentapi.CodeInvalid, Text: "there is nothing for agents at " + r.Method + " " + r.URL.Path})
	})
	return s.told(mux)
}

// limited lets as many requests in as the channel holds; the others are told to come again, each at another time.
func (s *server) limited(of chan struct{}, next http.Handler) http.Handler {
	return places.Limited(of, func(w http.ResponseWriter, r *http.Request) {
		places.Unread(w)
		refuse(w, http.StatusServiceUnavailable, busy(r.RemoteAddr))
	}, next)
}

// busy is the answer to a request that cannot be taken now.
func busy(key string) *agentapi.Error {
	after := busyLeast + places.Spread(key, busySpread)
	return &agentapi.Error{Code: agentapi.CodeBusy, Text: "the node has as much to do as it takes on at once", After: int(after / time.Second)}
}

// caller is the computer that calls.
type caller struct {
	identity.Peer
	body []byte
}

type peerHandler func(w http.ResponseWriter, r *http.Request, who caller)

// known lets computers of the site in, and reads the body up to a limit.
func (s *server) known(limit int64, next peerHandler) http.Handler {
	return s.computer(s.ownCalls, s.whole(limit, next))
}

// whole reads the body up to a limit.
func (s *server) whole(limit int64, next peerHandler) peerHandler {
	return func(w http.ResponseWriter, r *http.Request, who caller) {
		body, err := read(w, r, limit)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		who.body = body
		next(w, r, who)
	}
}

// computer lets computers of the site in, each for its share.
func (s *server) computer(of *places.Places, next peerHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := s.node.Identity.Peer(r.Context(), r.TLS)
		switch {
		case err != nil:
			places.Unread(w)
			s.fail(w, r, s.notPeer(r.TLS, err))
			return
		case peer.Kind != identity.KindComputer:
			places.Unread(w)
			refuse(w, http.StatusForbidden, &agentapi.Error{Code: agentapi.CodeInvalid, Text: "this path is for computers, not for a " + peer.Kind})
			return
		}
		if after := s.arrivals.admit(peer.ID, time.Now()); after > 0 {
			places.Unread(w)
			refuse(w, http.StatusServiceUnavailable, &agentapi.Error{
				Code: agentapi.CodeBusy, Text: "more computers come to this node at once than it lets in", After: int(after/time.Second) + 1,
			})
			return
		}
		if !of.Take(peer.ID) {
			places.Unread(w)
			answer := busy(r.RemoteAddr)
			answer.Text = fmt.Sprintf("this computer has %d requests of this kind under way, which is its share", of.Each())
			refuse(w, http.StatusTooManyRequests, answer)
			return
		}
		defer of.GiveBack(peer.ID)
		if m := s.node.Computers.Member(peer.ID); m != nil {
			s.node.Computers.Seen(m.Number, s.node.Now())
		}
		ctx := store.WithCaller(r.Context(), &store.Caller{Actor: "computer " + peer.ID})
		next(w, r.WithContext(ctx), caller{Peer: peer})
	})
}

// notPeer tells a computer that was retired, or whose certificate another machine took over, what happened.
func (s *server) notPeer(state *tls.ConnectionState, err error) error {
	id, ok := s.node.Identity.Holder(state)
	if !ok {
		return err
	}
	m := s.node.Computers.Member(id)
	switch {
	case m == nil:
	case !m.Retired.IsZero():
		return &agentapi.Error{Code: agentapi.CodeRetired, Text: "this computer was taken out of the site: enrol it again with a token"}
	case errors.Is(err, identity.ErrUnauthorised):
		return &agentapi.Error{Code: agentapi.CodeClone, Text: err.Error() + ": enrol again with a token"}
	}
	return err
}

func read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := places.Read(w, r, limit)
	switch {
	case errors.Is(err, places.ErrTooLarge):
		return nil, &agentapi.Error{Code: agentapi.CodeTooLarge, Text: err.Error()}
	case err != nil:
		return nil, &agentapi.Error{Code: agentapi.CodeInvalid, Text: err.Error()}
	}
	return body, nil
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return &agentapi.Error{Code: agentapi.CodeInvalid, Text: "the request's JSON: " + err.Error()}
	}
	return nil
}

// handle makes a handler of a call that needs no certificate.
func handle[Q, A any](s *server, limit int64, do func(r *http.Request, q Q) (A, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := read(w, r, limit)
		var q Q
		if err == nil {
			err = decode(body, &q)
		}
		var answer A
		if err == nil {
			answer, err = do(r, q)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, answer)
	})
}

// handlePeer makes a handler of a call of a computer.
func handlePeer[Q, A any](s *server, do func(r *http.Request, who caller, q Q) (A, error)) peerHandler {
	return func(w http.ResponseWriter, r *http.Request, who caller) {
		var q Q
		err := decode(who.body, &q)
		var answer A
		if err == nil {
			answer, err = do(r, who, q)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, answer)
	}
}

// fail answers with what an error means to an agent. What is the node's own fault is logged here and not told.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var own *agentapi.Error
	if errors.As(err, &own) {
		refuse(w, statusOf(own.Code), own)
		return
	}
	code := ""
	switch {
	case errors.Is(err, computers.ErrRetired):
		code = agentapi.CodeRetired
	case errors.Is(err, computers.ErrClone):
		code = agentapi.CodeClone
	case errors.Is(err, identity.ErrTokenUsed):
		code = agentapi.CodeTokenUsed
	case errors.Is(err, identity.ErrTokenEnded):
		code = agentapi.CodeTokenExpired
	case errors.Is(err, computers.ErrBadReport), errors.Is(err, store.ErrInvalid):
		code = agentapi.CodeInvalid
	case errors.Is(err, computers.ErrBusy):
		refuse(w, http.StatusServiceUnavailable, busy(r.RemoteAddr))
		return
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrUncertain):
		answer := busy(r.RemoteAddr)
		answer.Text = "the site takes nothing in now, for it has no leader; what was sent is to be sent again"
		refuse(w, http.StatusServiceUnavailable, answer)
		return
	case errors.Is(err, identity.ErrUnauthorised), errors.Is(err, store.ErrNotFound):
		refuse(w, http.StatusUnauthorized, &agentapi.Error{Code: codeUnauthorised, Text: err.Error()})
		return
	}
	if code != "" {
		refuse(w, statusOf(code), &agentapi.Error{Code: code, Text: err.Error()})
		return
	}
	if r.Context().Err() == nil {
		s.log.Error("an agent's call failed", "path", r.URL.Path, "from", r.RemoteAddr, "error", err)
	}
	answer := busy(r.RemoteAddr)
	answer.Text = "the node could not do it now; its log says why"
	refuse(w, http.StatusServiceUnavailable, answer)
}

const codeUnauthorised = "unauthorised"

func statusOf(code string) int {
	switch code {
	case agentapi.CodeTokenUsed, agentapi.CodeTokenExpired, agentapi.CodeTokenUnknown:
		return http.StatusForbidden
	case agentapi.CodeRetired:
		return http.StatusGone
	case agentapi.CodeClone:
		return http.StatusConflict
	case agentapi.CodeTooSoon:
		return http.StatusTooManyRequests
	case agentapi.CodeBusy, agentapi.CodeLeaving:
		return http.StatusServiceUnavailable
	case agentapi.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case agentapi.CodeNotHeld:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

func refuse(w http.ResponseWriter, status int, answer *agentapi.Error) {
	if answer.After > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(answer.After))
	}
	write(w, status, answer)
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	if raw, encoded := answer.(json.RawMessage); encoded {
		w.WriteHeader(status)
		_, _ = w.Write(raw) // the agent went away: nobody to tell
		return
	}
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer) // likewise
}
