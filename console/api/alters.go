package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"thatch/console/api/subject"
	"thatch/node/identity"
	"thatch/node/store"
)

// keepTakes is how long a call waits until it is kept what it changed.
const keepTakes = 5 * time.Second

// change runs a call's route. Of what it changes the audit log keeps how it stood before and after (Route.Alters).
func (s *Server) change(c *Call) (answer any, err error) {
	if c.route.Alters == "" {
		return c.route.Do.run(c)
	}
	var body map[string]any
	if len(c.body) > 0 {
		_ = json.Unmarshal(c.body, &body) // the route itself refuses what is none
	}
	subjects := subject.Of(c.route.Alters, c.r.URL.Query().Has,
		func(name string) any { return c.Var(name) }, func(name string) any { return c.Arg(name) }, func(name string) any { return body[name] })
	done, err := s.turns.Take(c.Context(), subjects[0].Kind())
	if err != nil {
		return nil, err
	}
	defer done()
	a := identity.Alteration{Actor: c.caller.Actor}
	if a.Since, err = s.node.Identity.LastAudited(c.Context()); err != nil {
		return nil, err
	}
	var of subject.Subject
	for _, of = range subjects {
		if a.Before, err = s.stands(c.Context(), c.Who, of); err != nil {
			return nil, fmt.Errorf("read what stands before it is changed: %w", err)
		}
		if a.Before != nil {
			break
		}
	}
	of = of.Called(a.Before) // whoever is called otherwise afterwards is still the same
	c.caller.Subject = of.Path()
	if answer, err = c.route.Do.run(c); c.caller.Index() == 0 {
		return answer, err // nothing was changed
	}
	if failed := s.keep(c, a, of, answer); failed != nil {
		s.log.Error("the audit log lacks what a change changed", "who", a.Actor, "subject", c.caller.Subject, "error", failed)
	}
	return answer, err
}

// keep has the audit log tell what a call changed. Whoever called need not be there any more.
func (s *Server) keep(c *Call, a identity.Alteration, of subject.Subject, answer any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), keepTakes)
	defer cancel()
	raw, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	of = of.With(raw).Called(raw)
	a.Asked, a.Subject, a.Only = c.caller.Subject, of.Path(), of.Only
	if a.After, err = s.stands(store.AtLeast(ctx, c.caller.Index()), c.Who, of); err != nil {
		return err
	}
	return s.node.Identity.KeepDifference(ctx, a)
}

// stands reads what a change is about, nil where it is not there, or not known yet.
func (s *Server) stands(ctx context.Context, who identity.Operator, of subject.Subject) ([]byte, error) {
	path, query, ok := of.Resolve()
	if !ok {
		return nil, nil
	}
	who.Part = identity.Part{} // whether the caller may change it is decided already
	c, err := s.call(ctx, who, Request{Method: http.MethodGet, Path: path, Query: query})
	if err != nil {
		return nil, err
	}
	if err := s.admit(c, nil); err != nil {
		return nil, err
	}
	found, err := c.route.Do.run(c)
	switch {
	case err == nil:
		return json.Marshal(found)
	case AsError(err).Status == http.StatusNotFound:
		return nil, nil
	}
	return nil, err
}
