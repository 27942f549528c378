package hierarchy

import (
	"context"
	"slices"
	"strings"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/sites"
	"thatch/node/store"
)

func alarmRoutes(n *node.Node) []api.Route {
	about := []api.Param{
		{Name: "kind", Type: "string", Text: "of the alarm"},
		{Name: "subject", Type: "string", Text: "what it is about; empty where its kind has none"},
	}
	return []api.Route{
		{
			Method: "GET", Path: "/alarms", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "What calls for a person in the tree of sites, and what did",
			Columns: sites.AlarmColumns, Do: api.Get(func(c *api.Call) (api.List[sites.Alarm], error) {
				return api.Listing(c, func(ctx context.Context, q store.Query) ([]sites.Alarm, int, error) { return seenAlarms(c, n, q) })
			}),
		},
		{
			Method: "GET", Path: "/alarms/one", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "One alarm", Query: about, Needs: []string{"kind"},
			Do: api.Get(func(c *api.Call) (sites.Alarm, error) {
				beyond, err := Beyond(c)
				if err == nil && beyond(c.Arg("subject")) {
					err = c.Outside("the alarm is about another site")
				}
				if err != nil {
					return sites.Alarm{}, err
				}
				return alarm(c.Context(), n, c.Arg("kind"), c.Arg("subject"))
			}),
		},
		{
			Method: "DELETE", Path: "/alarms/one",
			Alters: "/alarms/one?kind={kind}&subject={subject}#-seen,last,count", Scope: identity.Operate, Query: about, Needs: []string{"kind"},
			Summary: "End an alarm that was seen to; it comes again when it is true again",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				if _, err := alarm(c.Context(), n, c.Arg("kind"), c.Arg("subject")); err != nil {
					return api.None{}, err
				}
				return api.None{}, n.Sites.Clear(c.Context(), c.Arg("kind"), c.Arg("subject"))
			}),
		},
	}
}

// Beyond says of an alarm's subject whether it is about a site below that is outside of the caller's part.
func Beyond(c *api.Call) (func(subject string) bool, error) {
	if c.Who.Part.Whole() {
		return func(string) bool { return false }, nil
	}
	below, err := c.Node.Sites.DescendantsOf(c.Context(), c.Node.Site().ID)
	if err != nil {
		return nil, err
	}
	var outside []string
	for _, id := range below {
		sees, err := c.SeesSite(id)
		if err != nil {
			return nil, err
		}
		if !sees {
			outside = append(outside, id)
		}
	}
	return func(subject string) bool {
		return slices.ContainsFunc(outside, func(id string) bool { return strings.Contains(subject, id) })
	}, nil
}

// seenAlarms are the alarms that are about the caller's part of the tree, or about this site.
func seenAlarms(c *api.Call, n *node.Node, q store.Query) ([]sites.Alarm, int, error) {
	if !c.Who.Part.Whole() {
		beyond, err := Beyond(c)
		if err != nil {
			return nil, 0, err
		}
		all, _, err := n.Sites.Alarms(c.Context(), store.Query{})
		if err != nil {
			return nil, 0, err
		}
		subjects := []string{}
		for _, a := range all {
			if !beyond(a.Subject) && !slices.Contains(subjects, a.Subject) {
				subjects = append(subjects, a.Subject)
			}
		}
		q.Only = map[string][]string{"subject": subjects}
	}
	return n.Sites.Alarms(c.Context(), q)
}

func alarm(ctx context.Context, n *node.Node, kind, subject string) (sites.Alarm, error) {
	list, _, err := n.Sites.Alarms(ctx, store.Query{})
	if err != nil {
		return sites.Alarm{}, err
	}
	for _, a := range list {
		if a.Kind == kind && a.Subject == subject {
			return a, nil
		}
	}
	return sites.Alarm{}, store.NotFound("alarm", strings.TrimSpace(kind+" "+subject))
}
