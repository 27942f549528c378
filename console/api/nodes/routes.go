// Package nodes holds the routes of /api/v1 about the nodes of the site, as far as the one that answers knows them.
package nodes

import (
	"context"
	"strings"
	"time"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/disk"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/lists"
)

// Node is a member of the site. What the node that answers does not know of another one is left out.
type Node struct {
	ID          string      `json:"id"`
	Self        bool        `json:"self"` // the one that answers
	Role        string      `json:"role"` // leader, follower, candidate
	Address     string      `json:"address,omitempty"`
	Version     string      `json:"version,omitempty"`
	Started     time.Time   `json:"started,omitzero"`
	Index       uint64      `json:"index,omitempty"` // of the last batch in its database
	Lag         uint64      `json:"lag"`             // batches that are agreed on and not in its database yet
	Certificate time.Time   `json:"certificate_ends,omitzero"`
	Disk        *disk.Space `json:"disk,omitempty"` // of its data folder
	Database    int64       `json:"database_bytes,omitempty"`
	Problem     string      `json:"problem,omitempty"`
}

var columns = []lists.Column[Node]{
	{Name: "id", Search: true, Value: func(n Node) any { return n.ID }},
	{Name: "role", Value: func(n Node) any { return n.Role }},
	{Name: "address", Search: true, Value: func(n Node) any { return n.Address }},
	{Name: "version", Value: func(n Node) any { return n.Version }},
	{Name: "index", Kind: store.Number, Value: func(n Node) any { return int(n.Index) }},
	{Name: "lag", Kind: store.Number, Value: func(n Node) any { return int(n.Lag) }},
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{{
		Method: "GET", Path: "/site/nodes", Scope: identity.Viewer, Summary: "The nodes of the site: role, index, disk, certificate, version",
		Columns: lists.ColumnNames(columns),
		Do: api.GetList(func(ctx context.Context, q store.Query) ([]Node, int, error) {
			all, err := members(ctx, n)
			if err != nil {
				return nil, 0, err
			}
			return lists.Select(q, all, columns)
		}),
	}}
}

func members(ctx context.Context, n *node.Node) ([]Node, error) {
	status, err := n.Status(ctx)
	if err != nil {
		return nil, err
	}
	quorum, database := n.Quorum()
	var all []Node
	for _, voter := range quorum.Voters {
		m := Node{ID: voter.ID, Self: voter.ID == quorum.ID, Role: "follower"}
		if voter.ID == quorum.Leader {
			m.Role = "leader"
		}
		if m.Self {
			m.Role, m.Address, m.Version, m.Started = strings.ToLower(quorum.State), status.Address, status.Version, status.Started
			m.Index, m.Certificate, m.Database = quorum.Applied, n.Identity.NodeCertificate().NotAfter, database
			m.Lag = quorum.Committed - min(quorum.Applied, quorum.Committed)
			if space, err := disk.Of(n.Dir()); err != nil {
				m.Problem = err.Error()
			} else {
				m.Disk = &space
			}
		}
		all = append(all, m)
	}
	return all, nil
}
