// Package apitest starts nodes with an operators' door for tests.
package apitest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"thatch/console/api"
	"thatch/console/api/catalog"
	"thatch/console/api/client"
	"thatch/console/api/evaluation"
	"thatch/console/api/families"
	"thatch/console/api/hierarchy"
	"thatch/console/api/nodes"
	"thatch/console/api/operators"
	"thatch/console/api/overview"
	"thatch/console/api/payloads"
	"thatch/console/api/policies"
	"thatch/console/api/reports"
	"thatch/console/api/tree"
	"thatch/console/api/uploads"
	"thatch/console/api/vulnerabilities"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/tasks"
)

// Start runs a node with /api/v1 and returns it with a client that has come through its local door.
func Start(t testing.TB) (*node.Node, *client.Client) {
	t.Helper()
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, Routes(n)...)})
	return n, Local(t, n)
}

// Routes are those of the nouns that have packages of their own and need nothing but the node.
func Routes(n *node.Node) []api.Route {
	return slices.Concat(catalog.Routes(n), hierarchy.Routes(n), payloads.Routes(n), operators.Routes(n), overview.Routes(n), policies.Routes(n), reports.Routes(n),
		tree.Routes(n), vulnerabilities.Routes(n), nodes.Routes(n), families.Routes(n), uploads.Routes(n), evaluation.Routes(n))
}

// Local is a client of a running node through the local door.
func Local(t testing.TB, n *node.Node) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Dir: n.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Token makes an API token on a running node.
func Token(t testing.TB, n *node.Node, scope identity.Scope) string {
	t.Helper()
	made, err := n.Identity.NewAPIToken(t.Context(), identity.APIToken{Name: "test " + string(scope), Scope: scope, Expires: n.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// Remote is a client of a running node over TLS.
func Remote(t testing.TB, n *node.Node, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		Server: "https://" + n.Address(), Token: token, Fingerprint: identity.Fingerprint(n.Identity.Authority()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Run starts what a path of the API starts, and waits for its end.
func Run(t testing.TB, c *client.Client, path string, in any) tasks.Run {
	t.Helper()
	var started api.Run
	if err := c.Post(t.Context(), path, in, &started); err != nil {
		t.Fatal(err)
	}
	ended, err := c.WaitRun(t.Context(), started.Run, func(tasks.Run) {})
	if err != nil {
		t.Fatal(err)
	}
	return ended
}
