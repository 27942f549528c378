package operators

import (
	"time"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/store"
)

// NewEnrolment asks for an enrolment token.
type NewEnrolment struct {
	Name  string `json:"name"`
	Group string `json:"group,omitempty"` // computers enrolled with it belong to
	Limit int    `json:"limit,omitempty"` // uses; 0: any number
	Hours int    `json:"hours,omitempty"` // it lasts; 0: 30 days
}

// NewAPI asks for an API token.
type NewAPI struct {
	Name  string         `json:"name"`
	Scope identity.Scope `json:"scope"`
	Part  identity.Part  `json:"part,omitzero"`   // of the site that it is good for; absent: the whole
	Hours int            `json:"hours,omitempty"` // it lasts; 0: 90 days
}

const (
	enrolmentHours = 30 * 24
	apiHours       = 90 * 24
	maxHours       = 10 * 366 * 24
)

// Ends is when something ends that lasts for hours from now; other stands for 0.
func ends(now time.Time, hours, other int) (time.Time, error) {
	if hours == 0 {
		hours = other
	}
	if hours < 0 || hours > maxHours {
		return time.Time{}, store.Invalid("a token lasts 1 hour to 10 years")
	}
	return now.Add(time.Duration(hours) * time.Hour), nil
}

func tokenRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/tokens/enrolment", Scope: identity.Administrator, Summary: "Enrolment tokens, without their secrets",
			Columns: identity.EnrolmentColumns, Do: api.GetList(n.Identity.EnrolmentTokens),
		},
		{
			Method: "GET", Path: "/tokens/api", Scope: identity.Administrator, Summary: "API tokens, without their secrets",
			Columns: identity.APIColumns, Do: api.GetList(n.Identity.APITokens),
		},
		{
			Method: "POST", Path: "/tokens/enrolment",
			Alters: "/tokens/enrolment?id={id}", Scope: identity.Administrator,
			Summary: "Make an enrolment token; the answer is the only place where its text stands",
			Do: api.Do(func(c *api.Call, in NewEnrolment) (identity.EnrolmentToken, error) {
				until, err := ends(n.Now(), in.Hours, enrolmentHours)
				if err != nil {
					return identity.EnrolmentToken{}, err
				}
				return n.Identity.NewEnrolmentToken(c.Context(),
					identity.EnrolmentToken{Name: in.Name, Group: in.Group, Limit: in.Limit, Expires: until})
			}),
		},
		{
			Method: "POST", Path: "/tokens/api",
			Alters: "/tokens/api?id={id}", Scope: identity.Administrator,
			Summary: "Make an API token; the answer is the only place where its text stands",
			Do: api.Do(func(c *api.Call, in NewAPI) (identity.APIToken, error) {
				if err := namePart(c, &in.Part); err != nil {
					return identity.APIToken{}, err
				}
				until, err := ends(n.Now(), in.Hours, apiHours)
				if err != nil {
					return identity.APIToken{}, err
				}
				return n.Identity.NewAPIToken(c.Context(), identity.APIToken{Name: in.Name, Scope: in.Scope, Part: in.Part, Expires: until})
			}),
		},
		{
			Method: "DELETE", Path: "/tokens/{id}",
			Alters: "/tokens/api?id={id} /tokens/enrolment?id={id}", Scope: identity.Administrator, Summary: "Revoke a token of either kind",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Identity.RevokeToken(c.Context(), c.Var("id"))
			}),
		},
		{
			Method: "GET", Path: "/audit", Scope: identity.Administrator, Summary: "Every change that people made, newest first",
			Columns: identity.AuditColumns, Do: api.GetList(n.Identity.Audit),
		},
	}
}
