package operators_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/operators"
	"thatch/console/api/apitest"
	"thatch/node"
	"thatch/node/identity"
	room "thatch/node/operators"
	"thatch/node/operators/operatorstest"
)

// thatch runs one command line in this process with a text on its standard input, and returns what it printed and its
// exit code.
func thatch(t *testing.T, input string, line ...string) (out, said string, code int) {
	t.Helper()
	app := cli.New("test")
	var stdout, stderr bytes.Buffer
	app.In, app.Out, app.Err = strings.NewReader(input), &stdout, &stderr
	root := &cobra.Command{Use: "thatch"}
	app.Bind(root)
	root.AddCommand(operators.Commands(app)...)
	root.SetArgs(line)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		stderr.WriteString(err.Error())
	}
	return stdout.String(), stderr.String(), cli.ExitCode(err)
}

// want runs a command and holds its exit code and what it says.
func want(t *testing.T, at []string, input string, code int, says string, line ...string) string {
	t.Helper()
	out, said, got := thatch(t, input, append(line, at...)...)
	if got != code || !strings.Contains(out+said, says) {
		t.Errorf("thatch %s: exit code %d, want %d and %q\n%s%s", strings.Join(line, " "), got, code, says, out, said)
	}
	return out
}

func TestOperators(t *testing.T) {
	n, _ := apitest.Start(t)
	at := []string{"--data", n.Dir()}
	want(t, at, "", 0, "/sign-in/first?code=", "operators", "first-link")
	want(t, at, "", 0, "/sign-in/first?code=", "operators", "create", "anna", "--scope", "administrator", "--display", "Anna Meier")
	want(t, at, "", 0, "/sign-in/first?code=", "operators", "create", "otto", "--scope", "operator", "--groups", "berlin,potsdam", "--sites", "Test")
	want(t, at, "", 4, "already", "operators", "create", "otto")
	want(t, at, "", 2, "characters", "operators", "create", "o t t o")
	want(t, at, "", 2, "scope", "operators", "create", "x", "--scope", "king")
	want(t, at, "", 3, "Atlantis", "operators", "create", "x", "--sites", "Atlantis")
	want(t, at, "", 0, "berlin, potsdam", "operators", "list", "--filter", "scope=operator")
	want(t, at, "", 0, "Anna Meier", "operators", "show", "ANNA")
	want(t, at, "", 0, "approver", "operators", "change", "otto", "--scope", "approver")
	want(t, at, "", 2, "opposite", "operators", "change", "otto", "--whole-site", "--groups", "x")
	out := want(t, at, "", 0, `"scope": "approver"`, "operators", "change", "otto", "--whole-site", "--json")
	if strings.Contains(out, "berlin") {
		t.Errorf("the part is left: %s", out)
	}
	want(t, at, "", 4, "only administrator", "operators", "lock", "anna")
	want(t, at, "", 0, "disabled:                yes", "operators", "lock", "otto")
	want(t, at, "", 0, "disabled:                no", "operators", "unlock", "otto")
	want(t, at, "", 0, "/sign-in/first?code=", "operators", "reset", "otto", "--second-factor")
	want(t, at, "", 0, "none", "operators", "sessions", "list", "otto")
	want(t, at, "", 0, "ended", "operators", "sessions", "end", "otto")
	want(t, at, "", 3, "session", "operators", "sessions", "end", "otto", "no-such-session")
	want(t, at, "", 0, "deleted", "operators", "delete", "otto")
	want(t, at, "", 3, "not found", "operators", "show", "otto")
	want(t, at, "", 2, "no operator with an account", "self", "preferences", "show")
}

// own is where a node is asked with an operator's own token.
func own(t *testing.T, n *node.Node, o room.Operator) []string {
	t.Helper()
	made, err := n.Identity.NewAPIToken(t.Context(), identity.APIToken{Name: "cli", Scope: o.Scope, Owner: o.ID, Expires: n.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--server", "https://" + n.Address(), "--token", made.Token, "--fingerprint", identity.Fingerprint(n.Identity.Authority())}
}

func TestSelf(t *testing.T) {
	n, _ := apitest.Start(t)
	at := own(t, n, operatorstest.Make(t, n.Operators, room.Draft{Name: "anna", Scope: identity.Operate}))
	want(t, at, "", 0, "viewer, operator", "self", "show")
	want(t, at, "", 0, "Europe/Berlin", "self", "preferences", "set", "--language", "de", "--time-zone", "Europe/Berlin")
	want(t, at, "", 0, "dark", "self", "preferences", "set", "--theme", "dark")
	want(t, at, "", 0, "de", "self", "preferences", "show")
	want(t, at, "", 2, "fr", "self", "preferences", "set", "--language", "fr")
	out := want(t, at, "", 0, "Open", "self", "views", "save", "--page", "/bulletins", "--name", "Open", "--query", "missing=>0", "--json")
	var view room.View
	if err := json.Unmarshal([]byte(out), &view); err != nil {
		t.Fatal(err)
	}
	want(t, at, "", 0, "Closed", "self", "views", "rename", view.ID, "Closed")
	want(t, at, "", 0, "Closed", "self", "views", "list")
	want(t, at, "", 0, "deleted", "self", "views", "delete", view.ID)
	want(t, at, "", 3, "view", "self", "views", "delete", view.ID)
	want(t, at, operatorstest.Password+"\nshort\n", 2, "12 characters", "self", "password")
	want(t, at, "wrong\na wholly other one\n", 2, "present password", "self", "password")
	want(t, at, operatorstest.Password+"\n", 2, "new password", "self", "password")
	want(t, at, operatorstest.Password+"\na wholly other one\n", 0, "changed", "self", "password")
	want(t, at, "a wholly other one\n", 0, "otpauth://", "self", "totp", "begin")
	want(t, at, "", 2, "not right", "self", "totp", "confirm", "000000")
	want(t, at, "a wholly other one\n", 0, "", "self", "totp", "remove")
	want(t, at, "", 0, "ta1-", "self", "tokens", "create", "--name", "laptop", "--for", "72h")
	want(t, at, "", 2, "whole hours", "self", "tokens", "create", "--name", "x", "--for", "90m")
	want(t, at, "", 1, "takes the scope", "self", "tokens", "create", "--name", "x", "--scope", "administrator")
	want(t, at, "", 0, "laptop", "self", "tokens", "list")
	want(t, at, "", 0, "none", "self", "sessions", "list")
	want(t, at, "", 0, "ended", "self", "sessions", "end")
	want(t, at, "", 1, "scope administrator", "operators", "list")
}
