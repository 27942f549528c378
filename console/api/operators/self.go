package operators

import (
	"context"
	"slices"
	"strings"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/operators"
	"thatch/node/store"
)

// Self is who calls.
type Self struct {
	Name         string           `json:"name"`
	Display      string           `json:"display,omitempty"`
	Operator     string           `json:"operator,omitempty"` // id; absent: no person with an account
	Token        string           `json:"token,omitempty"`    // id of the API token
	Session      string           `json:"session,omitempty"`  // id
	Scope        identity.Scope   `json:"scope"`
	Permissions  []identity.Scope `json:"permissions"`    // the scopes that it holds
	Part         identity.Part    `json:"part,omitzero"`  // of the site; absent: the whole
	Password     bool             `json:"password"`       // has one
	SecondFactor bool             `json:"second_factor"`  // is asked for one
	Recovery     int              `json:"recovery_codes"` // that are left
}

// NewPassword chooses another password.
type NewPassword struct {
	Password    string `json:"password"` // the present one
	NewPassword string `json:"new_password"`
}

// Proof is the present password, which some changes ask for once more.
type Proof struct {
	Password string `json:"password"`
}

// Code is one of the authenticator.
type Code struct {
	Code string `json:"code"`
}

// Recovery are codes that stand in for the authenticator, each once.
type Recovery struct {
	Codes []string `json:"recovery_codes"`
}

// ViewName calls a saved view otherwise.
type ViewName struct {
	Name string `json:"name"`
}

// What of their own operators change.
const (
	ownSessionsAlter = "/self/sessions#created,from,agent,method"
	ownTokensAlter   = "/self/tokens?id={id}"
	secondAlters     = "/self#second_factor,recovery_codes"
)

// selfRoutes are open to operators of any role and part: they are about the caller alone.
func selfRoutes(n *node.Node) []api.Route {
	routes := slices.Concat(accountRoutes(n), secondRoutes(n), viewRoutes(n))
	for i := range routes {
		routes[i].Scope, routes[i].Reach = identity.Viewer, api.Reach{Free: true}
	}
	return routes
}

func accountRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/self", Summary: "Who calls: role, part of the site, permissions", Do: api.Get(self)},
		{
			Method: "PUT", Path: "/self/password", Summary: "Choose another password; other sessions end",
			Do: api.Do(func(c *api.Call, in NewPassword) (api.None, error) {
				return api.None{}, n.Operators.ChangePassword(c.Context(), operators.Caller{ID: c.Who.ID, Session: c.Who.Session}, in.Password, in.NewPassword)
			}),
		},
		{
			Method: "GET", Path: "/self/sessions", Summary: "The caller's open sessions",
			Do: api.Get(func(c *api.Call) (api.List[operators.Opened], error) {
				list, err := n.Operators.Sessions(c.Context(), c.Who.ID)
				return listOf(list), err
			}),
		},
		{
			Method: "DELETE", Path: "/self/sessions",
			Alters: ownSessionsAlter, Summary: "End the caller's sessions but the present one",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Operators.EndSessions(c.Context(), c.Who.ID, c.Who.Session)
			}),
		},
		{
			Method: "DELETE", Path: "/self/sessions/{session}",
			Alters: ownSessionsAlter, Summary: "End one of the caller's sessions",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Operators.EndSession(c.Context(), c.Who.ID, c.Var("session"))
			}),
		},
		{
			Method: "GET", Path: "/self/preferences", Summary: "What the caller set: language, theme, time zone, parts of the home page",
			Do: api.Get(func(c *api.Call) (operators.Preferences, error) {
				return n.Operators.Preferences(c.Context(), c.Who.ID)
			}),
		},
		{
			Method: "PUT", Path: "/self/preferences",
			Alters: "/self/preferences", Summary: "Set them; what is absent is as the browser or the site has it",
			Do: api.Do(func(c *api.Call, in operators.Preferences) (operators.Preferences, error) {
				return in, n.Operators.SetPreferences(c.Context(), c.Who.ID, in)
			}),
		},
	}
}

// secondRoutes are about the second factor.
func secondRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "POST", Path: "/self/totp", Summary: "Begin with a second factor: a secret for an authenticator app",
			Do: api.Do(func(c *api.Call, in Proof) (operators.Authenticator, error) {
				return n.Operators.BeginSecondFactor(c.Context(), c.Who.ID, in.Password)
			}),
		},
		{
			Method: "PUT", Path: "/self/totp",
			Alters: secondAlters, Summary: "Confirm the second factor with a code of the app; the answer is the only place where recovery codes stand",
			Do: api.Do(func(c *api.Call, in Code) (Recovery, error) {
				codes, err := n.Operators.ConfirmSecondFactor(c.Context(), operators.Caller{ID: c.Who.ID, Session: c.Who.Session}, in.Code)
				return Recovery{codes}, err
			}),
		},
		{
			Method: "POST", Path: "/self/totp/remove",
			Alters: secondAlters, Summary: "Ask for no second factor any more",
			Do: api.Do(func(c *api.Call, in Proof) (api.None, error) {
				return api.None{}, n.Operators.RemoveSecondFactor(c.Context(), c.Who.ID, in.Password)
			}),
		},
	}
}

// self tells who calls.
func self(c *api.Call) (Self, error) {
	who := c.Who
	s := Self{
		Name: who.Name, Display: who.Display, Operator: who.ID, Token: who.Token, Session: who.Session, Scope: who.Scope,
		Permissions: operators.Permissions(who), Part: who.Part,
	}
	if who.ID == "" {
		return s, nil
	}
	o, err := c.Node.Operators.Show(c.Context(), who.ID)
	s.Password, s.SecondFactor, s.Recovery = o.Password, o.SecondFactor, o.Recovery
	return s, err
}

func viewRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/self/views", Summary: "Lists as the caller saved them",
			Query: []api.Param{{Name: "page", Type: "string", Text: "of this page alone"}},
			Do: api.Get(func(c *api.Call) (api.List[operators.View], error) {
				list, err := n.Operators.Views(c.Context(), c.Who.ID, c.Arg("page"))
				return listOf(list), err
			}),
		},
		{
			Method: "POST", Path: "/self/views",
			Alters: "/self/views", Summary: "Save a list as it is shown; one of that page and name is replaced",
			Do: api.Do(func(c *api.Call, in operators.View) (operators.View, error) {
				return n.Operators.SaveView(c.Context(), c.Who.ID, in)
			}),
		},
		{
			Method: "PUT", Path: "/self/views/{view}",
			Alters: "/self/views", Summary: "Call a saved view otherwise",
			Do: api.Do(func(c *api.Call, in ViewName) (operators.View, error) {
				return n.Operators.RenameView(c.Context(), c.Who.ID, c.Var("view"), in.Name)
			}),
		},
		{
			Method: "DELETE", Path: "/self/views/{view}",
			Alters: "/self/views", Summary: "Forget a saved view",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Operators.DeleteView(c.Context(), c.Who.ID, c.Var("view"))
			}),
		},
		{
			Method: "GET", Path: "/self/tokens", Summary: "The caller's own API tokens, without their secrets", Columns: identity.APIColumns,
			Do: api.Get(func(c *api.Call) (api.List[identity.APIToken], error) {
				return api.Listing(c, func(ctx context.Context, q store.Query) ([]identity.APIToken, int, error) {
					if c.Who.ID == "" {
						return nil, 0, operators.ErrNobody
					}
					q.Only = map[string][]string{"owner": {c.Who.ID}}
					return n.Identity.APITokens(ctx, q)
				})
			}),
		},
		{
			Method: "POST", Path: "/self/tokens",
			Alters: ownTokensAlter, Summary: "Make an API token of the caller's own, with no more than their role, for their part of the site",
			Do: api.Do(func(c *api.Call, in NewAPI) (identity.APIToken, error) { return newOwn(c, n, in) }),
		},
		{
			Method: "DELETE", Path: "/self/tokens/{id}",
			Alters: ownTokensAlter, Summary: "Revoke one of the caller's own API tokens",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Identity.RevokeOwnToken(c.Context(), c.Who.ID, c.Var("id"))
			}),
		},
	}
}

func newOwn(c *api.Call, n *node.Node, in NewAPI) (identity.APIToken, error) {
	if c.Who.ID == "" {
		return identity.APIToken{}, operators.ErrNobody
	}
	if !in.Part.Whole() {
		return identity.APIToken{}, store.Invalid("an own token is good for its owner's part of the site: leave the part out")
	}
	if err := c.Who.Require(in.Scope); err != nil {
		return identity.APIToken{}, err
	}
	until, err := ends(n.Now(), in.Hours, apiHours)
	if err != nil {
		return identity.APIToken{}, err
	}
	name := strings.TrimSpace(in.Name)
	return n.Identity.NewAPIToken(c.Context(), identity.APIToken{Name: name, Scope: in.Scope, Owner: c.Who.ID, Expires: until})
}
