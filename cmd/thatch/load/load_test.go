package load_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"thatch/agentapi"
	"thatch/agentapi/server"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/load"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/nodetest"
)

// site is a running node with a catalog of some updates.
func site(t *testing.T, limit int) (*node.Node, agentapi.Token) {
	t.Helper()
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/agent/v1/": server.New(n)})
	docs := []document.Document{bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{Name: "KB1", Source: "sdp"})}
	for i := range 60 {
		id := fmt.Sprintf("u%04d", i)
		docs = append(docs, bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
			Name: id, Bulletin: "b1", Source: "sdp", Title: id, Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
		}))
	}
	bulletinstest.Save(t, n.Bulletins, "sdp", "file", docs...)
	made, err := n.Identity.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{Name: "load", Group: "load", Limit: limit, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	token, err := agentapi.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	return n, token
}

func TestEveryAgentReports(t *testing.T) {
	const agents = 12
	n, token := site(t, agents)
	closed := "https://127.0.0.1:1" // agents dealt out to it go to the other
	phases, err := load.Run(t.Context(), load.Config{
		Nodes: []string{"https://" + n.Address(), closed}, Token: token, Agents: agents, Connections: 4, Calls: 3, For: 300 * time.Millisecond, Seed: 7,
	})
	if err != nil || len(phases) != 4 {
		t.Fatalf("%+v, %v", phases, err)
	}
	for i, p := range phases {
		if p.Calls < 1 || p.Rate <= 0 || p.P50 <= 0 || p.P99 < p.P50 || p.Longest < p.P99 || p.Refused > 0 {
			t.Errorf("%+v", p)
		}
		if i > 0 && p.Failed > 0 {
			t.Errorf("%s: %d failed: %s", p.Name, p.Failed, p.Error)
		}
	}
	if phases[0].Calls != agents || phases[0].Failed != agents/2 || phases[1].Calls != agents {
		t.Errorf("enrolled and reported: %+v", phases[:2])
	}
	members := n.Computers.Computers()
	if len(members) != agents {
		t.Fatalf("the site has %d computers, want %d", len(members), agents)
	}
	for _, c := range members {
		if !c.Simulated || !strings.HasPrefix(c.Name, "load-") || c.Group != "load" {
			t.Errorf("a computer of the load: %+v", c)
		}
	}
}

// TestTokenThatIsUsedUp ends with what the node says, not with a figure.
func TestTokenThatIsUsedUp(t *testing.T) {
	n, token := site(t, 2)
	phases, err := load.Run(t.Context(), load.Config{
		Nodes: []string{"https://" + n.Address()}, Token: token, Agents: 3, Connections: 1, Calls: 1, For: time.Second,
	})
	if err == nil || !strings.Contains(err.Error(), "2 of 3 agents") || len(phases) != 1 {
		t.Errorf("%+v, %v", phases, err)
	}
}

func run(t *testing.T, line ...string) (out string, err error) {
	t.Helper()
	app := cli.New("test")
	var stdout, stderr bytes.Buffer
	app.Out, app.Err = &stdout, &stderr
	root := &cobra.Command{Use: "thatch"}
	app.Bind(root)
	root.AddCommand(load.Command(app))
	root.SetArgs(append([]string{"load"}, line...))
	err = root.ExecuteContext(t.Context())
	return stdout.String(), err
}

func TestCommand(t *testing.T) {
	n, token := site(t, 0)
	good := []string{"--node", "https://" + n.Address(), "--enrol", token.String(), "--agents", "2", "--connections", "1", "--for", "50ms"}
	out, err := run(t, append(good, "--json")...)
	var phases []load.Phase
	if err != nil || json.Unmarshal([]byte(out), &phases) != nil || len(phases) != 4 || phases[3].Name != load.PhaseReport {
		t.Errorf("%s: %v", out, err)
	}
	if out, err = run(t, good...); err != nil || !strings.Contains(out, load.PhaseCheckIn) {
		t.Errorf("%s: %v", out, err)
	}
	for _, c := range []struct {
		line  []string
		wants string
	}{
		{nil, "--enrol"},
		{[]string{"--enrol", "tt1-x"}, "thatch tokens create"},
		{[]string{"--enrol", token.String()}, "no node is named"},
		{append(good, "--agents", "0"), "at least one"},
		{append(good, "--calls", "0"), "at least one"},
		{append(good, "--rate", "-1"), "less than nothing"},
		{append(good, "--node", "http://x"), "TLS"},
	} {
		if _, err := run(t, c.line...); cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%v: %v, want %q", c.line, err, c.wants)
		}
	}
}
