// Package links holds the routes of /api/v1 about what passes between this site and its neighbours: the link with the
// parent, rounds of replication and verification, their history, and quarantine.
package links

import (
	"context"
	"errors"
	"net/http"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication"
	"thatch/replication/round"
	"thatch/replication/wire"
)

// Again names documents in quarantine that are to be tried again; none: all.
type Again struct {
	Documents []dataset.Key `json:"documents,omitempty"`
}

var quarantineColumns = []store.Column[replicas.Quarantined]{
	{Name: "kind", Value: func(q replicas.Quarantined) any { return string(q.Kind) }},
	{Name: "id", Value: func(q replicas.Quarantined) any { return q.ID }, Search: true},
	{Name: "type", Value: func(q replicas.Quarantined) any { return string(q.Type) }},
	{Name: "neighbour", Value: func(q replicas.Quarantined) any { return q.Neighbour }},
	{Name: "direction", Value: func(q replicas.Quarantined) any { return string(q.Direction) }},
	{Name: "reason", Value: func(q replicas.Quarantined) any { return string(q.Reason) }},
	{Name: "detail", Value: func(q replicas.Quarantined) any { return q.Detail }, Search: true},
	{Name: "origin", Value: func(q replicas.Quarantined) any { return q.Origin }},
}

// Routes are all of them.
func Routes(n *node.Node, link *replication.Link, rounds *round.Rounds) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/replication/link", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "How the link with the parent stands, with its rules",
			Do: api.Get(func(*api.Call) (replication.State, error) { return link.State(), nil }),
		},
		{
			Method: "POST", Path: "/replication/rounds", Scope: identity.Operate,
			Summary: "Replicate now, and verify: from the parent, or by asking children",
			Do: api.Do(func(c *api.Call, in round.Params) (api.Run, error) {
				run, err := rounds.Start(c.Context(), in)
				if errors.Is(err, wire.ErrNoLink) {
					err = &api.Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: err.Error()}
				}
				return api.Run{Run: run}, err
			}),
		},
		{
			Method: "GET", Path: "/replication/runs", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Columns: sites.RunColumns,
			Summary: "What went over the links with parent and children, newest first", Do: api.GetList(runs(n)),
		},
		{
			Method: "GET", Path: "/replication/runs/{id}", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "One run over a link, with both digests where it verified",
			Do: api.Get(func(c *api.Call) (Ran, error) { return oneRun(c.Context(), n, c.Var("id")) }),
		},
		{
			Method: "GET", Path: "/replication/quarantine", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Columns: store.ColumnNames(quarantineColumns),
			Summary: "Documents that could not be accepted, with the reason",
			Do: api.GetList(func(ctx context.Context, q store.Query) ([]replicas.Quarantined, int, error) {
				all, err := n.Replicas.Quarantine(ctx)
				if err != nil {
					return nil, 0, err
				}
				return store.Select(q, all, quarantineColumns)
			}),
		},
		{
			Method: "POST", Path: "/replication/quarantine/retry", Scope: identity.Operate,
			Summary: "Try documents in quarantine again with the next run",
			Do: api.Do(func(c *api.Call, in Again) (api.None, error) {
				keys := in.Documents
				if len(keys) == 0 {
					all, err := n.Replicas.Quarantine(c.Context())
					if err != nil {
						return api.None{}, err
					}
					for _, q := range all {
						keys = append(keys, q.Key)
					}
				}
				return api.None{}, n.Replicas.Retry(c.Context(), keys...)
			}),
		},
	}
}
