package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"thatch/ringtest"
)

// runAgent runs thatch-agent through a command that may come before it, such as "ip netns exec NAME".
func runAgent(t *testing.T, before []string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	words := append(append(before, program(t, "thatch-agent")), args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", words, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// TestTwoHosts has a node and an agent on hosts of their own, and cuts the link between them.
func TestTwoHosts(t *testing.T) {
	ringtest.Need(t, ringtest.Namespaces)
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	const node, computer = "thatch-node", "thatch-computer"
	for _, name := range []string{node, computer} {
		ip("netns", "add", name)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		ip("-n", name, "link", "set", "lo", "up")
	}
	ip("link", "add", "thatch0", "netns", node, "type", "veth", "peer", "name", "thatch1", "netns", computer)
	ip("-n", node, "addr", "add", "10.99.0.1/24", "dev", "thatch0")
	ip("-n", computer, "addr", "add", "10.99.0.2/24", "dev", "thatch1")
	ip("-n", node, "link", "set", "thatch0", "up")
	ip("-n", computer, "link", "set", "thatch1", "up")

	s := &site{t: t, folder: filepath.Join(t.TempDir(), "data"), listen: "10.99.0.1:8743", before: []string{"ip", "netns", "exec", node}}
	s.start("--site", "HQ", "--languages", "en")
	t.Cleanup(s.kill)
	inside := []string{"ip", "netns", "exec", computer}
	folder := filepath.Join(t.TempDir(), "agent")
	if out, code := runAgent(t, inside, "enrol", "--data", folder, "--node", "https://10.99.0.1:8743", "--token", s.token(1)); code != 0 {
		t.Fatalf("enrol: exit code %d\n%s", code, out)
	}
	if out, code := runAgent(t, inside, "once", "--data", folder); code != 0 {
		t.Fatalf("a round: exit code %d\n%s", code, out)
	}
	ip("-n", computer, "link", "set", "thatch1", "down")
	if out, code := runAgent(t, inside, "once", "--data", folder); code != 5 || !strings.Contains(out, "10.99.0.1") {
		t.Errorf("a round without a link: exit code %d, want 5 and the node's address\n%s", code, out)
	}
	ip("-n", computer, "link", "set", "thatch1", "up")
	if out, code := runAgent(t, inside, "once", "--data", folder); code != 0 {
		t.Errorf("a round with the link back: exit code %d\n%s", code, out)
	}
}

// TestAgentInABareRoot runs the agent where nothing but itself and two files of the system are: it links no library,
// and says what it knows.
func TestAgentInABareRoot(t *testing.T) {
	ringtest.Need(t, ringtest.Chroot)
	root := t.TempDir()
	for name, content := range map[string]string{
		"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/machine-id": "0123456789abcdef0123456789abcdef\n",
	} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(program(t, "thatch-agent"))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "thatch-agent"), binary, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/thatch-agent", "facts", "--json")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("thatch-agent facts: %v\n%s", err, errs.String())
	}
	var known struct {
		Machine struct{ ID string }
		System  struct{ Platform, Product string }
	}
	if err := json.Unmarshal(out, &known); err != nil {
		t.Fatal(err)
	}
	if known.System.Platform != "debian" || !strings.Contains(known.System.Product, "bookworm") || known.Machine.ID == "" {
		t.Errorf("it knows %+v", known)
	}
}

// TestStrangersInABrowser looks at what a person without a session sees at the node's address.
func TestStrangersInABrowser(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	s := newSite(t, "en,de")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--ignore-certificate-errors",
		"--user-data-dir="+t.TempDir(), "--dump-dom", "https://"+s.listen+"/")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	for _, want := range []string{"<span>HQ</span>", "first-link", `action="/sign-in"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the page does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "de en") {
		t.Error("a stranger is told the site's languages")
	}
}
