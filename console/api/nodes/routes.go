// Package nodes holds the routes of /api/v1 about the nodes of the site: how they fare, who joins, votes, leads and goes.
package nodes

import (
	"context"
	"strings"
	"time"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/store"
	"thatch/node/store/lists"
)

// Node is how a node of the site fares. What is not known is left out.
type Node = membership.Node

// Change says whether a node is to vote.
type Change struct {
	Votes bool `json:"votes"`
}

// Lead names the node that leads, or is to.
type Lead struct {
	Node string `json:"node"` // id or name; in a request "": whichever is best
}

// NewToken is a node token to make.
type NewToken struct {
	Name  string `json:"name"`            // what it is for
	Hours int    `json:"hours,omitempty"` // how long it is good, 0: a day
}

// Made is a node token as it was made, with the command that uses it.
type Made struct {
	members.Token
	Address string `json:"address"` // of this node, https://HOST:PORT
	Command string `json:"command"` // to be given on the new node's machine
}

const (
	tokenHours = 24
	maxHours   = 30 * 24
)

var columns = []lists.Column[Node]{
	{Name: "id", Search: true, Value: func(n Node) any { return n.ID }},
	{Name: "name", Search: true, Value: func(n Node) any { return n.Name }},
	{Name: "role", Value: func(n Node) any { return n.Role }},
	{Name: "living", Kind: store.Flag, Value: func(n Node) any { return n.Living }},
	{Name: "address", Search: true, Value: func(n Node) any { return n.Address }},
	{Name: "version", Value: func(n Node) any { return n.Version }},
	{Name: "index", Kind: store.Number, Value: func(n Node) any { return int(n.Index) }},
	{Name: "lag", Kind: store.Number, Value: func(n Node) any { return int(n.Lag) }},
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return append([]api.Route{
		{
			Method: "GET", Path: "/site/nodes", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "The nodes of the site: role, index, disk, certificate, version, last contact",
			Columns: lists.ColumnNames(columns),
			Do: api.GetList(func(ctx context.Context, q store.Query) ([]Node, int, error) {
				return lists.Select(q, n.Sisters().Report(ctx).Nodes, columns)
			}),
		},
		{
			Method: "GET", Path: "/site/status", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "How the site fares: who leads, what is wrong, and what to do",
			Do: api.Get(func(c *api.Call) (membership.Report, error) { return n.Sisters().Report(c.Context()), nil }),
		},
		{
			Method: "DELETE", Path: "/site/nodes/{node}", Alters: "/site/nodes?id={node}#name,votes", Scope: identity.Administrator,
			Summary: "Shut a node out for ever, by its id or name", Query: []api.Param{{Name: "reason", Type: "string", Text: "why, for the record and for whoever starts that node"}},
			Do: api.Get(func(c *api.Call) (api.None, error) {
				_, err := n.Sisters().Remove(c.Context(), c.Var("node"), c.Arg("reason"))
				return api.None{}, err
			}),
		},
		{
			Method: "PUT", Path: "/site/nodes/{node}", Alters: "/site/nodes?id={node}#name,votes", Scope: identity.Administrator,
			Summary: "Have a node vote, or hold everything without a vote",
			Do: api.Do(func(c *api.Call, in Change) (members.Node, error) {
				return n.Sisters().SetVotes(c.Context(), c.Var("node"), in.Votes)
			}),
		},
		{
			Method: "PUT", Path: "/site/leader", Alters: "/site/status#leader", Scope: identity.Administrator, Summary: "Hand the lead to a node, or to whichever is best",
			Do: api.Do(func(c *api.Call, in Lead) (Lead, error) {
				leader, err := n.Sisters().HandOver(c.Context(), in.Node)
				return Lead{leader}, err
			}),
		},
	}, append(tokenRoutes(n), gossipRoutes(n)...)...)
}

func tokenRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/node-tokens", Scope: identity.Administrator, Summary: "Tokens with which nodes join, without their secrets",
			Columns: members.TokenColumns, Do: api.GetList(n.Members.Tokens),
		},
		{
			Method: "POST", Path: "/node-tokens", Alters: "/node-tokens?id={id}", Scope: identity.Administrator,
			Summary: "Make a token for one node; the answer is the only place where its text stands",
			Do: api.Do(func(c *api.Call, in NewToken) (Made, error) {
				if in.Hours == 0 {
					in.Hours = tokenHours
				}
				if in.Hours < 0 || in.Hours > maxHours {
					return Made{}, store.Invalid("a node token lasts 1 hour to thirty days, not %d hours", in.Hours)
				}
				made, err := n.Members.NewToken(c.Context(), members.Token{Name: in.Name, Expires: n.Now().Add(time.Duration(in.Hours) * time.Hour)})
				return Made{made, n.URL(), command(n.URL(), made.Token)}, err
			}),
		},
		{
			Method: "DELETE", Path: "/node-tokens/{id}", Alters: "/node-tokens?id={id}", Scope: identity.Administrator,
			Summary: "Revoke a node token that nobody used",
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Members.RevokeToken(c.Context(), c.Var("id"))
			}),
		},
	}
}

// command is what is to be given on the machine of a node that joins.
func command(address, token string) string {
	return strings.Join([]string{"thatch node join --site-node", address, "--token", token}, " ")
}
