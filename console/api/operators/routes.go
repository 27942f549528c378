// Package operators holds the routes of /api/v1 about who works at a site: operators and their sessions, what each of them
// sets for themselves, tokens, and the audit log.
package operators

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/operators"
)

// EnterPath is the page that opens a session for whoever comes by such a link.
const EnterPath = "/sign-in/enter"

// FirstPath is the page on which somebody who comes by a link chooses a password.
const FirstPath = "/sign-in/first"

// Link is where an operator chooses a password, once.
type Link struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// Made is an operator who was made; the link is for them, and shown nowhere else.
type Made struct {
	operators.Operator
	Link Link `json:"link"`
}

// Change changes an operator; what is absent stays. Version is the one that was seen; 0 takes the present one.
type Change struct {
	operators.Edit
	From int `json:"from,omitempty"` // version
}

// Reset asks for a new link.
type Reset struct {
	SecondFactor bool `json:"second_factor,omitempty"` // take it away, at once
}

// operatorAlters is what administrators change of an operator.
const operatorAlters = "/operators/{operator}#id,name,display,scope,part,password,second_factor,subject,locked,disabled"

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return slices.Concat(operatorRoutes(n), doorRoutes(n), sessionRoutes(n), selfRoutes(n), tokenRoutes(n))
}

// enterLink makes a link that opens a session without a password, for whoever may read the data folder.
func enterLink(c *api.Call) (Link, error) {
	if !c.Who.IsLocal() {
		return Link{}, identity.Forbidden("such a link is made by whoever may read the node's data folder (--data on its machine)")
	}
	l, err := c.Node.Operators.EnterLink(c.Context(), c.Var("operator"))
	return Link{URL: c.Node.URL() + EnterPath + "?code=" + url.QueryEscape(l.Code), Expires: l.Expires}, err
}

// LinkOf is the address of a link.
func LinkOf(n *node.Node, l operators.Link) Link {
	return Link{URL: n.URL() + FirstPath + "?code=" + url.QueryEscape(l.Code), Expires: l.Expires}
}

// namePart has sites that are named as people call them named by their ids.
func namePart(c *api.Call, part *identity.Part) error {
	if part == nil {
		return nil
	}
	for i, name := range part.Sites {
		if own := c.Node.Site(); strings.EqualFold(name, own.Name) {
			part.Sites[i] = own.ID
			continue
		}
		id, err := c.Node.RollUps.SiteID(c.Context(), name)
		if err != nil {
			return err
		}
		part.Sites[i] = id
	}
	return nil
}

func operatorRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/operators", Scope: identity.Administrator, Summary: "Operators: who signs in, with what role, for which part of the site",
			Columns: operators.Columns, Do: api.GetList(n.Operators.List),
		},
		{
			Method: "GET", Path: "/operators/{operator}", Scope: identity.Administrator, Summary: "An operator, by name or id",
			Do: api.Get(func(c *api.Call) (operators.Operator, error) { return n.Operators.Show(c.Context(), c.Var("operator")) }),
		},
		{
			Method: "POST", Path: "/operators",
			Alters: "/operators/{name}#id,name,display,scope,part,password,second_factor,subject,locked,disabled", Scope: identity.Administrator,
			Summary: "Make an operator; the answer holds the link with which they choose a password",
			Do: api.Do(func(c *api.Call, in operators.Draft) (Made, error) {
				if err := namePart(c, &in.Part); err != nil {
					return Made{}, err
				}
				made, link, err := n.Operators.Create(c.Context(), in)
				return Made{made, LinkOf(n, link)}, err
			}),
		},
		{
			Method: "PUT", Path: "/operators/{operator}",
			Alters: operatorAlters, Scope: identity.Administrator,
			Summary: "Change an operator; who gets another role or part signs in again",
			Do: api.Do(func(c *api.Call, in Change) (operators.Operator, error) {
				if err := namePart(c, in.Part); err != nil {
					return operators.Operator{}, err
				}
				return n.Operators.Change(c.Context(), c.Var("operator"), in.From, in.Edit)
			}),
		},
		{
			Method: "DELETE", Path: "/operators/{operator}",
			Alters: operatorAlters, Scope: identity.Administrator, Summary: "Delete an operator, with sessions and own tokens",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Operators.Delete(c.Context(), c.Var("operator"))
			}),
		},
	}
}

// doorRoutes let operators in, and keep them out.
func doorRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "POST", Path: "/operators/first-link", Scope: identity.Administrator,
			Summary: "Make a link with which somebody becomes an administrator; the answer is the only place where it stands",
			Do: api.Get(func(c *api.Call) (Link, error) {
				if !c.Who.IsLocal() {
					return Link{}, identity.Forbidden("this link is made by whoever may read the node's data folder (--data on its machine); make an operator instead")
				}
				link, err := n.Operators.FirstLink(c.Context())
				return LinkOf(n, link), err
			}),
		},
		{
			Method: "POST", Path: "/operators/{operator}/reset",
			Alters: operatorAlters, Scope: identity.Administrator,
			Summary: "Make a link with which an operator chooses another password; the answer is the only place where it stands",
			Do: api.Do(func(c *api.Call, in Reset) (Link, error) {
				link, err := n.Operators.Reset(c.Context(), c.Var("operator"), in.SecondFactor)
				return LinkOf(n, link), err
			}),
		},
		{
			Method: "POST", Path: "/operators/{operator}/enter", Scope: identity.Administrator, Do: api.Get(enterLink),
			Summary: "Make a link that opens a session of an operator, once, within ten minutes; the answer is the only place where it stands",
		},
		{
			Method: "POST", Path: "/operators/{operator}/lock",
			Alters: operatorAlters, Scope: identity.Administrator, Summary: "Keep an operator out: sessions end at once",
			Do: api.Get(func(c *api.Call) (operators.Operator, error) { return n.Operators.Lock(c.Context(), c.Var("operator")) }),
		},
		{
			Method: "POST", Path: "/operators/{operator}/unlock",
			Alters: operatorAlters, Scope: identity.Administrator,
			Summary: "Let an operator in again, whom an administrator or wrong passwords kept out",
			Do: api.Get(func(c *api.Call) (operators.Operator, error) {
				return n.Operators.Unlock(c.Context(), c.Var("operator"))
			}),
		},
	}
}

// listOf is a list without pages.
func listOf[T any](items []T) api.List[T] {
	return api.List[T]{Items: items, Total: len(items), Page: 1, Limit: max(len(items), 1)}
}

const sessionsAlter = "/operators/{operator}/sessions#created,from,agent,method"

func sessionRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/operators/{operator}/sessions", Scope: identity.Administrator, Summary: "The open sessions of an operator",
			Do: api.Get(func(c *api.Call) (api.List[operators.Opened], error) {
				list, err := n.Operators.Sessions(c.Context(), c.Var("operator"))
				return listOf(list), err
			}),
		},
		{
			Method: "DELETE", Path: "/operators/{operator}/sessions",
			Alters: sessionsAlter, Scope: identity.Administrator, Summary: "End all sessions of an operator",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Operators.EndSessions(c.Context(), c.Var("operator"), "")
			}),
		},
		{
			Method: "DELETE", Path: "/operators/{operator}/sessions/{session}",
			Alters: sessionsAlter, Scope: identity.Administrator, Summary: "End a session of an operator",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Operators.EndSession(c.Context(), c.Var("operator"), c.Var("session"))
			}),
		},
	}
}
