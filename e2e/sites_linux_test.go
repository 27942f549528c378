package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts"
	"thatch/agent/simulated"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
	"thatch/ringtest"
)

// hosts are several hosts on one switch; each has one cable.
type hosts struct {
	t     *testing.T
	names []string
}

const switchHost = "thatch-switch"

func newHosts(t *testing.T, names ...string) *hosts {
	t.Helper()
	h := &hosts{t: t}
	h.add(switchHost)
	h.ip("-n", switchHost, "link", "add", "bridge0", "type", "bridge")
	h.ip("-n", switchHost, "link", "set", "bridge0", "up")
	for i, name := range names {
		h.add("thatch-" + name)
		h.names = append(h.names, name)
		port := "port-" + name
		h.ip("link", "add", port, "netns", switchHost, "type", "veth", "peer", "name", "eth0", "netns", "thatch-"+name)
		h.ip("-n", "thatch-"+name, "addr", "add", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", "eth0")
		h.ip("-n", "thatch-"+name, "link", "set", "eth0", "up")
		h.ip("-n", switchHost, "link", "set", port, "master", "bridge0")
		h.cable(name, true)
	}
	return h
}

func (h *hosts) add(namespace string) {
	h.t.Helper()
	h.ip("netns", "add", namespace)
	h.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", namespace).Run() })
	h.ip("-n", namespace, "link", "set", "lo", "up")
}

func (h *hosts) ip(args ...string) {
	h.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// cable plugs a host in or out.
func (h *hosts) cable(name string, in bool) {
	h.t.Helper()
	h.ip("-n", switchHost, "link", "set", "port-"+name, map[bool]string{true: "up", false: "down"}[in])
}

// site is one on a host of its own, before its first start.
func (h *hosts) site(name string) *site {
	h.t.Helper()
	at := slices.Index(h.names, name)
	return &site{
		t: h.t, name: name, folder: filepath.Join(h.t.TempDir(), "data"), listen: fmt.Sprintf("10.99.0.%d:8743", at+1),
		before: []string{"ip", "netns", "exec", "thatch-" + name},
	}
}

// kills is how often something is killed or cut.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("THATCH_KILLS"))
	if err != nil || n < 1 {
		return 8
	}
	return n
}

// vendorFiles are months of a vendor's documents, the real ones where they are.
func vendorFiles(t *testing.T) []string {
	t.Helper()
	if ringtest.RealData.Missing() == nil {
		found, err := filepath.Glob(filepath.Join(ringtest.Data(t, "msrc"), "*.xml.gz"))
		if err == nil && len(found) > 0 {
			slices.Reverse(found) // the newest first: they are the small ones
			return found
		}
	}
	return []string{"../cmd/internal/demo/sample/cvrf-2026-Sep.xml", "../cmd/internal/demo/sample/cvrf-2026-Oct.xml"}
}

// TestTreeOfHosts has a parent, two children and a grandchild on hosts of their own. While real documents go in at the
// top, cables are pulled and nodes killed; when everything is plugged in again, every child equals its parent.
func TestTreeOfHosts(t *testing.T) {
	ringtest.Need(t, ringtest.Namespaces)
	h := newHosts(t, "top", "north", "south", "far")
	languages := map[string]string{"top": "de,en,fr", "north": "de", "south": "fr", "far": "de"}
	sites := map[string]*site{}
	for _, name := range h.names {
		sites[name] = h.site(name)
		sites[name].begin(languages[name])
	}
	above := map[string]string{"north": "top", "south": "top", "far": "north"}
	for _, name := range h.names[1:] {
		sites[name].join(sites[above[name]])
	}
	top := sites["top"]
	publisher := authenticodetest.Signer(t, nil, "Example Software")
	certificate, _ := pem.Decode([]byte(publisher.PEM()))
	for _, s := range sites {
		s.must(nil, "settings", "set", "staging.trusted", fmt.Sprintf("%x", sha256.Sum256(certificate.Bytes)))
	}
	stagePatch(t, top, publisher)
	files, storm := vendorFiles(t), kills(t)
	for i := range storm {
		if i == storm/2 {
			top.must(nil, "policies", "create", "--name", "October", "--bulletin", "KB9200011")
		}
		work := make(chan struct{})
		go func() {
			defer close(work)
			if i%3 == 2 {
				_ = top.run(nil, "catalog", "import", "--source", "sdp", "--from", writeCatalog(t, 20+i))
				return
			}
			_ = top.run(nil, "catalog", "import", "--source", "msrc", "--from", files[i%len(files)]) // it may be killed
		}()
		pause(50 + rand.IntN(900))
		name := h.names[rand.IntN(len(h.names))]
		if i%2 == 0 {
			sites[name].kill()
			pause(rand.IntN(200))
			sites[name].start()
		} else {
			h.cable(name, false)
			pause(100 + rand.IntN(900))
			h.cable(name, true)
		}
		<-work
	}
	for _, file := range files[:min(storm, len(files))] {
		top.must(nil, "catalog", "import", "--source", "msrc", "--from", file)
	}
	began := time.Now()
	var bulletins struct{ Total int }
	top.must(&bulletins, "bulletins", "list", "--limit", "1")
	var err error
	within(t, 5*time.Minute, "every child equals its parent", func() bool {
		err = nil
		for name, parent := range above {
			err = errors.Join(err, sites[name].equals(sites[parent]))
		}
		return err == nil
	})
	t.Logf("equal after %s", time.Since(began).Round(100*time.Millisecond))
	for name, parent := range above {
		// The link that was cut last may be on its way back.
		within(t, 5*time.Minute, name+" is verified from above", func() bool {
			v, err := sites[parent].verify(100, "--child", name)
			if err != nil {
				t.Logf("%s: %v", name, err)
			}
			return err == nil && v.Equal
		})
		var own struct{ Total int }
		sites[name].must(&own, "bulletins", "list", "--limit", "1")
		if own.Total != bulletins.Total || own.Total == 0 {
			t.Errorf("%s has %d bulletins, the top %d", name, own.Total, bulletins.Total)
		}
	}
	t.Logf("%d bulletins everywhere", bulletins.Total)
	for name, s := range sites {
		s.patched("PC-"+strings.ToUpper(name), languages[name][:2])
	}
}

// stagePatch gives a site an update of Windows 11 with a payload, staged.
func stagePatch(t *testing.T, s *site, publisher *authenticodetest.Pair) {
	t.Helper()
	s.must(nil, "catalog", "import", "--source", "msrc", "--from", "../cmd/internal/demo/sample/cvrf-2026-Oct.xml")
	newer := 9101
	effect, err := json.Marshal(simulated.Effect{Changes: []simulated.Change{{Revision: &newer}}})
	if err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(t.TempDir(), "windows-kb9200011.exe")
	content := publisher.Sign(t, authenticodetest.Program(simulated.Marker+"\n"+string(effect)))
	if err := os.WriteFile(payload, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(nil, "packages", "add", "msrc/KB9200011/90001", "--file", payload, "--type", "exe")
	s.must(nil, "bulletins", "stage", "KB9200011")
}

// patched has the real agent of a made-up computer enrol at the site, on the site's own host, and make rounds until the
// update is installed and the site knows.
func (s *site) patched(name, language string) {
	s.t.Helper()
	raw, err := json.Marshal(simulated.Definition{
		Machine: facts.Machine{Name: name, ID: "simulated-" + name},
		Facts: &memory.Host{
			Name: name, Registry: memory.NewRegistry(), Hotfixes: &rule.Hotfixes{Complete: true},
			System: &rule.System{
				Platform: "windows", Name: "Microsoft Windows 11 Enterprise", Product: "Windows 11 Version 23H2 for x64-based Systems", Major: 10,
				Build: 22631, Revision: 9001, ProductType: 1, InstallationType: "client", Architecture: "x64", Languages: []string{language},
			},
		},
	})
	file := filepath.Join(s.t.TempDir(), "computer.json")
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	flags := []string{"--simulated", file, "--data", filepath.Join(s.t.TempDir(), "agent")}
	if out, code := runAgent(s.t, s.before, append(flags, "enrol", "--node", "https://"+s.listen, "--token", s.token(1))...); code != 0 {
		s.t.Fatalf("%s: enrol: exit code %d\n%s", name, code, out)
	}
	within(s.t, 3*time.Minute, name+" is patched", func() bool {
		if out, code := runAgent(s.t, s.before, append(flags, "once")...); code != 0 {
			s.t.Logf("%s: a round: exit code %d\n%s", name, code, out)
		}
		var list struct {
			Items []struct{ Targeted, Done int }
		}
		s.must(&list, "policies", "list")
		return len(list.Items) == 1 && list.Items[0].Done == 1
	})
	c, err := simulated.Open(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if runs := c.Runs(); len(runs) != 1 || runs[0].File != "windows-kb9200011.exe" {
		s.t.Errorf("%s ran %+v, want the one update", name, runs)
	}
}

func writeCatalog(t *testing.T, packages int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.xml")
	if err := os.WriteFile(path, []byte(polyglotCatalog(packages, "de", "en", "fr")), 0o600); err != nil {
		t.Error(err)
	}
	return path
}

func pause(milliseconds int) {
	timer := time.NewTimer(time.Duration(milliseconds) * time.Millisecond)
	<-timer.C
}
