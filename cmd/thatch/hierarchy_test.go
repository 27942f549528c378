package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/console/api"
	"thatch/console/api/client"
	"thatch/node"
	"thatch/node/sites"
	"thatch/node/sites/hierarchy"
	"thatch/ringtest"
)

// addressOf is where the node of a folder answers.
func addressOf(t *testing.T, dir string) string {
	t.Helper()
	c, err := client.New(client.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var status node.Status
	if err := c.Get(t.Context(), "/site", nil, &status); err != nil {
		t.Fatal(err)
	}
	return status.Address
}

// TestTreeOverTheCommandLine joins, looks, changes, moves and leaves through the real program, unhappy paths among them.
func TestTreeOverTheCommandLine(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	top, berlin := t.TempDir(), t.TempDir()
	startNode(t, top, "--site", "Top", "--languages", "en,de")
	startNode(t, berlin, "--site", "Berlin", "--languages", "de,fr")
	at := "https://" + addressOf(t, top)
	run := func(dir string, code int, says string, args ...string) string {
		t.Helper()
		stdout, stderr, got := thatch(t, append(args, "--data", dir)...)
		if got != code || !strings.Contains(stdout+stderr, says) {
			t.Errorf("thatch %s: exit code %d, said %s%s; want %d and %q", strings.Join(args, " "), got, stdout, stderr, code, says)
		}
		return stdout
	}
	run(top, 2, "required flag", "children", "tokens", "create")
	run(top, 2, "whole hours", "children", "tokens", "create", "--name", "x", "--for", "90s")
	made := decoded[sites.Token](t, run(top, 0, "tc1-", "children", "tokens", "create", "--name", "Berlin", "--json"))
	run(berlin, 2, "required flag", "child", "join", "--parent", at)
	run(berlin, 2, "not a child token", "child", "join", "--parent", at, "--token", "nonsense")
	run(berlin, 5, "call the parent", "child", "join", "--parent", "https://127.0.0.1:1", "--token", made.Token)
	run(berlin, 4, "no parent to move from", "child", "move", "--parent", at, "--token", made.Token)
	run(berlin, 3, "has no parent", "child", "status")
	run(berlin, 3, "has no parent", "child", "leave")
	run(top, 4, "its own parent", "child", "join", "--parent", at, "--token", made.Token)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(made.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(berlin, 0, "this site is a child of Top", "child", "join", "--parent", at, "--token", "@"+file)
	run(berlin, 4, "leave it first", "child", "join", "--parent", at, "--token", made.Token)
	waitFor(t, func() bool {
		out, _, _ := thatch(t, "child", "status", "--data", berlin)
		return strings.Contains(out, "Standard data")
	})
	if said := run(berlin, 0, "Top", "child", "status"); strings.Contains(said, "position") || strings.Contains(said, "{") {
		t.Errorf("the status for people: %s", said)
	}
	run(berlin, 0, `"alerted": true`, "child", "status", "--json")
	run(top, 2, `--child "Berlin"`, "replication", "verify")
	run(top, 3, "not found", "replication", "digest", "--child", "Nowhere")
	run(top, 3, `"code":"not_found","error":"child \"Nowhere\": not found","exit":3`, "replication", "digest", "--child", "Nowhere", "--json")
	run(top, 3, `"code":"not_found"`, "children", "show", "Nowhere", "--json")
	run(top, 2, `"code":"invalid"`, "children", "show", "--json")
	run(top, 0, "Berlin", "children", "list")
	run(top, 0, "Berlin", "children", "tokens", "list")
	run(top, 4, "shut that one out", "children", "tokens", "revoke", made.ID)
	run(top, 3, "not found", "children", "tokens", "revoke", "none")

	waitFor(t, func() bool {
		out, _, _ := thatch(t, "hierarchy", "--data", top)
		return strings.Contains(out, "language-below")
	})
	tree := decoded[hierarchy.Hierarchy](t, run(top, 0, "", "hierarchy", "--json"))
	if len(tree.Sites) != 2 || tree.Sites[1].Name != "Berlin" || tree.Sites[1].Depth != 1 || tree.Sites[1].Link == nil ||
		strings.Join(tree.Sites[0].Lacking, ",") != "fr" || strings.Join(tree.Sites[1].Languages, ",") != "de,fr" {
		t.Errorf("hierarchy: %+v", tree)
	}
	run(top, 0, "  Berlin", "hierarchy")
	run(berlin, 0, "Berlin (this site)", "hierarchy")
	run(top, 0, "thatch site languages --add fr", "alarms", "show", "language-below", "fr")
	run(top, 3, "not found", "alarms", "show", "language-below", "it")
	run(top, 2, "a kind", "alarms", "show")
	run(top, 0, "fr", "site", "languages", "--add", "fr")
	run(top, 4, "de (Berlin)", "site", "languages", "--remove", "de")
	run(top, 4, "(Berlin)", "site", "languages", "en")
	run(top, 2, "not both", "site", "languages", "en", "--add", "fr")
	run(top, 0, "en, fr", "site", "languages", "--remove", "de", "--force")
	run(top, 0, "de, en, fr", "site", "languages", "--add", "de")
	run(berlin, 0, "Spree", "site", "rename", "Spree")

	rules := decoded[api.List[sites.Rule]](t, run(top, 0, "", "replication", "rules", "list", "--json"))
	if rules.Total != 4 {
		t.Errorf("rules: %+v", rules)
	}
	run(top, 0, "Standard data", "replication", "rules", "list")
	run(top, 2, "type is", "replication", "rules", "create", "--name", "x", "--type", "all")
	run(top, 3, "policy", "replication", "rules", "create", "--name", "x", "--type", "policies", "--policies", "none")
	run(top, 0, "Night", "replication", "rules", "create", "--name", "Night", "--type", "data", "--children", "Berlin", "--schedule", "0 1 * * *", "--verify", "20")
	run(top, 4, "there is a replication rule", "replication", "rules", "create", "--name", "night", "--type", "data")
	run(top, 0, "is off", "replication", "rules", "disable", "Night")
	run(top, 0, "is on", "replication", "rules", "enable", "Night")
	run(top, 0, "all", "replication", "rules", "change", "Night", "--children", "all", "--mode", "complete", "--schedule", "complete")
	run(top, 0, "complete", "replication", "rules", "show", "Night")
	run(top, 0, "deleted", "replication", "rules", "delete", "Night")
	run(top, 3, "not found", "replication", "rules", "delete", "Night")

	run(top, 2, "--rate", "children", "limit", "Berlin", "--rate", "fast")
	run(top, 2, "--window", "children", "limit", "Berlin", "--window", "tonight")
	run(top, 2, "at least one", "children", "limit", "Berlin")
	run(top, 0, "500000", "children", "limit", "Berlin", "--rate", "500k", "--window", "20:00+10h Europe/Berlin", "--window", "saturday,sunday 00:00+24h")
	run(top, 0, "Mitte", "children", "rename", "Berlin", "Mitte")
	run(top, 3, "not found", "children", "show", "Berlin")
	run(berlin, 2, "https://", "child", "address", "http://x")
	run(berlin, 0, at, "child", "address", strings.TrimPrefix(at, "https://"))
	run(top, 0, "shut out", "children", "revoke", "Mitte", "--reason", "test")
	for _, args := range [][]string{{berlin}, {top, "--child", "Mitte"}} { // no connection, at either end
		waitFor(t, func() bool {
			_, stderr, code := thatch(t, append([]string{"replication", "run", "--json", "--data"}, args...)...)
			return code == 5 && strings.Contains(stderr, `"code":"unavailable"`) && strings.Contains(stderr, "connect")
		})
	}
	run(top, 0, "removed", "children", "remove", "Mitte")
	run(top, 3, "not found", "children", "remove", "Mitte")
	run(berlin, 0, "no parent now", "child", "leave")
	if out := run(top, 0, "", "audit", "list", "-q", "child", "--json"); strings.Contains(out, made.Token) || !strings.Contains(out, "shut") && !strings.Contains(out, "revoke child") {
		t.Errorf("audit: %s", out)
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be")
		}
	}
}

// TestJoinByConfiguration: a site joins when it starts, is killed at odd moments meanwhile, and joins once.
func TestJoinByConfiguration(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	top, berlin := t.TempDir(), t.TempDir()
	startNode(t, top, "--site", "Top")
	at := "https://" + addressOf(t, top)
	made := sites.Token{}
	stdout, _, _ := thatch(t, "children", "tokens", "create", "--name", "Berlin", "--json", "--data", top)
	if err := json.Unmarshal([]byte(stdout), &made); err != nil {
		t.Fatal(err)
	}
	for kill := range 6 {
		cmd := program("node", "run", "--data", berlin, "--listen", "127.0.0.1:0", "--parent", at, "--parent-token", made.Token)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Somewhere between the start and long after the join.
		end := time.NewTimer(time.Duration(kill) * 120 * time.Millisecond)
		<-end.C
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	startNode(t, berlin, "--parent", at, "--parent-token", made.Token)
	waitFor(t, func() bool {
		_, _, code := thatch(t, "child", "status", "--data", berlin)
		return code == 0
	})
	stdout, _, _ = thatch(t, "children", "list", "--json", "--data", top)
	var children api.List[sites.Child]
	if err := json.Unmarshal([]byte(stdout), &children); err != nil || children.Total != 1 {
		t.Errorf("%+v, %v", children, err)
	}
}
