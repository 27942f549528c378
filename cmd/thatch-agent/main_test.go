package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/agent"
	"thatch/agent/facts"
	"thatch/agent/simulated"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
)

// run runs the command line in this process.
func run(t *testing.T, words ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := newProgram(&stdout, &stderr).command()
	cmd.SetArgs(words)
	err := cmd.ExecuteContext(context.Background())
	if err != nil {
		fmt.Fprintln(&stderr, err)
	}
	return stdout.String(), stderr.String(), exitCode(err)
}

// computer makes the file of a simulated computer that has version 1 of the sample program.
func computer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "computer.json")
	c, err := simulated.Create(path, simulated.Definition{Machine: facts.Machine{ID: "m1", Name: "SIM-1"}})
	if err != nil {
		t.Fatal(err)
	}
	set(t, c, "1")
	return path
}

func set(t *testing.T, c *simulated.Computer, version string) {
	t.Helper()
	if err := c.Change(simulated.Change{Registry: &simulated.RegistryChange{Key: `SOFTWARE\Sample`, Name: "Version", Text: version}}); err != nil {
		t.Fatal(err)
	}
}

// order makes the node order version 2, whose installer has an effect.
func order(t *testing.T, node *agentapitest.Node, effect simulated.Effect) {
	t.Helper()
	where := []string{"Key", "HKEY_LOCAL_MACHINE", "Subkey", `SOFTWARE\Sample`, "Value", "Version"}
	update := node.Document(t, document.Update, "u", nil, catalog.Update{
		Name: "Sample 2", Rules: catalog.Rules{Applicable: rule.Test("RegValueExists", where...), Installed: rule.Test("RegSz", append(where, "Comparison", "EqualTo", "Data", "2")...)},
	})
	content, err := simulated.Payload(effect)
	if err != nil {
		t.Fatal(err)
	}
	digest, size := node.PutPayload(content), int64(len(content))
	pack := node.Document(t, document.Package, "p", nil, catalog.Package{
		Update: "u", Name: "p", Files: []catalog.File{{Name: "setup.exe", Size: size}}, Installer: catalog.Installer{Type: catalog.EXE, File: "setup.exe"},
	})
	payload := node.Document(t, document.Payload, "p", nil, catalog.Payload{
		Package: "p", PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "setup.exe", SHA256: digest, Size: size}},
	})
	body := policy.Policy{
		Name: "policy", Plan: policy.Plan{When: policy.StartASAP}, Target: policy.Target{NeedsIt: true},
		Updates: []policy.Update{{Update: "u", Digest: update.Digest, Enabled: true, Packages: []policy.Pin{{ID: "p", Digest: pack.Digest, PayloadDigest: payload.Digest}}}},
	}
	node.SetUpdate(1, update)
	node.Order([]agentapi.AssignedPolicy{{
		Document: node.Document(t, document.Policy, "policy", nil, body),
		Updates: []agentapi.OrderedUpdate{{
			Number: 1, Update: update, Packages: []document.Document{pack}, Payloads: []document.Document{payload}, Held: true,
		}},
	}})
}

func installs(version string) simulated.Effect {
	return simulated.Effect{Changes: []simulated.Change{{Registry: &simulated.RegistryChange{Key: `SOFTWARE\Sample`, Name: "Version", Text: version}}}}
}

func TestLifeOnTheCommandLine(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	file, dir := computer(t), t.TempDir()
	flags := []string{"--data", dir, "--simulated", file}
	if out, _, code := run(t, append(flags, "status")...); code != exitOK || !strings.Contains(out, "not enrolled") {
		t.Fatalf("%d %s", code, out)
	}
	if _, errs, code := run(t, append(flags, "once")...); code != exitNotEnrolled {
		t.Fatalf("%d %s", code, errs)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(node.Token.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := run(t, append(flags, "enrol", "--node", node.URL(), "--token-file", token)...); code != exitOK || !strings.Contains(out, "(simulated) of site Test") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	order(t, node, simulated.Effect{Code: 7})
	if out, errs, code := run(t, append(flags, "once")...); code != exitInstall || !strings.Contains(out, "Installation Failed - Rescheduled") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	order(t, node, installs("2"))
	out, errs, code := run(t, append(flags, "once", "--json")...)
	var status agent.Status
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != exitOK {
		t.Fatalf("%d %v %s %s", code, err, out, errs)
	}
	if !status.Enrolled || !status.Simulated || len(status.Updates) != 1 || status.Updates[0].Status != agentapi.Installed || status.Counts.Installed != 1 || status.Error != "" {
		t.Fatalf("%+v", status)
	}
	if view := node.View(); !view.Facts.Simulated || !view.Enrolled.Simulated {
		t.Error("the site was not told that the computer is simulated")
	}
}

func TestExitCodes(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	other := agentapitest.NewNode(t, time.Now)
	used := node.Token
	used.Secret = strings.Repeat("a", 32)
	file := computer(t)
	for name, c := range map[string]struct {
		words []string
		want  int
	}{
		"help":             {nil, exitOK},
		"version":          {[]string{"version"}, exitOK},
		"facts":            {[]string{"facts"}, exitOK},
		"unknown command":  {[]string{"fly"}, exitUsage},
		"unknown flag":     {[]string{"status", "--fly"}, exitUsage},
		"argument":         {[]string{"status", "fly"}, exitUsage},
		"no node":          {[]string{"enrol", "--token", "x"}, exitUsage},
		"no token":         {[]string{"enrol", "--node", "https://x"}, exitUsage},
		"bad token":        {[]string{"enrol", "--node", node.URL(), "--token", "x"}, exitUsage},
		"plain http":       {[]string{"enrol", "--node", "http://127.0.0.1:1", "--token", node.Token.String()}, exitUsage},
		"second one plain": {[]string{"enrol", "--node", node.URL(), "--node", "http://127.0.0.1:1", "--token", node.Token.String()}, exitUsage},
		"no address":       {[]string{"enrol", "--node", "https://", "--token", node.Token.String()}, exitUsage},
		"another scheme":   {[]string{"enrol", "--node", "ftp://x", "--token", node.Token.String()}, exitUsage},
		"bent fingerprint": {[]string{"enrol", "--node", node.URL(), "--token", node.Token.String()[:60] + "xyz"}, exitUsage},
		"cut fingerprint":  {[]string{"enrol", "--node", node.URL(), "--token", node.Token.String()[:60]}, exitUsage},
		"missing file":     {[]string{"enrol", "--node", node.URL(), "--token-file", "/no/such/file"}, exitFailed},
		"token of another": {[]string{"enrol", "--node", node.URL(), "--token", other.Token.String()}, exitRefused},
		"unknown token":    {[]string{"enrol", "--node", node.URL(), "--token", used.String()}, exitRefused},
		"nobody there":     {[]string{"enrol", "--node", "https://127.0.0.1:1", "--token", node.Token.String()}, exitUnavailable},
		"no service verb":  {[]string{"service"}, exitUsage},
		"no such verb":     {[]string{"service", "fly"}, exitUsage},
	} {
		words := append([]string{"--data", t.TempDir(), "--simulated", file}, c.words...)
		if out, errs, code := run(t, words...); code != c.want {
			t.Errorf("%s: exit code %d, want %d\n%s%s", name, code, c.want, out, errs)
		}
	}
	if _, _, code := run(t, "--data", t.TempDir(), "--simulated", "/no/such/file", "facts"); code != exitFailed {
		t.Errorf("a simulated computer that is not there: %d", code)
	}
}

func TestEnrolAgain(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	node.Uses = 2
	words := []string{"--data", t.TempDir(), "--simulated", computer(t), "enrol", "--node", node.URL(), "--token", node.Token.String()}
	if _, errs, code := run(t, words...); code != exitOK {
		t.Fatal(errs)
	}
	if _, errs, code := run(t, words...); code != exitFailed || !strings.Contains(errs, "already") {
		t.Fatalf("%d %s", code, errs)
	}
	if _, errs, code := run(t, append(words, "--again")...); code != exitOK {
		t.Fatal(errs)
	}
}

func TestExitCodeOfErrors(t *testing.T) {
	for want, errs := range map[int][]error{
		exitOK:          {nil},
		exitLocked:      {fmt.Errorf("x: %w", agent.ErrLocked)},
		exitNotEnrolled: {agent.ErrNotEnrolled},
		exitRefused:     {agent.ErrClone, agentapi.ErrUntrusted, &agentapi.Error{Code: agentapi.CodeRetired}, &agentapi.Error{Code: "something new"}},
		exitUnavailable: {&agentapi.Error{Code: agentapi.CodeBusy}, &agentapi.Error{Text: "502 Bad Gateway"}},
		exitFailed:      {errors.New("x"), &agentapi.Error{Code: agentapi.CodeInvalid}},
	} {
		for _, err := range errs {
			if got := exitCode(err); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
		}
	}
}

// What the agent's program must never link.
func TestProgramLinksNoServer(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		cmd := exec.Command("go", "list", "-deps", ".")
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("skipped: go list does not run here: %v", err)
		}
		for _, pkg := range strings.Fields(string(out)) {
			for _, forbidden := range []string{"hashicorp/raft", "hashicorp/memberlist", "modernc.org/sqlite", "gorilla/mux", "thatch/node", "thatch/console"} {
				if strings.Contains(pkg, forbidden) {
					t.Errorf("%s: the agent links %s", system, pkg)
				}
			}
		}
	}
}

func TestRunEndsWhenAsked(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	dir, file := t.TempDir(), computer(t)
	if _, errs, code := run(t, "--data", dir, "--simulated", file, "enrol", "--node", node.URL(), "--token", node.Token.String()); code != exitOK {
		t.Fatal(errs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// The round is over when the site is asked for assignments; then the program is asked to end.
	reported := make(chan struct{})
	node.Lock()
	node.Fault = func(path string) *agentapi.Error {
		if path == agentapi.PathAssignments {
			close(reported)
		}
		return nil
	}
	node.Unlock()
	var stderr bytes.Buffer
	cmd := newProgram(&stderr, &stderr).command()
	cmd.SetArgs([]string{"--data", dir, "--simulated", file, "run"})
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	select {
	case <-reported:
	case <-time.After(30 * time.Second):
		t.Fatal("no round was made")
	}
	if _, _, code := run(t, "--data", dir, "--simulated", file, "once"); code != exitLocked {
		t.Errorf("a second agent in the folder: %d", code)
	}
	if _, errs, code := run(t, "--data", dir, "status"); code != exitOK {
		t.Errorf("status while it runs: %d %s", code, errs)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
	}
}
