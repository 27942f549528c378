package e2e_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/ringtest"
)

// killed runs the program and kills it after a while, or lets it end before.
func killed(t *testing.T, after time.Duration, args ...string) (ended bool) {
	t.Helper()
	cmd := exec.Command(program(t, "thatch"), args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait() == nil
}

func randomly(from, to int) time.Duration {
	return time.Duration(from+rand.IntN(to-from)) * time.Millisecond
}

// offline runs a command that takes no node, and returns what it printed with --json.
func offline(t *testing.T, out any, args ...string) (text string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program(t, "thatch"), append(args, "--json")...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if out != nil {
		if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
			t.Fatalf("thatch %s: %v: %s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
		}
	}
	return stderr.String() + stdout.String(), cmd.ProcessState.ExitCode()
}

// made is what a backup answers.
type made struct {
	Name, Folder string
	Recovery     string `json:"recovery_key"`
}

// comeback is a site with a child and a computer, whose machine will be lost.
type comeback struct {
	*testing.T
	hq, berlin   *site
	agent        string // folder
	folder       string // of backups
	key, keyFile string
}

func newComeback(t *testing.T) *comeback {
	t.Helper()
	c := &comeback{T: t, hq: namedSite(t, "HQ", "en,de"), agent: filepath.Join(t.TempDir(), "agent"), folder: filepath.Join(t.TempDir(), "backups")}
	c.berlin = newChild(t, c.hq, "Berlin", "de")
	c.hq.importText(polyglotCatalog(60, "en", "de"))
	if out, code := runAgent(t, nil, "enrol", "--data", c.agent, "--node", "https://"+c.hq.listen, "--token", c.hq.token(1)); code != 0 {
		t.Fatalf("enrol: exit code %d\n%s", code, out)
	}
	c.round()
	c.equal("after joining")
	var key struct{ Key, Name string }
	c.hq.must(&key, "backup", "recovery-key")
	c.key, c.keyFile = key.Key, filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(c.keyFile, []byte(key.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// round has the agent make one, with the certificate that it enrolled with.
func (c *comeback) round() {
	c.Helper()
	if out, code := runAgent(c.T, nil, "once", "--data", c.agent); code != 0 {
		c.Fatalf("a round of the agent: exit code %d\n%s", code, out)
	}
}

func (c *comeback) equal(when string) {
	c.Helper()
	var why error
	began := time.Now()
	within(c.T, 2*time.Minute, "Berlin equals HQ "+when, func() bool {
		why = c.berlin.equals(c.hq)
		return why == nil
	})
	c.Logf("Berlin equals HQ %s: %s", when, time.Since(began).Round(time.Millisecond))
	if why != nil {
		c.Error(why)
	}
}

// backUp makes backups while imports write, and kills the node in the middle of some.
func (c *comeback) backUp() string {
	c.Helper()
	for range 2 {
		importing := make(chan struct{})
		go func() {
			defer close(importing)
			path := filepath.Join(c.TempDir(), "more.xml")
			if os.WriteFile(path, []byte(polyglotCatalog(60+rand.IntN(60), "en", "de")), 0o600) == nil {
				_ = c.hq.run(nil, "catalog", "import", "--source", "sdp", "--from", path)
			}
		}()
		killed(c.T, randomly(20, 400), "backup", "--folder", c.folder, "--data", c.hq.folder)
		c.hq.kill()
		<-importing
		c.hq.start()
	}
	var b made
	c.hq.must(&b, "backup", "--folder", c.folder)
	left, err := os.ReadDir(c.folder)
	if err != nil {
		c.Fatal(err)
	}
	for _, e := range left { // under its name a backup is whole, however many were cut
		if text, code := offline(c.T, nil, "backup", "verify", filepath.Join(c.folder, e.Name())); code != 0 {
			c.Errorf("%s: exit code %d: %s", e.Name(), code, text)
		}
	}
	return filepath.Join(b.Folder, b.Name)
}

// restore restores into an empty folder, killed in the middle until it comes to its end.
func (c *comeback) restore(file string) {
	c.Helper()
	fresh := filepath.Join(c.TempDir(), "data")
	for round := range 30 {
		if killed(c.T, randomly(5, 60+20*round), "restore", file, "--data", fresh, "--recovery-key", "@"+c.keyFile) {
			break
		}
		if _, err := os.Stat(filepath.Join(fresh, "restored")); err == nil {
			break // all is there; whoever opens the folder moves it to its place
		}
		if _, err := os.Stat(filepath.Join(fresh, "restoring")); err != nil {
			continue
		}
		if text, code := offline(c.T, nil, "node", "run", "--data", fresh, "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(text, "thatch restore again") {
			c.Fatalf("a node starts on half a folder: exit code %d: %s", code, text)
		}
	}
	if text, code := offline(c.T, nil, "restore", file, "--data", fresh, "--recovery-key", "@"+c.keyFile); code != 1 || !strings.Contains(text, "holds a site") {
		c.Fatalf("another restore into the same folder: exit code %d: %s", code, text)
	}
	c.hq.folder = fresh
}

// completed says whether the child compared everything by itself since a moment.
func (c *comeback) completed(since time.Time) {
	c.Helper()
	var runs struct {
		Items []struct {
			Started     time.Time
			Mode, State string
		}
	}
	c.berlin.must(&runs, "replication", "runs", "--filter", "direction=down", "--filter", "type=data", "--sort", "-started", "--limit", "100")
	for _, r := range runs.Items {
		if r.Mode == "complete" && r.State == "done" && r.Started.After(since) {
			return
		}
	}
	c.Errorf("the child made no complete run of data since %s: %+v", since, runs.Items)
}

// TestSiteComesBack loses the only node of a site that has a child and a computer, and restores a backup that was made under
// writes and kills: the child comes to equal it by itself, the computer goes on with its certificate. Then its log is damaged.
func TestSiteComesBack(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	c := newComeback(t)
	file := c.backUp()
	var before, after struct{ Epoch string }
	c.hq.must(&before, "site", "show")
	c.hq.importText(polyglotCatalog(150, "en", "de")) // after the backup: the child holds what its parent will not
	c.equal("before the loss")
	c.hq.kill()

	for want, args := range map[string][]string{
		"mistyped":      {"--recovery-key", "0" + c.key[1:5] + strings.Repeat("0", 35)},
		"key.txt.none":  {"--recovery-key", "@" + c.keyFile + ".none"},
		"no recovery k": {"--recovery-key", ""},
	} {
		if text, code := offline(t, nil, append([]string{"restore", file, "--data", filepath.Join(t.TempDir(), "x")}, args...)...); code != 2 || !strings.Contains(text, want) {
			t.Errorf("%s: exit code %d: %s", want, code, text)
		}
	}
	c.restore(file)
	restarted := time.Now()
	c.hq.start()
	c.hq.must(&after, "site", "show")
	if after.Epoch == before.Epoch {
		t.Error("the site goes on in the former epoch")
	}
	c.round()
	c.equal("after the restore")
	c.completed(restarted)

	c.hq.stop()
	if err := os.Truncate(filepath.Join(c.hq.folder, "quorum", "log", "log.bolt"), 5000); err != nil {
		t.Fatal(err)
	}
	c.hq.refused(1, "log", "node", "run", "--listen", c.hq.listen)
	var recovered struct{ Epoch, Lost string }
	c.hq.must(&recovered, "node", "recover", "--yes")
	if recovered.Epoch == after.Epoch || recovered.Lost == "" {
		t.Errorf("%+v", recovered)
	}
	c.hq.start()
	c.round()
	c.hq.importText(polyglotCatalog(180, "en", "de"))
	c.equal("after a change of the site that was recovered")
	if v, err := c.berlin.verify(100); err != nil || !v.Equal {
		t.Errorf("a verification says %+v, %v", v, err)
	}
	c.hq.must(nil, "backup")
}
