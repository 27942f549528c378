package nodes

import (
	"context"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/gossip/keys"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/lists"
)

// GossipKey is a key with which the nodes of the site encrypt what they tell each other of who lives.
type GossipKey struct {
	keys.Key
	State string `json:"state"`
}

// States of a GossipKey.
const (
	GossipComing = "on its way"
	GossipInUse  = "in use"
	GossipFormer = "former"
)

var gossipColumns = []lists.Column[GossipKey]{
	{Name: "number", Kind: store.Number, Value: func(k GossipKey) any { return k.Number }},
	{Name: "state", Value: func(k GossipKey) any { return k.State }},
	{Name: "made", Kind: store.Time, Value: func(k GossipKey) any { return k.Made }},
	{Name: "used", Kind: store.Time, Value: func(k GossipKey) any { return k.Used }},
}

func gossipRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/site/gossip-keys", Scope: identity.Viewer, Reach: api.Reach{Free: true},
			Summary: "The keys with which nodes encrypt what they tell each other of who lives; the keys themselves are in no answer",
			Columns: lists.ColumnNames(gossipColumns),
			Do: api.GetList(func(ctx context.Context, q store.Query) ([]GossipKey, int, error) {
				all, err := n.Gossip.Keys.All(ctx)
				if err != nil {
					return nil, 0, err
				}
				return lists.Select(q, judged(all), gossipColumns)
			}),
		},
		{
			Method: "POST", Path: "/site/gossip-keys", Alters: "/site/gossip-keys?number={number}", Scope: identity.Administrator,
			Summary: "Have the site change that key; nodes go on talking meanwhile",
			Do: api.Get(func(c *api.Call) (GossipKey, error) {
				nodes, err := n.Members.Nodes(c.Context())
				if err != nil {
					return GossipKey{}, err
				}
				made, err := n.Gossip.Keys.Rotate(c.Context(), nodes)
				return GossipKey{made, GossipComing}, err
			}),
		},
	}
}

// judged says which key is in use: the newest of those that ever were.
func judged(all []keys.Key) []GossipKey {
	list := make([]GossipKey, len(all))
	inUse := false
	for i := len(all) - 1; i >= 0; i-- {
		list[i] = GossipKey{all[i], GossipFormer}
		switch {
		case all[i].Used.IsZero():
			list[i].State = GossipComing
		case !inUse:
			list[i].State, inUse = GossipInUse, true
		}
	}
	return list
}
