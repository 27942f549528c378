package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/tasks"
	"thatch/ringtest"
)

// TestMain lets the test's own binary stand in for the program: real processes without building twice.
func TestMain(m *testing.M) {
	if os.Getenv("THATCH_TEST_RUN_MAIN") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "THATCH_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "THATCH_TEST_RUN_MAIN=1")
	return cmd
}

// thatch runs the program and returns what it printed and its exit code.
func thatch(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := program(args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if failed := cmd.Run(); failed != nil && cmd.ProcessState == nil {
		t.Fatal(failed)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// startNode runs a node as a process and returns when it answers.
func startNode(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := program(append([]string{"node", "run", "--data", dir, "--listen", "127.0.0.1:0"}, args...)...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	answers := make(chan bool, 1)
	var said strings.Builder
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "the node answers") {
				answers <- true
				break
			}
			said.WriteString(lines.Text() + "\n")
		}
		for lines.Scan() { // so that the node never waits for us
		}
		close(answers)
	}()
	if !<-answers {
		t.Fatalf("the node ended before it answered:\n%s", said.String())
	}
	return cmd
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	if _, text, code := thatch(t, "site", "show", "--data", dir); code != 5 || !strings.Contains(text, "thatch node run --data "+dir) {
		t.Errorf("without a node: %d %s", code, text)
	}
	startNode(t, dir, "--site", "Berlin", "--languages", "en,de")
	c, err := client.New(client.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var site node.Status
	if err := c.Get(t.Context(), "/site", nil, &site); err != nil {
		t.Fatal(err)
	}
	address := site.Address
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"version", 0, ""},
		{"site show", 0, ""},
		{"site show --json", 0, ""},
		{"tasks run housekeeping", 0, ""},
		{"tasks run nobody", 3, "nobody"},
		{"tasks cancel nobody", 3, "nobody"},
		{"tasks run", 2, "TASK"},
		{"tasks nonsense", 2, "nonsense"},
		{"nonsense", 2, "nonsense"},
		{"replication runs list", 2, `takes no arguments; got ["list"]`},
		{"site show --nonsense", 2, "nonsense"},
		{"site languages english!", 2, "BCP 47"},
		{"settings set agents.attempts", 2, "--default"},
		{"settings set agents.attempts many", 2, "many"},
		{"settings set agents.attempts 0", 2, "between"},
		{"settings get nothing", 3, "nothing"},
		{"tokens create", 2, "name"},
		{"tokens create --name x --for 90m", 2, "whole hours"},
		{"tokens create --name x --for -5h", 2, "--for -5h0m0s is in the past"},
		{"severities create Urgent", 0, ""},
		{"severities create URGENT", 4, `"Urgent" already`},
		{"computers show ..", 2, "no name or id"},
		{"policies show .", 2, "no name or id"},
		{"tasks run ..", 2, "no name or id"},
		{"evaluate --host /nowhere/host.txt", 2, "/nowhere/host.txt"},
		{"evaluate --host " + dir, 2, "is a folder"},
		{"evaluate --host " + dir + "/node.id --hotfixes " + dir, 2, "is a folder"},
		{"node run --listen garbage", 2, "want HOST:PORT"},
		{"node run --languages english!", 2, "BCP 47"},
		{"site show --server http://127.0.0.1:1", 2, "want https://"},
		{"site show --server https://127.0.0.1:1 --fingerprint xy", 2, "64 hexadecimal digits"},
		{"site show --server https://" + address + " --token x", 2, "give --fingerprint, as thatch site show prints it"},
		{"site show --server https://" + address + " --token x --fingerprint " + strings.Repeat("00", 32), 2, "not of the site that was named"},
		{"settings set staging.roots @" + dir + "/node.id", 2, "no PEM"},
		{"tokens create --api --name x --scope king", 2, "king"},
		{"tokens revoke nobody", 3, "nobody"},
		{"audit list --filter nonsense", 2, "COLUMN=VALUE"},
		{"audit list --filter colour=red", 2, "colour"},
		{"node run", 1, "another node"},
		{"site show --server https://127.0.0.1:1 --token x", 5, "127.0.0.1:1"},
		{"site show --config /nowhere", 2, "/nowhere"},
	} {
		args := append(strings.Fields(c.args), "--data", dir)
		out, text, code := thatch(t, args...)
		if code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("thatch %s: exit code %d, want %d with %q; printed %s%s", c.args, code, c.code, c.text, out, text)
		}
		if code != 0 && !strings.HasPrefix(text, "thatch: ") {
			t.Errorf("thatch %s: its error does not say who speaks: %s", c.args, text)
		}
	}
}

func TestTokensFitAgents(t *testing.T) {
	dir := t.TempDir()
	startNode(t, dir)
	out, text, code := thatch(t, "tokens", "create", "--name", "office", "--limit", "3", "--json", "--data", dir)
	var made identity.EnrolmentToken
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil {
		t.Fatalf("%d %s %s %v", code, out, text, err)
	}
	token, err := agentapi.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var site struct {
		Fingerprint string `json:"authority_fingerprint"`
	}
	if err := c.Get(t.Context(), "/site", nil, &site); err != nil {
		t.Fatal(err)
	}
	if want := site.Fingerprint[:32]; fmt.Sprintf("%x", token.Fingerprint) != want {
		t.Errorf("the token names the authority %x, the site %s", token.Fingerprint, want)
	}
}

// TestRemoteByToken is the command line on another machine.
func TestRemoteByToken(t *testing.T) {
	dir := t.TempDir()
	startNode(t, dir, "--site", "Berlin")
	read := func(args ...string) map[string]any {
		t.Helper()
		out, text, code := thatch(t, args...)
		var value map[string]any
		if err := json.Unmarshal([]byte(out), &value); code != 0 || err != nil {
			t.Fatalf("%v: %d %s %s %v", args, code, out, text, err)
		}
		return value
	}
	site := read("site", "show", "--json", "--data", dir)
	token := read("tokens", "create", "--api", "--name", "x", "--scope", "viewer", "--json", "--data", dir)
	config := filepath.Join(t.TempDir(), "thatch.conf")
	text := fmt.Sprintf("# the node in Berlin\nserver = https://%s\ntoken=%s\nfingerprint=\"%s\"\n", site["address"], token["token"], site["authority_fingerprint"])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read("site", "show", "--json", "--config", config); got["site"] != "Berlin" {
		t.Errorf("%v", got)
	}
	if _, text, code := thatch(t, "site", "languages", "fr", "--config", config); code != 1 || !strings.Contains(text, "administrator") {
		t.Errorf("a viewer sets languages: %d %s", code, text)
	}
}

// TestKill ends nodes with SIGKILL while tokens are made: what was acknowledged is there afterwards.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	var mu sync.Mutex
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		cmd := startNode(t, dir)
		c, err := client.New(client.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		enough := make(chan struct{})
		var once sync.Once
		var writing sync.WaitGroup
		for w := range 4 {
			writing.Go(func() {
				for i := 0; ; i++ {
					var made identity.APIToken
					in := map[string]any{"name": fmt.Sprintf("%d-%d-%d", round, w, i), "scope": "viewer"}
					if c.Post(t.Context(), "/tokens/api", in, &made) != nil {
						return
					}
					mu.Lock()
					acknowledged[made.ID] = true
					if len(acknowledged) > 100*(round+1) {
						once.Do(func() { close(enough) })
					}
					mu.Unlock()
				}
			})
		}
		ended := make(chan struct{})
		go func() {
			writing.Wait()
			close(ended)
		}()
		select {
		case <-enough:
		case <-ended:
			t.Fatal("nobody can write any more, and nobody killed the node")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-ended
		_ = cmd.Wait()
	}
	startNode(t, dir)
	out, text, code := thatch(t, "tokens", "list", "--api", "--limit", "10000", "--json", "--data", dir)
	var list struct {
		Items []identity.APIToken
	}
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil {
		t.Fatalf("%d %s %v", code, text, err)
	}
	for _, item := range list.Items {
		delete(acknowledged, item.ID)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged tokens of %d are lost", len(acknowledged), len(list.Items)+len(acknowledged))
	}
	t.Logf("%d tokens survived %d kills", len(list.Items), rounds)
}

// TestKillDuringImport ends the node with SIGKILL at several steps of an import: the next start goes on with it, and in
// the end the catalog is the one that an undisturbed import makes.
func TestKillDuringImport(t *testing.T) {
	data := ringtest.Data(t, "msrc")
	finish := func(c *client.Client, id string) string {
		t.Helper()
		run, err := c.WaitRun(t.Context(), id, nil)
		if err != nil || run.State != tasks.Done {
			t.Fatalf("%+v, %v", run, err)
		}
		var result map[string]any
		if err := json.Unmarshal(run.Result, &result); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(result["kbs"], " ", result["kb_products"], " ", result["supersedence_edges"])
	}
	begin := func(dir string) (*exec.Cmd, *client.Client, string) {
		t.Helper()
		cmd := startNode(t, dir)
		c, err := client.New(client.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var started cli.Started
		if err := c.Post(t.Context(), "/catalog/imports", map[string]string{"source": "msrc", "from": data}, &started); err != nil {
			t.Fatal(err)
		}
		return cmd, c, started.Run
	}
	_, undisturbed, id := begin(t.TempDir())
	want := finish(undisturbed, id)
	for _, step := range []int{1, 2, 4} {
		dir := t.TempDir()
		cmd, c, id := begin(dir)
		seen := 0
		_, _ = c.WaitRun(t.Context(), id, func(run tasks.Run) { // it ends with the node
			if seen++; seen == step && run.Ended == nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		})
		// A fast machine may have ended the import before that step.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		again := startNode(t, dir)
		c, err := client.New(client.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var runs struct{ Items []tasks.Run }
		if err := c.Get(t.Context(), "/catalog/runs", nil, &runs); err != nil {
			t.Fatal(err)
		}
		last := runs.Items[0]
		t.Logf("killed at step %d: %d runs, the last resumes %q", step, len(runs.Items), last.Resumes)
		if len(runs.Items) == 2 && (last.Resumes != id || runs.Items[1].State != tasks.Interrupted) {
			t.Errorf("killed at step %d: %+v", step, runs.Items)
		}
		if got := finish(c, last.ID); got != want {
			t.Errorf("killed at step %d, the catalog holds %s; undisturbed %s", step, got, want)
		}
		_ = again.Process.Kill()
	}
}

// TestKillAtFirstStart ends nodes with SIGKILL at any moment of their very first start: the next start makes the site,
// or goes on with it.
func TestKillAtFirstStart(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	for after := time.Millisecond; after < 300*time.Millisecond; after = after * 3 / 2 {
		dir := t.TempDir()
		cmd := program("node", "run", "--data", dir, "--listen", "127.0.0.1:0", "--site", "Berlin", "--languages", "en,de")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		again := startNode(t, dir, "--site", "Berlin", "--languages", "en,de")
		c, err := client.New(client.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var site node.Status
		if err := c.Get(t.Context(), "/site", nil, &site); err != nil || site.Site != "Berlin" || len(site.Languages) != 2 {
			t.Errorf("killed after %s: %+v, %v", after, site, err)
		}
		_ = again.Process.Kill()
		_ = again.Wait()
	}
}
