package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/console/api"
	payloads "thatch/node/bulletins/stock"
	"thatch/node/membership"
	"thatch/ringtest"
)

// more has one more node join the site, and starts it.
func (s *site) more(name string, flags ...string) *site {
	s.t.Helper()
	var made struct{ Token, Address string }
	s.must(&made, "node", "token", "create", "--name", name)
	n := &site{t: s.t, name: name, folder: filepath.Join(s.t.TempDir(), name), listen: "127.0.0.1:0"}
	join := append([]string{"node", "join", "--site-node", "https://" + s.listen, "--token", made.Token, "--node-name", name, "--listen", n.listen}, flags...)
	var found membership.Found
	n.must(&found, join...)
	if found.Again {
		s.t.Errorf("%s had joined before: %+v", name, found)
	}
	n.must(&found, join...) // done again, it is the same
	if !found.Again {
		s.t.Errorf("%s joined twice: %+v", name, found)
	}
	n.start()
	s.t.Cleanup(func() {
		n.kill()
		if s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", name, n.log.tail(4000))
		}
	})
	return n
}

// fares waits until the site has so many voting nodes that answer, and no more is wrong with it than hints, and that the disk of
// the machine that tests is nearly full.
func (s *site) fares(voters int) (r membership.Report) {
	s.t.Helper()
	within(s.t, 3*time.Minute, "the site is whole", func() bool {
		r = membership.Report{}
		err := s.run(&r, "site", "status")
		wrong := slices.ContainsFunc(r.Problems, func(p membership.Problem) bool {
			return p.Level != membership.LevelHint && p.Kind != membership.ProblemDisk
		})
		return (err == nil) == !r.Wrong() && !wrong && r.Voters == voters && r.Living == voters && r.Leader != ""
	})
	return r
}

// versioned builds the program under another version.
func versioned(t *testing.T, version string) string {
	t.Helper()
	root, err := ringtest.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "thatch-"+version)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", path, "./cmd/thatch")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// upgrade has a node run another program, while another node of its site writes.
func (s *site) upgrade(program string, other *site) {
	s.t.Helper()
	s.stop()
	other.must(nil, "site", "rename", "Without "+s.name)
	s.runs = program
	s.start()
	s.fares(3)
}

// TestOneNodeBecomesThree: a running node becomes a site of three; the one that leads is killed, and what is written goes on;
// all three are upgraded one by one; one is removed, and hears so when it comes back.
func TestOneNodeBecomesThree(t *testing.T) {
	if testing.Short() {
		t.Skip("tests are to be short")
	}
	first := newSite(t, "en")
	nodes := map[string]*site{}
	second := first.more("n2")
	third := second.more("n3") // through a node that does not lead
	r := first.fares(3)
	// What is added by hand at one node comes to all of them.
	first.must(nil, "catalog", "import", "--source", "msrc", "--from", "../cmd/internal/demo/sample/cvrf-2026-Oct.xml")
	patch := filepath.Join(t.TempDir(), "patch.exe")
	if err := os.WriteFile(patch, []byte(strings.Repeat("patch ", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	first.must(nil, "settings", "set", "staging.check_signatures", "false")
	second.must(nil, "packages", "add", "msrc/KB9200011/90001", "--file", patch)
	third.must(nil, "bulletins", "stage", "KB9200011")
	copies := func(s *site, held, of int) {
		t.Helper()
		within(t, 2*time.Minute, "there are as many copies as there are to be", func() bool {
			var list api.List[*payloads.Row]
			return s.run(&list, "content", "list", "--filter", "state=held") == nil && list.Total == 1 && list.Items[0].Copies == held && list.Items[0].Of == of
		})
	}
	for _, s := range []*site{first, second, third} {
		copies(s, 3, 3)
	}
	for _, n := range r.Nodes {
		for name, s := range map[string]*site{"n2": second, "n3": third} {
			if n.Name == name {
				nodes[n.ID] = s
			}
		}
		if nodes[n.ID] == nil {
			nodes[n.ID] = first
		}
	}
	dead := r.Leader
	var left []*site
	for id, s := range nodes {
		if id != dead {
			left = append(left, s)
		}
	}
	nodes[dead].kill()
	began := time.Now()
	left[0].must(nil, "site", "rename", "Three less one")
	t.Logf("a write was accepted %s after the one that led was killed", time.Since(began).Round(10*time.Millisecond))
	var site struct{ Site string }
	left[1].must(&site, "site", "show")
	if site.Site != "Three less one" {
		t.Errorf("the other one says that the site is called %q", site.Site)
	}
	left[1].refused(1, "does not answer", "site", "status")
	newer := versioned(t, "9.9.9")
	nodes[dead].runs = newer
	nodes[dead].start()
	first.fares(3)
	left[0].upgrade(newer, left[1])
	left[1].upgrade(newer, nodes[dead])
	for _, n := range first.fares(3).Nodes {
		if n.Version != "9.9.9" {
			t.Errorf("node %s runs version %s", n.Name, n.Version)
		}
	}
	if left[0].must(&site, "site", "show"); site.Site != "Without "+left[1].name {
		t.Errorf("after all were upgraded the site is called %q", site.Site)
	}
	nodes[dead].kill()
	left[1].must(nil, "site", "remove", dead, "--reason", "its disk failed")
	if r := left[0].fares(2); len(r.Nodes) != 2 {
		t.Errorf("%+v", r.Nodes)
	}
	copies(left[0], 2, 2)
	if err := nodes[dead].run(nil, "node", "run", "--listen", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "was removed from the site") || !strings.Contains(err.Error(), "its disk failed") {
		t.Errorf("the node that was removed: %v", err)
	}
	left[0].must(nil, "site", "transfer-leader")
	left[1].must(nil, "site", "rename", "Two")
}
