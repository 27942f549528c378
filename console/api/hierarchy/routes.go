// Package hierarchy holds the routes of /api/v1 about the tree of sites: parent, children, their tokens, replication rules,
// alarms.
package hierarchy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins/staging"
	"thatch/node/identity"
	"thatch/node/sites"
	"thatch/node/sites/hierarchy"
	"thatch/node/sites/rules"
	"thatch/node/store"
	"thatch/replication/joining"
	"thatch/replication/wire"
)

// Join asks to become a child, or to move to another parent.
type Join struct {
	Parent string `json:"parent"` // https://HOST:PORT
	Token  string `json:"token"`  // child token, made by the parent's administrator
	Move   bool   `json:"move,omitempty"`
}

// ParentStatus is the site above, and how far the payloads are that this site awaits.
type ParentStatus struct {
	sites.Parent
	Awaited  *staging.Awaited `json:"awaited,omitempty"`
	Payloads string           `json:"payloads,omitempty"` // the same for people
}

// Addresses are where the parent is called.
type Addresses struct {
	URLs []string `json:"urls"` // https://HOST:PORT, the first is tried first
}

// NewToken asks for a child token.
type NewToken struct {
	Name  string `json:"name"`            // what it is for
	Hours int    `json:"hours,omitempty"` // it lasts; 0: three days
}

// ChildChange changes what a child is called, or how its link may be used; what is absent stays.
type ChildChange struct {
	Name    string        `json:"name,omitempty"`
	Limits  *sites.Limits `json:"limits,omitempty"`
	Version *int          `json:"version,omitempty"` // that the limits were changed from; absent: any
}

// Revocation shuts a child out.
type Revocation struct {
	Reason string `json:"reason,omitempty"`
}

// RuleChange replaces a rule.
type RuleChange struct {
	sites.Rule
	From *int `json:"from,omitempty"` // version that the change was made from; absent: any
}

const (
	tokenHours = 3 * 24
	maxHours   = 366 * 24
)

// childAlters is what people change of a child.
const childAlters = "/children/{child}#id,name,joined,revoked,reason,limits"

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	var all []api.Route
	for _, table := range [][]api.Route{treeRoutes(n), parentRoutes(n), childRoutes(n), tokenRoutes(n), ruleRoutes(n), alarmRoutes(n)} {
		all = append(all, table...)
	}
	return all
}

func treeRoutes(n *node.Node) []api.Route {
	return []api.Route{{
		Method: "GET", Path: "/hierarchy", Scope: identity.Viewer, Reach: api.Reach{Free: true},
		Summary: "The tree of sites: languages, last contact, how far behind, last runs, digests, alarms",
		Do: api.Get(func(c *api.Call) (hierarchy.Hierarchy, error) {
			languages, err := n.Languages(c.Context())
			if err != nil {
				return hierarchy.Hierarchy{}, err
			}
			tree, err := hierarchy.Read(c.Context(), n.Sites, n.Reader(), languages)
			if err != nil {
				return tree, err
			}
			return narrow(c, tree)
		}),
	}}
}

// narrow leaves to callers who are limited to a part of the tree this site, those above it, and those of their part.
func narrow(c *api.Call, tree hierarchy.Hierarchy) (hierarchy.Hierarchy, error) {
	if c.Who.Part.Whole() {
		return tree, nil
	}
	beyond, err := Beyond(c)
	if err != nil {
		return tree, err
	}
	tree.Alarms = slices.DeleteFunc(tree.Alarms, func(a sites.Alarm) bool { return beyond(a.Subject) })
	seen := tree.Sites[:0]
	for _, site := range tree.Sites {
		sees, err := c.SeesSite(site.ID)
		if err != nil {
			return tree, err
		}
		if sees || site.Relation != "child" && site.Relation != "below" {
			seen = append(seen, site)
		}
	}
	tree.Sites = seen
	return tree, nil
}

// childReach is that of routes whose {child} is a child.
var childReach = api.Reach{Check: func(c *api.Call) error {
	child, err := c.Node.Sites.Child(c.Context(), c.Var("child"))
	if err != nil {
		return err
	}
	return c.CheckSite(child.ID, child.Name)
}}

// ruleReach is that of routes that make a replication rule, or change the one whose {rule} they name: all its children are
// in the caller's part, before and after.
var ruleReach = api.Reach{Check: func(c *api.Call) error {
	made := c.Var("rule") != ""
	if made {
		rule, err := c.Node.Sites.Rule(c.Context(), c.Var("rule"))
		if err != nil {
			return err
		}
		if err := checkChildren(c, rule.Children); err != nil {
			return err
		}
	}
	switch {
	case c.HasBody():
	case made:
		return nil
	default:
		return anyChild(c) // which the route refuses: it is asked whether there are rules that the caller may make
	}
	var next struct {
		Children rules.Names `json:"children"`
	}
	if err := c.Peek(&next); err != nil {
		return err
	}
	return checkChildren(c, next.Children)
}}

// anyChild refuses callers of whom no child is in the part.
func anyChild(c *api.Call) error {
	list, _, err := c.Node.Sites.Children(c.Context(), store.Query{})
	for _, child := range list {
		if err == nil {
			err = c.CheckSite(child.ID, child.Name)
		}
		if err == nil {
			return nil
		}
		if errors.Is(err, identity.ErrForbidden) {
			err = nil
		}
	}
	if err == nil {
		err = c.Outside("no child is in it")
	}
	return err
}

func checkChildren(c *api.Call, children []string) error {
	if children == nil {
		return c.Outside("the rule is for all children")
	}
	for _, which := range children {
		child, err := c.Node.Sites.Child(c.Context(), which)
		if err != nil {
			return err
		}
		if err := c.CheckSite(child.ID, child.Name); err != nil {
			return err
		}
	}
	return nil
}

const parentAlters = "/parent#id,name,urls,joined"

func parentRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/parent", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "The site above, with its rules as it last told them",
			Do: api.Get(func(c *api.Call) (ParentStatus, error) {
				parent, err := n.Sites.Parent(c.Context())
				status := ParentStatus{Parent: parent}
				if status.Awaited, _ = n.Staging.Awaited(); status.Awaited != nil {
					status.Payloads = status.Awaited.Sentence()
				}
				return status, err
			}),
		},
		{
			Method: "POST", Path: "/parent",
			Alters: parentAlters, Scope: identity.Administrator, Summary: "Join a parent with a child token, or move to another parent",
			Do: api.Do(func(c *api.Call, in Join) (sites.Parent, error) {
				p, err := joining.Join(c.Context(), n, in.Parent, in.Token, in.Move)
				return p, told(err)
			}),
		},
		{
			Method: "PUT", Path: "/parent",
			Alters: parentAlters, Scope: identity.Administrator, Summary: "Give the parent's addresses, where they changed",
			Do: api.Do(func(c *api.Call, in Addresses) (sites.Parent, error) {
				for i := range in.URLs {
					base, err := wire.ParseAddress(in.URLs[i])
					if err != nil {
						return sites.Parent{}, store.Invalid("%v", err)
					}
					in.URLs[i] = base.String()
				}
				return n.Sites.SetAddresses(c.Context(), in.URLs)
			}),
		},
		{
			Method: "DELETE", Path: "/parent",
			Alters: parentAlters, Scope: identity.Administrator, Summary: "Leave the parent",
			Query: []api.Param{{Name: "force", Type: "boolean", Text: "leave although the parent cannot be told"}},
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, told(joining.Leave(c.Context(), n, c.Flag("force")))
			}),
		},
	}
}

// told makes an answer of what went wrong between two sites.
func told(err error) error {
	var answer *wire.Error
	var call *url.Error
	switch {
	case errors.As(err, &answer):
		switch answer.Code {
		case wire.CodeInvalid, wire.CodeTokenUnknown, wire.CodeTokenExpired, wire.CodeTooLarge:
			return &api.Error{Status: http.StatusBadRequest, Code: "invalid", Text: err.Error()}
		case wire.CodeBusy, wire.CodeBehind:
			return &api.Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: err.Error()}
		}
		return &api.Error{Status: http.StatusConflict, Code: "conflict", Text: err.Error()}
	case errors.Is(err, identity.ErrUntrusted):
		return &api.Error{Status: http.StatusBadRequest, Code: "invalid", Text: err.Error()}
	case errors.As(err, &call):
		return &api.Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: err.Error()}
	}
	return err
}

func childRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/children", Scope: identity.Viewer, Summary: "The sites directly below",
			Columns: sites.ChildColumns, Reach: api.Reach{Site: "id"}, Do: api.GetList(n.Sites.Children),
		},
		{
			Method: "GET", Path: "/children/{child}", Scope: identity.Viewer, Summary: "One child, by its name or id", Reach: childReach,
			Do: api.Get(func(c *api.Call) (sites.Child, error) { return n.Sites.Child(c.Context(), c.Var("child")) }),
		},
		{
			Method: "PUT", Path: "/children/{child}",
			Alters: childAlters, Scope: identity.Administrator, Summary: "Rename a child, or limit when and how fast its link is used",
			Reach: childReach,
			Do:    api.Do(func(c *api.Call, in ChildChange) (sites.Child, error) { return changeChild(c, n, in) }),
		},
		{
			Method: "POST", Path: "/children/{child}/revoke",
			Alters: childAlters, Scope: identity.Administrator, Summary: "Shut a child out at once", Reach: childReach,
			Do: api.Do(func(c *api.Call, in Revocation) (sites.Child, error) {
				return n.Sites.Revoke(c.Context(), c.Var("child"), in.Reason)
			}),
		},
		{
			Method: "DELETE", Path: "/children/{child}",
			Alters: childAlters, Scope: identity.Administrator, Reach: childReach,
			Summary: "Remove a child: it is shut out, forgotten, and may join again with a new token",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Sites.Remove(c.Context(), c.Var("child"), "remove child")
			}),
		},
	}
}

func changeChild(c *api.Call, n *node.Node, in ChildChange) (sites.Child, error) {
	child, err := n.Sites.Child(c.Context(), c.Var("child"))
	if err != nil {
		return child, err
	}
	if in.Name == "" && in.Limits == nil {
		return child, store.Invalid("say what to change: name or limits")
	}
	if in.Limits != nil {
		version := child.Version
		if in.Version != nil {
			version = *in.Version
		}
		if child, err = n.Sites.Limit(c.Context(), child.ID, *in.Limits, version); err != nil {
			return child, err
		}
	}
	if in.Name != "" && in.Name != child.Name {
		return n.Sites.Rename(c.Fresh(), child.ID, in.Name)
	}
	return child, nil
}

func tokenRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/child-tokens", Scope: identity.Administrator, Summary: "Tokens with which sites become children, without their secrets",
			Columns: sites.TokenColumns, Do: api.GetList(n.Sites.Tokens),
		},
		{
			Method: "POST", Path: "/child-tokens",
			Alters: "/child-tokens?id={id}", Scope: identity.Administrator,
			Summary: "Make a token for one child; the answer is the only place where its text stands",
			Do: api.Do(func(c *api.Call, in NewToken) (sites.Token, error) {
				if in.Hours == 0 {
					in.Hours = tokenHours
				}
				if in.Hours < 0 || in.Hours > maxHours {
					return sites.Token{}, store.Invalid("a child token lasts 1 hour to a year, not %d hours", in.Hours)
				}
				return n.Sites.NewToken(c.Context(), sites.Token{Name: in.Name, Expires: n.Now().Add(time.Duration(in.Hours) * time.Hour)})
			}),
		},
		{
			Method: "DELETE", Path: "/child-tokens/{id}",
			Alters: "/child-tokens?id={id}", Scope: identity.Administrator, Summary: "Revoke a child token that nobody used",
			Do: api.Get(func(c *api.Call) (api.None, error) { return api.None{}, n.Sites.RevokeToken(c.Context(), c.Var("id")) }),
		},
	}
}

const ruleAlters = "/replication/rules/{rule}#-version"

func ruleRoutes(n *node.Node) []api.Route {
	enable := func(on bool) api.Action {
		return api.Get(func(c *api.Call) (sites.Rule, error) { return n.Sites.EnableRule(c.Context(), c.Var("rule"), on) })
	}
	return []api.Route{
		{
			Method: "GET", Path: "/replication/rules", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Replication rules: what is sent to children, and when",
			Columns: sites.RuleColumns, Do: api.GetList(n.Sites.Rules),
		},
		{
			Method: "GET", Path: "/replication/rules/{rule}", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "One replication rule, by its name or id",
			Do: api.Get(func(c *api.Call) (sites.Rule, error) { return n.Sites.Rule(c.Context(), c.Var("rule")) }),
		},
		{
			Method: "POST", Path: "/replication/rules",
			Alters: "/replication/rules/{id}#-version", Scope: identity.Administrator, Summary: "Make a replication rule", Reach: ruleReach,
			Do: api.Do(func(c *api.Call, in sites.Rule) (sites.Rule, error) {
				if err := namePolicies(c.Context(), n, in.Documents); err != nil {
					return sites.Rule{}, err
				}
				return n.Sites.CreateRule(c.Context(), in)
			}),
		},
		{
			Method: "PUT", Path: "/replication/rules/{rule}",
			Alters: ruleAlters, Scope: identity.Administrator, Summary: "Replace a replication rule", Reach: ruleReach,
			Do: api.Do(func(c *api.Call, in RuleChange) (sites.Rule, error) {
				from := -1
				if in.From != nil {
					from = *in.From
				}
				if err := namePolicies(c.Context(), n, in.Documents); err != nil {
					return sites.Rule{}, err
				}
				return n.Sites.ChangeRule(c.Context(), c.Var("rule"), in.Rule, from)
			}),
		},
		{
			Method: "POST", Path: "/replication/rules/{rule}/enable",
			Alters: ruleAlters, Scope: identity.Administrator, Summary: "Switch a replication rule on", Reach: ruleReach, Do: enable(true),
		},
		{
			Method: "POST", Path: "/replication/rules/{rule}/disable",
			Alters: ruleAlters, Scope: identity.Administrator, Reach: ruleReach,
			Summary: "Switch a replication rule off: it sends nothing and removes nothing", Do: enable(false),
		},
		{
			Method: "DELETE", Path: "/replication/rules/{rule}",
			Alters: ruleAlters, Scope: identity.Administrator, Reach: ruleReach,
			Summary: "Delete a replication rule: what no other rule sends is removed from the children",
			Do:      api.Get(func(c *api.Call) (api.None, error) { return api.None{}, n.Sites.DeleteRule(c.Context(), c.Var("rule")) }),
		},
	}
}

// namePolicies has policies that are named as people call them named by their ids.
func namePolicies(ctx context.Context, n *node.Node, documents []string) error {
	if len(documents) > rules.MaxSelected {
		return nil // refused as a whole
	}
	for i, name := range documents {
		which, ok := strings.CutPrefix(name, string(document.Policy)+"/")
		if !ok || which == "" {
			continue
		}
		found, err := n.Policies.Show(ctx, which)
		if err != nil {
			return err
		}
		documents[i] = string(document.Policy) + "/" + found.ID
	}
	return nil
}
