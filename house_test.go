package thatch_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"thatch/ringtest"
)

// arrows lists for each room the rooms it may import. A room is named by the longest of these prefixes that fits.
var arrows = map[string][]string{
	"catalog":              {"catalog/rule", "catalog/document"},
	"catalog/document":     {},
	"catalog/version":      {},
	"catalog/rule":         {"catalog/version", "catalog/rule"},
	"catalog/content":      {"catalog", "catalog/document"},
	"catalog/supersedence": {"catalog", "catalog/rule", "catalog/document", "catalog/version", "catalog/windows"},
	"catalog/windows":      {"catalog/rule", "catalog/version"},
	"node/compliance":      {"node/store/*", "node/bulletins/*", "node/computers/*", "node/policies", "catalog/*", "schedule"},
	"node/settings":        {"node/store/*", "node/identity", "catalog/*", "schedule"},
	"node/operators":       {"node/store/*", "node/identity", "node/settings"},
	"catalog/policy":       {"catalog", "catalog/document", "catalog/rule"},
	"catalog/importer":     {"catalog", "catalog/*"},
	"catalog/token":        {},
	"catalog/federation":   {"catalog", "catalog/document", "catalog/token"},
	"catalog/evaluate":     {"catalog", "catalog/*"},
	"schedule":             {},
	"node/store":           {"catalog/*", "schedule"},
	"node/quorum":          {"node/store/*", "catalog/*", "schedule"},
	"node/bulletins":       {"node/store/*", "catalog/*", "schedule"},
	"node/computers":       {"node/store/*", "node/bulletins/*", "catalog/*", "schedule"},
	"node/policies":        {"node/store/*", "node/identity", "node/bulletins/*", "node/computers/*", "node/replicas/dataset", "catalog/*", "schedule"},
	"node/replicas":        {"node/store/*", "catalog/*"},
	"node/tasks":           {"node/store/*", "catalog/*", "schedule"},
	"node/scopes":          {"node/sites", "node/replicas/*"},
	"node/rollups":         {"node/store/*", "node/bulletins/*", "node/computers/*", "node/sites/*", "node/settings", "catalog/*", "schedule"},
	"node/uploads":         {"node/store"},
	"node/past":            {"node/store/*", "node/computers/*", "node/policies", "node/rollups", "node/settings", "catalog/*"},
	"node/sites/hierarchy": {"node/sites", "node/scopes", "node/store/*", "node/replicas/dataset", "catalog/*"},
	"node/sites":           {"node/store/*", "node/identity", "node/replicas/dataset", "catalog/*", "schedule"},
	"node/places":          {},
	"node/copies":          {"node/store/*", "node/bulletins/*", "node/membership", "node/places", "node/wire", "catalog/*"},
	"node/gossip":          {"node/gossip/keys", "node/wire", "node/members", "node/identity/sealed", "node/store/*"},
	"node/gossip/keys":     {"node/members", "node/identity/sealed", "node/store/*"},
	"node/hints":           {"node/store/*", "node/members"},
	"node/disk":            {},
	"node/check":           {"node/store/*", "catalog/*"},
	"node/backup":          {"node/store/*", "node/identity/*", "node/tasks", "node/disk", "schedule"},
	"node/recovery":        {"node/store/*", "node/identity/*", "node/backup", "node/folder", "node/quorum"},
	"node/imports":         {"node/store/*", "node/bulletins/*", "node/settings", "node/tasks", "node/uploads", "catalog/*"},
	"node/doors":           {"node/folder"},
	"node/reach":           {},
	"node/identity":        {"node/store/*", "catalog/*", "schedule"},
	"node":                 {"node/*", "catalog/*", "schedule"},
	"agentapi":             {"catalog/*", "schedule"},
	"agentapi/server":      {"agentapi", "node/*", "catalog/*", "schedule"},
	"agent":                {"agent/*", "agentapi", "catalog/*", "schedule"},
	"replication":          {"node", "node/*", "catalog/*", "schedule"},
	"console":              {"console/*", "node/*", "replication/*", "catalog/*", "schedule"},
	"cmd":                  {"cmd/*", "console/*", "replication/*", "agentapi/*", "agent/*", "node/*", "catalog/*", "schedule"},
	"bench":                {"*"},
	"ringtest":             {},
	"e2e":                  {"*"},
}

// TestArrowsRunDown holds the design's arrows between rooms, on both systems that the product is built for. Packages
// ending in "test" are helpers: tests import them, shipped code does not.
func TestArrowsRunDown(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		for pkg, imports := range importsOf(t, system) {
			room := roomOf(pkg)
			if room == "" {
				t.Errorf("%s: package %s stands in no room of the design", system, pkg)
				continue
			}
			for _, imported := range imports {
				if isHelper(imported) && !isHelper(pkg) {
					t.Errorf("%s: shipped package %s imports the test helper %s", system, pkg, imported)
				}
				if !isHelper(pkg) && !allowed(room, imported) {
					t.Errorf("%s: %s (room %s) must not import %s", system, pkg, room, imported)
				}
			}
		}
	}
}

// TestAgentIsSmall proves that the agent's binary links nothing of a node.
func TestAgentIsSmall(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		cmd := exec.Command("go", "list", "-deps", "./cmd/thatch-agent")
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: list what the agent links: %v", system, err)
		}
		for _, dep := range strings.Fields(string(out)) {
			for _, banned := range []string{
				"github.com/hashicorp/", "github.com/gorilla/mux", "modernc.org/sqlite", "golang.org/x/crypto/openpgp", "github.com/zalando/",
				"golang.org/x/crypto/argon2", "golang.org/x/oauth2", "github.com/coreos/go-oidc", "github.com/go-jose/",
				"thatch/node", "thatch/console", "thatch/agentapi/server", "thatch/catalog/importer",
			} {
				if strings.HasPrefix(dep, banned) {
					t.Errorf("%s: the agent links %s", system, dep)
				}
			}
		}
	}
}

func importsOf(t *testing.T, system string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: go list: %v", system, err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], "thatch/")
		if pkg == "thatch" {
			continue
		}
		found[pkg] = nil
		for _, imported := range fields[1:] {
			if ours, ok := strings.CutPrefix(imported, "thatch/"); ok {
				found[pkg] = append(found[pkg], ours)
			}
		}
	}
	return found
}

func roomOf(pkg string) string {
	for room := pkg; room != ""; {
		if _, ok := arrows[room]; ok {
			return room
		}
		cut := strings.LastIndexByte(room, '/')
		if cut < 0 {
			return ""
		}
		room = room[:cut]
	}
	return ""
}

func isHelper(pkg string) bool { return strings.HasSuffix(pkg, "test") }

func allowed(room, imported string) bool {
	if imported == room || strings.HasPrefix(imported, room+"/") || roomOf(imported) == room {
		return true
	}
	for _, to := range arrows[room] {
		if to == imported || to == "*" {
			return true
		}
		if family, ok := strings.CutSuffix(to, "/*"); ok && (imported == family || strings.HasPrefix(imported, family+"/")) {
			return true
		}
	}
	return false
}

// TestRings prints which rings this machine runs and which it skips, and why. The go command hides what a passing
// package prints, so the summary goes to the go command's own error output where the system lets us reach it.
func TestRings(t *testing.T) {
	var text strings.Builder
	text.WriteString("rings of tests on this machine:\n  runs     in process\n")
	for _, ring := range ringtest.All() {
		switch err := ring.Missing(); {
		case err != nil:
			fmt.Fprintf(&text, "  SKIPPED  %s: %v; it needs %s\n", ring.Name, err, ring.Needs)
		case testing.Short() && ring != ringtest.RealData:
			fmt.Fprintf(&text, "  SKIPPED  %s: tests are to be short\n", ring.Name)
		default:
			fmt.Fprintf(&text, "  runs     %s\n", ring.Name)
		}
	}
	t.Log(text.String())
	if testing.Verbose() || runtime.GOOS != "linux" {
		return
	}
	out, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/2", os.Getppid()), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return
	}
	defer out.Close()
	fmt.Fprint(out, text.String())
}
