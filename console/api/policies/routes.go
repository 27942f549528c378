// Package policies holds the routes of /api/v1 about what is ordered: software update policies and maintenance windows.
package policies

import (
	"context"
	"slices"
	"strconv"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/store"
)

// PolicyChange changes parts of a policy. Version is the one that was seen; 0 takes the present one.
type PolicyChange struct {
	policies.Edit
	Version int64 `json:"version,omitempty"`
}

// policyAlters is what people change of a policy.
const policyAlters = "/policies/{id}#id,policy,description,enabled,paused,bulletins,target,plan,override_windows,attempts,languages,update_list.enabled,update_list.command_line,digest"

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return slices.Concat(policyRoutes(n), outlookRoutes(n), windowRoutes(n))
}

func policyRoutes(n *node.Node) []api.Route {
	return append(policyVerbs(n), []api.Route{
		{
			Method: "GET", Path: "/policies", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "Software update policies and how far they are",
			Columns: policies.Columns(), Do: api.GetList(n.Policies.List),
		},
		{
			Method: "GET", Path: "/policies/{id}", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "A policy: what it pins, for whom, how far it is, what it waits for",
			Do: api.Get(func(c *api.Call) (*policies.Detail, error) { return n.Policies.Show(c.Context(), c.Var("id")) }),
		},
		{
			Method: "POST", Path: "/policies",
			Alters: policyAlters, Scope: identity.Operate, Summary: "Make a policy of staged bulletins", Reach: policyReach,
			Do: api.Do(func(c *api.Call, in policies.Draft) (policies.Created, error) {
				return n.Policies.Create(c.Context(), in)
			}),
		},
		{
			Method: "PUT", Path: "/policies/{id}",
			Alters: policyAlters, Scope: identity.Operate, Summary: "Change parts of a policy", Reach: policyReach,
			Do: api.Do(func(c *api.Call, in PolicyChange) (*policies.Detail, error) {
				before, err := n.Policies.Show(c.Context(), c.Var("id"))
				if err != nil {
					return nil, err
				}
				if err := n.Policies.Change(c.Context(), before.ID, in.Version, in.Edit); err != nil {
					return nil, err
				}
				return n.Policies.Show(c.Fresh(), before.ID)
			}),
		},
		{
			Method: "DELETE", Path: "/policies/{id}",
			Alters: policyAlters, Scope: identity.Operate, Summary: "Delete a policy", Reach: policyReach,
			Query: []api.Param{{Name: "version", Type: "integer", Text: "that was seen; without it the present one"}},
			Do: api.Get(func(c *api.Call) (api.None, error) {
				version, err := versionArg(c)
				if err != nil {
					return api.None{}, err
				}
				return api.None{}, n.Policies.Delete(c.Context(), c.Var("id"), version)
			}),
		},
		{
			Method: "POST", Path: "/policies/{id}/revise",
			Alters: policyAlters, Scope: identity.Operate, Summary: "Pin the present revisions of what a policy was made from", Reach: policyReach,
			Do: api.Do(func(c *api.Call, in api.Seen) (policies.Created, error) {
				return n.Policies.Revise(c.Context(), c.Var("id"), in.Version)
			}),
		},
	}...)
}

// policyVerbs are the changes that need nothing but a version.
func policyVerbs(n *node.Node) []api.Route {
	verb := func(name, summary string, do func(ctx context.Context, id string, version int64) error) api.Route {
		return api.Route{
			Method: "POST", Path: "/policies/{id}/" + name,
			Alters: policyAlters, Scope: identity.Operate, Summary: summary, Reach: policyReach,
			Do: api.Do(func(c *api.Call, in api.Seen) (*policies.Detail, error) {
				if err := do(c.Context(), c.Var("id"), in.Version); err != nil {
					return nil, err
				}
				return n.Policies.Show(c.Fresh(), c.Var("id"))
			}),
		}
	}
	return []api.Route{
		verb("enable", "Switch a policy on", func(ctx context.Context, id string, version int64) error {
			return n.Policies.Enable(ctx, id, version, true)
		}),
		verb("disable", "Switch a policy off", func(ctx context.Context, id string, version int64) error {
			return n.Policies.Enable(ctx, id, version, false)
		}),
		verb("pause", "Hold a policy's installs", func(ctx context.Context, id string, version int64) error {
			return n.Policies.Pause(ctx, id, version, true)
		}),
		verb("resume", "Let a policy's installs go on", func(ctx context.Context, id string, version int64) error {
			return n.Policies.Pause(ctx, id, version, false)
		}),
	}
}

func versionArg(c *api.Call) (int64, error) {
	text := c.Arg("version")
	if text == "" {
		return 0, nil
	}
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 {
		return 0, store.Invalid("version: %.40q is no number from 1", text)
	}
	return version, nil
}
