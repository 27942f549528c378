package operators_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/operators"
	"thatch/console/api"
	routes "thatch/console/api/operators"
	"thatch/node"
	"thatch/node/nodetest"
)

// said runs a command at a node and returns what it printed.
func said(t *testing.T, n *node.Node, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	a := cli.New("test")
	a.Out, a.Err = &out, &out
	cmd := operators.Commands(a)[0]
	a.Bind(cmd)
	cmd.SetArgs(append(args, "--data", n.Dir()))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestCommands(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, routes.Routes(n)...)})
	for _, c := range []struct {
		args, want string
		fails      bool
	}{
		{"list", "none", false},
		{"first-link", "/sign-in/first?code=", false},
		{"create anna --scope operator --groups berlin", "/sign-in/first?code=", false},
		{"create anna", "anna", true},
		{"create bert --scope king", "scope", true},
		{"show anna", "berlin", false},
		{"list --filter scope=operator", "anna", false},
		{"change anna --scope approver --whole-site", "approver", false},
		{"change anna --whole-site --groups x", "", true},
		{"enter anna", "/sign-in/enter?code=", false},
		{"enter nobody", "nobody", true},
		{"lock anna", "yes", false},
		{"enter anna", "unlock", true},
		{"unlock anna", "approver", false},
		{"reset anna --second-factor", "/sign-in/first?code=", false},
		{"sessions list anna", "", false},
		{"sessions end anna", "ended", false},
		{"delete anna", "deleted", false},
		{"show anna", "anna", true},
	} {
		got, err := said(t, n, strings.Fields(c.args)...)
		if err != nil {
			got += err.Error()
		}
		if (err != nil) != c.fails || !strings.Contains(got, c.want) {
			t.Errorf("operators %s: %v\n%s", c.args, err, got)
		}
	}
	var made routes.Made
	if out, err := said(t, n, "create", "cleo", "--json"); err != nil || json.Unmarshal([]byte(out), &made) != nil || made.Name != "cleo" || made.Link.URL == "" {
		t.Errorf("as JSON: %v %s", err, out)
	}
}
