// Package nodetest starts nodes for tests.
package nodetest

import (
	"context"
	"net/http"
	"testing"

	"thatch/node"
	"thatch/node/operators/password"
)

// Cheap is what passwords cost in tests.
var Cheap = password.Cost{Memory: 8, Passes: 1, Threads: 1}

// New opens a node on a temporary folder, of a site that manages English and German. It does not run yet. It is closed
// with the test.
func New(t testing.TB) *node.Node {
	t.Helper()
	return NewWith(t, node.Config{Dir: t.TempDir(), Site: "Test", Languages: []string{"en", "de"}})
}

// NewWith opens a node as configured, by default at a free port of the loopback.
func NewWith(t testing.TB, cfg node.Config) *node.Node {
	t.Helper()
	n, err := open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func open(ctx context.Context, cfg node.Config) (*node.Node, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Passwords == (password.Cost{}) {
		cfg.Passwords = Cheap
	}
	return node.New(ctx, cfg)
}

// Run runs a node with doors mounted on it (prefix -> handler) until the test ends, or until the returned function,
// which waits for its end, is called.
func Run(t testing.TB, n *node.Node, doors map[string]http.Handler) (stop func()) {
	t.Helper()
	for prefix, h := range doors {
		n.Mount(prefix, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Listening():
	case err := <-ended:
		t.Fatalf("the node did not start: %v", err)
	}
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the node ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}
