// Package e2e_test runs the shipped binaries as people do: a node in a folder, the command line, agents. It kills
// them at random, feeds them garbage, and looks at what is left.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/ringtest"
)

// built holds the programs, built once per run of the tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// program returns the path of a shipped program ("thatch", "thatch-agent"), built for this machine.
func program(t *testing.T, name string) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "thatch-e2e-bin-"); built.err != nil {
			return
		}
		root, err := ringtest.Root()
		if err != nil {
			built.err = err
			return
		}
		build := exec.Command("go", "build", "-o", built.dir+string(filepath.Separator), "./cmd/thatch", "./cmd/thatch-agent")
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(built.dir, name)
}

// site is a node process on a data folder.
type site struct {
	t      *testing.T
	name   string // "": HQ
	folder string
	listen string
	before []string // words before the node's command, such as "ip netns exec NAME"
	runs   string   // path of the program that the node runs; "": the one that was built
	cmd    *exec.Cmd
	ended  chan struct{}
	log    *safeBuffer
}

// newSite starts a node on an empty folder; it is stopped with the test.
func newSite(t *testing.T, languages string) *site {
	t.Helper()
	s := &site{t: t, folder: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0"}
	s.start("--site", "HQ", "--languages", languages)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the node's log:\n%s", s.log.tail(6000))
		}
	})
	return s
}

// start runs the node and waits until it answers. After a kill it comes back at the address it had.
func (s *site) start(flags ...string) {
	s.t.Helper()
	if s.log == nil {
		s.log = &safeBuffer{}
	}
	args := append([]string{"node", "run", "--data", s.folder, "--listen", s.listen}, flags...)
	if s.runs == "" {
		s.runs = program(s.t, "thatch")
	}
	words := append(append(slices.Clone(s.before), s.runs), args...)
	s.cmd = exec.Command(words[0], words[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited, cmd := make(chan error, 1), s.cmd
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		exited <- cmd.Wait()
		close(ended)
	}()
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		var shown struct{ Address string }
		if err := s.run(&shown, "site", "show"); err == nil && shown.Address != "" {
			s.listen = shown.Address
			return
		}
		select {
		case err := <-exited:
			s.t.Fatalf("the node ended at once: %v\n%s", err, s.log.tail(3000))
		case <-deadline.C:
			s.t.Fatalf("the node did not answer in three minutes\n%s", s.log.tail(3000))
		case <-tick.C:
		}
	}
}

// kill is kill -9.
func (s *site) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop ends the node as its administrator does.
func (s *site) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
}

// exitError is what a command that failed printed.
type exitError struct {
	args []string
	code int
	text string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("thatch %s: exit code %d: %s", strings.Join(e.args, " "), e.code, e.text)
}

// run runs the command line with --json against the node and decodes what it printed into out, which may be nil.
func (s *site) run(out any, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program(s.t, "thatch"), append(args, "--data", s.folder, "--json")...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		err = &exitError{args: args, code: exit.ExitCode(), text: strings.TrimSpace(stderr.String() + stdout.String())}
	case err != nil:
		return err
	}
	if out != nil && stdout.Len() > 0 {
		if decodeErr := json.Unmarshal(stdout.Bytes(), out); decodeErr != nil && err == nil {
			return fmt.Errorf("thatch %s: --json printed no JSON: %w: %.300s", strings.Join(args, " "), decodeErr, stdout.String())
		}
	}
	return err
}

// must runs a command that has to succeed.
func (s *site) must(out any, args ...string) {
	s.t.Helper()
	if err := s.run(out, args...); err != nil {
		s.t.Fatal(err)
	}
}

// refused runs a command that has to fail with an exit code and a text that contains want.
func (s *site) refused(code int, want string, args ...string) {
	s.t.Helper()
	err := s.run(nil, args...)
	var exit *exitError
	if !errors.As(err, &exit) {
		s.t.Errorf("thatch %s = %v, want exit code %d", strings.Join(args, " "), err, code)
		return
	}
	if exit.code != code || !strings.Contains(strings.ToLower(exit.text), strings.ToLower(want)) {
		s.t.Errorf("thatch %s: exit code %d, %q; want %d and a text with %q", strings.Join(args, " "), exit.code, exit.text, code, want)
	}
}

// safeBuffer keeps what several goroutines write.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buf.String()
	return text[max(0, len(text)-n):]
}

func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
