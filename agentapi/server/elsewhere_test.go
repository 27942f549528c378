package server_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"thatch/agentapi"
	"thatch/agentapi/server"
	"thatch/node"
	"thatch/node/bulletins/holdings"
	"thatch/node/nodetest"
	"thatch/node/store"
)

// A computer that asks a node for a payload that another one holds gets it from the node that it asked, ranges included; what
// no node gives is to be asked for again, and what none is on record for is not held.
func TestPayloadOfAnotherNode(t *testing.T) {
	if testing.Short() {
		t.Skip("several nodes in one process: not in short runs")
	}
	nodes := nodetest.NewSiteWith(t, nodetest.SiteConfig{Nodes: 2, Doors: func(n *node.Node) map[string]http.Handler {
		return map[string]http.Handler{"/agent/v1/": server.New(n)}
	}})
	text := strings.Repeat("payload ", 50_000)
	leader, other := nodes.Leader(), &site{Node: nodes.Node(nodes.Follower())}
	info, err := leader.Content.Put(t.Context(), "", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	nowhere := strings.Repeat("ab", 32)
	applied, err := leader.Writer().Write(t.Context(), store.Batch{
		Actor: "task test", Reason: "hold", Topics: []string{holdings.Topic}, Statements: []store.Statement{
			holdings.Add(info.SHA256, nodes.ID(nodes.Leads()), info.Size), holdings.Add(nowhere, nodes.ID(nodes.Leads()), 7),
		},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
	other.token = other.newToken(t, 0)
	m := other.enrol(t, "pc")
	nodes.Until("the nodes have met", func() error {
		for _, n := range other.Sisters().Fellows() {
			if !n.Living {
				return errors.New(n.Name + " does not answer")
			}
		}
		_, err := holdings.Of(store.AtLeast(t.Context(), applied.Index), other.Reader(), info.SHA256)
		return err
	})
	if other.Content.Has(info.SHA256) {
		t.Fatal("the other node holds it already: this test tests nothing")
	}
	if got := fetch(t, m, info.SHA256, "bytes=7-14"); got != text[7:15] {
		t.Errorf("a range is %q", got)
	}
	if got := fetch(t, m, strings.ToUpper(info.SHA256), ""); got != text {
		t.Errorf("%d bytes of %d came", len(got), len(text))
	}
	if file, err := holdings.Of(t.Context(), other.Reader(), info.SHA256); err != nil || len(file.Nodes) != 2 {
		t.Errorf("both hold it, and on record are %v, %v", file.Nodes, err)
	}
	for sum, status := range map[string]int{nowhere: http.StatusServiceUnavailable, strings.Repeat("cd", 32): http.StatusNotFound, "no digest": http.StatusBadRequest} {
		response, err := m.HTTP().Get("https://" + other.Address() + agentapi.PathPayload + strings.ReplaceAll(sum, " ", "%20"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != status || (status == http.StatusServiceUnavailable) != (response.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %s %s, want %d", sum, response.Status, body, status)
		}
	}
}
