// Package replicationtest starts sites that can be parents and children for tests.
package replicationtest

import (
	"net/http"
	"testing"
	"time"

	"thatch/console/api"
	"thatch/console/api/hierarchy"
	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/sites"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// Site runs a node of a site of its own, with the doors of operators and children.
func Site(t testing.TB, name string, languages ...string) *node.Node {
	t.Helper()
	return SiteWith(t, node.Config{Dir: t.TempDir(), Site: name, Languages: languages})
}

// SiteWith does so for a configuration.
func SiteWith(t testing.TB, cfg node.Config) *node.Node {
	t.Helper()
	n := nodetest.NewWith(t, cfg)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, hierarchy.Routes(n)...), wire.Prefix: server.New(n)})
	return n
}

// URL is where a node answers.
func URL(n *node.Node) string { return "https://" + n.Address() }

// Token makes a child token at a parent.
func Token(t testing.TB, parent *node.Node) string {
	t.Helper()
	made, err := parent.Sites.NewToken(t.Context(), sites.Token{Name: "test", Expires: parent.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return made.Token
}
