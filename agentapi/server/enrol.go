package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"thatch/agentapi"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/places"
	"thatch/node/store"
)

// enrolTries is how often an enrolment is tried when others took its place at the same moment.
const enrolTries = 4

// invited lets whoever brings an enrolment token in, before anything is read of what it sends.
func (s *server) invited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := s.tokenOf(r)
		if err == nil {
			_, err = s.admitted(r.Context(), token)
		}
		if err != nil {
			places.Unread(w)
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) tokenOf(r *http.Request) (agentapi.Token, error) {
	token, err := agentapi.ParseToken(places.Bearer(r))
	if err != nil {
		return token, &agentapi.Error{Code: agentapi.CodeTokenUnknown, Text: err.Error()}
	}
	if token.Fingerprint != agentapi.Fingerprint(s.node.Identity.Authority()) {
		return token, &agentapi.Error{Code: agentapi.CodeTokenUnknown, Text: "the token is one of another site"}
	}
	return token, nil
}

func (s *server) admitted(ctx context.Context, token agentapi.Token) (identity.Enrolment, error) {
	admitted, err := s.node.Identity.Enrol(ctx, token.String())
	if !errors.Is(err, identity.ErrTokenUsed) && !errors.Is(err, identity.ErrTokenEnded) && errors.Is(err, identity.ErrUnauthorised) {
		err = &agentapi.Error{Code: agentapi.CodeTokenUnknown, Text: err.Error()}
	}
	return admitted, err
}

// enrol makes whoever has a token a computer: token, row and certificate are one group of statements.
func (s *server) enrol(r *http.Request, q agentapi.EnrolRequest) (*agentapi.EnrolResponse, error) {
	token, err := s.tokenOf(r)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		answer, err := s.enrolOnce(r, q, token)
		if errors.Is(err, computers.ErrRaced) && try < enrolTries {
			continue
		}
		if errors.Is(err, computers.ErrRaced) {
			return nil, busy(r.RemoteAddr)
		}
		return answer, err
	}
}

func (s *server) enrolOnce(r *http.Request, q agentapi.EnrolRequest, token agentapi.Token) (*agentapi.EnrolResponse, error) {
	ctx := r.Context()
	admitted, err := s.admitted(ctx, token)
	if err != nil {
		return nil, err
	}
	newcomer := computers.Newcomer{
		Name: q.Name, MachineID: q.MachineID, Hardware: q.Hardware, Platform: q.Platform, Languages: q.Languages,
		Group: admitted.Group, Simulated: q.Simulated,
	}
	place, err := s.node.Computers.Place(ctx, newcomer)
	if err != nil {
		return nil, err
	}
	issued, err := s.node.Identity.Issue(q.CSR, place.Computer)
	if err != nil {
		return nil, err
	}
	var more []store.Statement
	if place.Former != "" {
		more = append(more, identity.RevokeComputer(place.Computer, place.Why, s.node.Now()))
	}
	more = append(append(more, admitted.Use...), issued.Record...)
	more = append(more, identity.AuditEntry(s.node.Now(), "token "+admitted.Token, "enrol "+newcomer.Name+" as computer "+place.Computer+": "+place.Why))
	c, err := s.node.Computers.Enrol(ctx, newcomer, place, issued.Serial, more...)
	if err != nil {
		return nil, err
	}
	s.arrivals.welcome(c.ID, time.Now())
	s.log.Info("a computer enrolled", "computer", c.ID, "name", c.Name, "token", admitted.Token, "group", c.Group, "why", place.Why)
	keys, err := s.keys.now(ctx)
	if err != nil {
		return nil, err
	}
	return &agentapi.EnrolResponse{
		Computer: c.ID, Certificate: issued.DER, Authority: s.node.Identity.Authority(), Site: s.site(), Keys: keys.docs,
	}, nil
}

func (s *server) site() agentapi.Site {
	site := s.node.Site()
	return agentapi.Site{ID: site.ID, Name: site.Name, Epoch: site.Epoch}
}

// renew makes a new certificate under the present one.
func (s *server) renew(r *http.Request, who caller, q agentapi.RenewRequest) (*agentapi.RenewResponse, error) {
	c, err := s.node.Computers.Get(r.Context(), who.ID)
	if err != nil {
		return nil, err
	}
	if !c.Retired.IsZero() {
		return nil, fmt.Errorf("%w: %s", computers.ErrRetired, c.Name)
	}
	issued, err := s.node.Identity.Renew(r.Context(), who.Peer, q.CSR)
	var soon *identity.TooSoonError
	if errors.As(err, &soon) {
		return nil, &agentapi.Error{Code: agentapi.CodeTooSoon, Text: err.Error(), After: int(soon.Wait/time.Second) + 1}
	}
	if err != nil {
		return nil, err
	}
	err = s.node.Computers.Renewed(r.Context(), who.ID, issued.Serial, issued.Record...)
	if errors.Is(err, store.ErrConflict) { // another renewal came first, or it was retired: the next try hears which
		return nil, busy(r.RemoteAddr)
	}
	if err != nil {
		return nil, err
	}
	return &agentapi.RenewResponse{Certificate: issued.DER, Authority: s.node.Identity.Authority()}, nil
}
