package membership

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/places"
	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/wire"
)

// Limits of calls, in bytes.
const (
	maxCall  = 256 << 10
	maxBatch = store.MaxBatch + 64<<10
)

// Codes with which calls are refused, beside those of node/members.
const (
	codeStarting    = "starting"
	codeNotLeader   = "not_leader"
	codeUncertain   = "uncertain"
	codeUnavailable = "unavailable"
	codeInvalid     = "invalid"
	codeFailed      = "failed"
)

func (m *Membership) handler() *wire.Door {
	return &wire.Door{
		Port: m.cfg.Port, Fail: refusal,
		Files: map[string]func(http.ResponseWriter, *http.Request, string) error{kindPayload: m.sendPayload},
		Open:  map[string]func(http.ResponseWriter, *http.Request) (any, error){pathJoin: m.join},
		Calls: map[string]func(http.ResponseWriter, *http.Request, wire.Peer) (any, error){
			pathHello: m.answerHello, pathForward: m.accept, pathLead: m.answerLead, pathCertify: m.certify,
		},
	}
}

// refusal is how a call is answered that failed.
func refusal(err error) *wire.Error {
	var refused *wire.Error
	var node *members.Refusal
	text := err.Error()
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &node):
		return &wire.Error{Status: http.StatusForbidden, Code: node.Code, Text: node.Text}
	case errors.Is(err, errStarting):
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: codeStarting, Text: text}
	case errors.Is(err, quorum.ErrNotLeader):
		return &wire.Error{Status: http.StatusMisdirectedRequest, Code: codeNotLeader, Text: text}
	case errors.Is(err, quorum.ErrUncertain):
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: codeUncertain, Text: text}
	case errors.Is(err, quorum.ErrUnavailable), errors.Is(err, quorum.ErrStopped), errors.Is(err, identity.ErrKeyless):
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: codeUnavailable, Text: text}
	case errors.Is(err, identity.ErrUntrusted), errors.Is(err, identity.ErrUnauthorised):
		return &wire.Error{Status: http.StatusForbidden, Code: members.CodeStranger, Text: text}
	case errors.Is(err, store.ErrInvalid):
		return &wire.Error{Status: http.StatusBadRequest, Code: codeInvalid, Text: text}
	}
	return &wire.Error{Status: http.StatusInternalServerError, Code: codeFailed, Text: text}
}

// sendPayload gives a payload file to a node that asks, once this one's rooms are open.
func (m *Membership) sendPayload(w http.ResponseWriter, r *http.Request, sum string) error {
	if m.rooms.Load() == nil || m.cfg.Send == nil {
		return errStarting
	}
	return m.cfg.Send(w, r, sum)
}

// Payload is where a node is asked for a payload file, and with what.
func (m *Membership) Payload(id, sum string) (url string, client *http.Client) {
	return m.caller.File(id, kindPayload, sum)
}

// answerHello notes where a node is reached, and tells how this one fares.
func (m *Membership) answerHello(w http.ResponseWriter, r *http.Request, from wire.Peer) (any, error) {
	in, err := wire.Decode[hello](w, r, maxCall)
	if err != nil {
		return nil, err
	}
	if err := members.CheckAddresses(in.Addresses); err != nil {
		return nil, err
	}
	m.heard.change(from.ID, func(h *Heard) { h.addresses = in.Addresses })
	return helloAnswer{m.Status(), m.firstHand()}, nil
}

// accept takes a batch where this node leads: the other end of Forward.
func (m *Membership) accept(w http.ResponseWriter, r *http.Request, _ wire.Peer) (any, error) {
	q := m.quorum.Load()
	if q == nil {
		return nil, fmt.Errorf("%w: %w", quorum.ErrNotLeader, errStarting)
	}
	encoded, err := places.Read(w, r, maxBatch)
	if err != nil {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: codeInvalid, Text: err.Error()}
	}
	applied, err := q.Accept(r.Context(), encoded)
	if err != nil {
		return nil, err
	}
	return forwardAnswer(applied), nil
}

// Forward implements quorum.Forwarder.
func (m *Membership) Forward(ctx context.Context, leader quorum.Voter, encoded []byte) (store.Applied, error) {
	var answer forwardAnswer
	err := m.caller.Call(ctx, leader.ID, wire.Call{Path: pathForward, Raw: encoded, Out: &answer})
	switch code := wire.CodeOf(err); {
	case err == nil:
		return store.Applied(answer), nil
	case errors.Is(err, wire.ErrUnreached), code == codeNotLeader, code == members.CodeStranger, code == members.CodeRemoved:
		return store.Applied{}, fmt.Errorf("%w: %w", quorum.ErrNotLeader, err)
	}
	return store.Applied{}, fmt.Errorf("%w: %w", quorum.ErrUncertain, err)
}

// join makes a node one of the site's that brings a token.
func (m *Membership) join(w http.ResponseWriter, r *http.Request) (any, error) {
	rooms := m.rooms.Load()
	if rooms == nil {
		return nil, errStarting
	}
	token, err := members.ParseToken(places.Bearer(r))
	if err == nil {
		err = rooms.members.Invited(r.Context(), token)
	}
	if err != nil {
		return nil, err
	}
	in, err := wire.Decode[JoinRequest](w, r, maxCall)
	if err != nil {
		return nil, err
	}
	if held := m.cfg.DB.Schema(); in.Schema < held {
		return nil, store.Invalid("the program of that node (%s) is too old: it knows version %d of the database, and the site's is %d; install the site's program there",
			in.Version, in.Schema, held)
	}
	csr, err := x509.ParseCertificateRequest(in.CSR)
	if err != nil {
		return nil, store.Invalid("the certificate request: %v", err)
	}
	hash := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	node := members.Node{
		ID: in.Node, Name: in.Name, Addresses: in.Addresses, Votes: in.Votes, TLSKey: hash[:], SealKey: in.SealKey, Version: in.Version, Schema: in.Schema,
	}
	chain, err := rooms.identity.CertifyNode(node.ID, in.CSR, in.Names)
	if err != nil {
		return nil, err
	}
	var also []store.Statement
	if node.Votes {
		seal, err := rooms.identity.SealTo(node.ID, node.SealKey)
		if err != nil {
			return nil, err
		}
		also = append(also, seal)
	}
	ctx := store.WithCaller(r.Context(), &store.Caller{Actor: "node " + node.ID})
	if err := rooms.members.Admit(ctx, token, node, also...); err != nil {
		return nil, err
	}
	m.cfg.Log.Info("a node joined the site", "node", node.ID, "name", node.Name, "votes", node.Votes, "from", r.RemoteAddr)
	return m.welcome(ctx, rooms, chain)
}

func (m *Membership) welcome(ctx context.Context, rooms *rooms, chain [][]byte) (any, error) {
	all, err := rooms.members.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	return JoinAnswer{Site: m.creds.Site(), Name: rooms.identity.SiteName(), Node: m.cfg.Self.ID, Chain: chain, Nodes: m.known(all)}, nil
}

// known is where the nodes of the site are reached. This one is among them, at its own addresses, whether or not the table says
// so yet: it tells the table only after it has begun to answer.
func (m *Membership) known(all []members.Node) []Known {
	list := []Known{{m.cfg.Self.ID, m.cfg.Self.Addresses}}
	for _, n := range all {
		if n.ID != m.cfg.Self.ID {
			list = append(list, Known{n.ID, m.reachedAt(n.ID, n.Addresses)})
		}
	}
	return list
}

// answerLead hands the lead to another node.
func (m *Membership) answerLead(w http.ResponseWriter, r *http.Request, _ wire.Peer) (any, error) {
	in, err := wire.Decode[leadRequest](w, r, maxCall)
	if err != nil {
		return nil, err
	}
	return struct{}{}, m.transfer(r.Context(), in.To)
}

func (m *Membership) transfer(ctx context.Context, to string) error {
	q := m.quorum.Load()
	if q == nil {
		return errStarting
	}
	if leading, _, _ := q.Leading(); !leading {
		return quorum.ErrNotLeader
	}
	if to == "" {
		return q.Transfer(ctx)
	}
	if to == m.cfg.Self.ID {
		return nil
	}
	return q.TransferTo(ctx, quorum.Voter{ID: to, Address: to})
}

// TransferLead has the lead handed to a node, or to whichever is best where none is named, by whichever node leads.
func (m *Membership) TransferLead(ctx context.Context, to string) error {
	err := m.transfer(ctx, to)
	if !errors.Is(err, quorum.ErrNotLeader) {
		return err
	}
	leader := m.quorum.Load().Status().Leader
	if leader == "" {
		return fmt.Errorf("%w, so there is no lead to hand over", quorum.ErrUnavailable)
	}
	return m.caller.Call(ctx, leader, wire.Call{Path: pathLead, In: leadRequest{To: to}})
}
