package bulletins_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/evaluate"
	"thatch/catalog/rule"
	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/bulletins"
	"thatch/console/api/apitest"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/imports"
	"thatch/ringtest"
)

// thatch runs one command line in this process, and returns what it printed and its exit code.
func thatch(t *testing.T, n *node.Node, line ...string) (out, said string, code int) {
	t.Helper()
	app := cli.New("test")
	var stdout, stderr bytes.Buffer
	app.Out, app.Err = &stdout, &stderr
	root := &cobra.Command{Use: "thatch"}
	app.Bind(root)
	root.AddCommand(bulletins.Commands(app)...)
	root.SetArgs(append(line, "--data", n.Dir()))
	err := root.ExecuteContext(t.Context())
	if err != nil {
		stderr.WriteString(err.Error())
	}
	return stdout.String(), stderr.String(), cli.ExitCode(err)
}

// must runs a command that has to succeed and to print something.
func must(t *testing.T, n *node.Node, want string, line ...string) string {
	t.Helper()
	out, said, code := thatch(t, n, line...)
	if code != 0 || !strings.Contains(out, want) {
		t.Errorf("thatch %s: exit code %d, want 0 and %q\n%s%s", strings.Join(line, " "), code, want, out, said)
	}
	return out
}

// refused runs a command that has to fail in a certain way, and returns what it printed all the same.
func refused(t *testing.T, n *node.Node, code int, want string, line ...string) string {
	t.Helper()
	out, said, got := thatch(t, n, line...)
	if got != code || !strings.Contains(said, want) {
		t.Errorf("thatch %s: exit code %d, want %d and %q\n%s%s", strings.Join(line, " "), got, code, want, out, said)
	}
	return out
}

func stocked(t *testing.T) *node.Node {
	t.Helper()
	n, _ := apitest.Start(t)
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/good.bin" {
			_, _ = w.Write([]byte("good"))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(vendor.Close)
	sum := sha256.Sum256([]byte("good"))
	good := catalog.File{Name: "good.bin", SHA256: hex.EncodeToString(sum[:]), URL: vendor.URL + "/good.bin"}
	gone := catalog.File{Name: "gone.bin", SHA256: strings.Repeat("ab", 32), URL: vendor.URL + "/gone.bin"}
	doc := func(kind document.Kind, id string, body any) document.Document {
		return bulletinstest.Doc(t, kind, id, nil, body)
	}
	x64 := rule.Test(rule.Architecture, "Is", "x64")
	bulletinstest.Save(t, n.Bulletins, "sdp", "f",
		doc(document.Bulletin, "v/B1", catalog.Bulletin{
			Name: "B1", Source: "sdp", Vendor: "HP", Severity: catalog.Critical, Released: "2019-02-01T00:00:00Z",
			CVEs: []catalog.CVE{{ID: "CVE-2019-0001", Score: 9.8, Exploited: true}},
		}),
		doc(document.Bulletin, "v/B2", catalog.Bulletin{Name: "B2", Source: "sdp", Vendor: "HP", Severity: catalog.Low}),
		doc(document.Update, "v/U1", catalog.Update{Name: "U1", Bulletin: "v/B1", Source: "sdp", Rules: catalog.Rules{Applicable: x64, Installed: rule.Not(x64)}, CVEs: []string{"CVE-2019-0001"}}),
		doc(document.Update, "v/U2", catalog.Update{Name: "U2", Bulletin: "v/B2", Source: "sdp", Rules: catalog.Rules{NoRule: "nobody knows"}}),
		doc(document.Package, "v/P1", catalog.Package{Update: "v/U1", Name: "P1", Files: []catalog.File{good}}),
		doc(document.Package, "v/P2", catalog.Package{Update: "v/U2", Name: "P2", Files: []catalog.File{gone}}))
	return n
}

func TestBulletinsCommands(t *testing.T) {
	n := stocked(t)
	must(t, n, "B1", "bulletins", "list", "--filter", "severity=critical")
	must(t, n, "none", "bulletins", "list", "-q", "nothing of the kind")
	must(t, n, `"total": 2`, "bulletins", "list", "--json", "--limit", "1")
	must(t, n, "go on with --page 2", "bulletins", "list", "--limit", "1")
	must(t, n, "Critical", "bulletins", "list", "--group", "severity")
	must(t, n, "CVE-2019-0001", "bulletins", "show", "b1")
	must(t, n, "U2", "updates", "list", "--filter", "no_rule=yes")
	must(t, n, "nobody knows", "updates", "show", "v/U2")
	must(t, n, "9.8", "updates", "cves", "--filter", "exploited=yes")
	must(t, n, "P1", "packages", "list", "--filter", "bulletin=B1")
	must(t, n, "good.bin", "packages", "show", "v/P1")
	must(t, n, "none", "bulletins", "alarms")

	must(t, n, "B1", "bulletins", "stage", "B1")
	refused(t, n, 1, "1 updates could not be staged", "bulletins", "stage", "B1", "B2")
	must(t, n, "does not host gone.bin", "bulletins", "alarms")
	out := must(t, n, `"downloaded": 1`, "bulletins", "stage", "B1", "--json")
	if !json.Valid([]byte(out)) {
		t.Errorf("stage --json printed more than one object: %s", out)
	}
	must(t, n, "", "bulletins", "stage", "B2", "--detach")
	must(t, n, "no", "bulletins", "unstage", "B2", "B1")

	refused(t, n, 2, "takes one bulletin or more", "bulletins", "stage")
	refused(t, n, 3, "nothing", "bulletins", "stage", "nothing")
	refused(t, n, 3, "nothing", "bulletins", "show", "nothing")
	refused(t, n, 2, "not all of these", "bulletins", "unstage", "B1")
	refused(t, n, 2, "colour", "bulletins", "list", "--group", "colour")
	refused(t, n, 2, "COLUMN=VALUE", "updates", "list", "--filter", "x")
	refused(t, n, 3, "nothing", "packages", "show", "nothing")
}

func TestSeveritiesCommands(t *testing.T) {
	n := stocked(t)
	must(t, n, "made", "severities", "create", "This week", "--order", "20")
	must(t, n, `"id"`, "severities", "create", "Later", "--json")
	must(t, n, "This week", "severities", "list")
	must(t, n, "changed", "severities", "rename", "later", "Some day")
	must(t, n, "changed", "severities", "order", "Some day", "5")
	must(t, n, `"changed": "Some day"`, "severities", "order", "Some day", "6", "--json")
	must(t, n, "This week", "bulletins", "severity", "this week", "B1", "B2")
	refused(t, n, 2, "2 bulletins", "severities", "delete", "This week")
	must(t, n, "deleted", "severities", "delete", "This week", "--reassign", "Some day")
	must(t, n, "B1", "bulletins", "severity", "none", "B1")
	refused(t, n, 2, "no number", "severities", "order", "Some day", "first")
	refused(t, n, 4, "already", "severities", "create", "some day")
	refused(t, n, 2, "a custom severity, or none", "bulletins", "severity", "Some day")
	refused(t, n, 3, "nobody", "severities", "rename", "nobody", "x")
}

func TestPackagesCommands(t *testing.T) {
	n := stocked(t)
	path := filepath.Join(t.TempDir(), "setup.msi")
	if err := os.WriteFile(path, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	out := must(t, n, "id", "packages", "add", "v/U2", "--file", path, "--language", "de", "--arguments", "/qn", "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	must(t, n, "/qn", "packages", "show", made.ID)
	must(t, n, "removed", "packages", "remove", made.ID)
	refused(t, n, 3, made.ID, "packages", "remove", made.ID)
	refused(t, n, 2, "comes from a vendor", "packages", "remove", "v/P1")
	refused(t, n, 2, "each address needs its digest", "packages", "add", "v/U2", "--url", "https://vendor.example/a.msi")
	refused(t, n, 2, "missing", "packages", "add", "v/U2", "--file", path+".missing")
	refused(t, n, 2, "at least one file", "packages", "add", "v/U2")
}

func TestCatalogCommands(t *testing.T) {
	n, _ := apitest.Start(t)
	sample := "../../internal/demo/sample/cvrf-2026-Oct.xml"
	out := must(t, n, "kb_products", "catalog", "import", "--source", "msrc", "--from", sample, "--json")
	var result imports.Imported
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Files != 1 || result.Changed == 0 {
		t.Errorf("%s, %v", out, err)
	}
	must(t, n, "1 unchanged", "catalog", "import", "--source", "msrc", "--from", sample)
	must(t, n, "done", "catalog", "runs")
	must(t, n, "changed", "catalog", "sources", "set", "msrc", "--from", sample, "--schedule", "@daily", "--on", "--exclude", "Browser")
	must(t, n, "@daily", "catalog", "sources")
	must(t, n, "Browser", "catalog", "sources", "list")
	must(t, n, "vendor files read", "catalog", "import", "--source", "msrc")
	must(t, n, `"changed": "msrc"`, "catalog", "sources", "set", "msrc", "--vendor", "--off", "--inherit-exclude", "--json")
	must(t, n, "vendor files read", "catalog", "import", "--source", "sdp", "--upload", "../../../catalog/importer/sdp/testdata/full.sdp")
	refused(t, n, 2, "want an SDP package", "catalog", "import", "--source", "sdp", "--upload", "commands_test.go")
	refused(t, n, 2, "alone", "catalog", "import", "--source", "sdp", "--upload", "x.cab", "--from", "y.cab")
	refused(t, n, 2, "--upload", "catalog", "import", "--source", "sdp", "--upload", "none.cab")
	refused(t, n, 2, "--source", "catalog", "import")
	refused(t, n, 2, "no source", "catalog", "import", "--source", "nobody")
	if out := refused(t, n, 1, "nowhere", "catalog", "import", "--source", "msrc", "--from", "nowhere"); strings.Contains(out, "0 vendor files") {
		t.Errorf("a location that is not there is counted: %s", out)
	}
	web := filepath.Join(t.TempDir(), "vendor.cab")
	if err := os.WriteFile(web, []byte("<!DOCTYPE html><html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		refused(t, n, 1, "this is no cabinet", "catalog", "import", "--source", "sdp", "--from", web)
	}
	sdp := filepath.Join(t.TempDir(), "catalog.xml")
	if err := os.WriteFile(sdp, []byte(`<c:SystemsManagementCatalog xmlns:c="x"><SoftwareDistributionPackage/></c:SystemsManagementCatalog>`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, n, 1, "package in line 1", "catalog", "import", "--source", "sdp", "--from", sdp)
	if out := refused(t, n, 1, "package in line 1", "catalog", "import", "--source", "sdp", "--from", sdp); !strings.Contains(out, "1 unchanged") {
		t.Errorf("a file of which a part failed, again: %s", out)
	}
	refused(t, n, 3, "nobody", "catalog", "sources", "set", "nobody", "--on")
	refused(t, n, 2, "schedule", "catalog", "sources", "set", "msrc", "--schedule", "now and then")
	refused(t, n, 2, "if any flags", "catalog", "sources", "set", "msrc", "--on", "--off")
}

func TestEvaluateCommand(t *testing.T) {
	n := stocked(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	host := file("host.json", `{"name":"PC","system":{"platform":"windows","build":17763,"architecture":"x64","languages":["de-DE"]},
		"registry":{"native":{"SOFTWARE\\Example":{"values":{}}}}}`)
	out := must(t, n, "missing", "evaluate", "--host", host, "--json", "--as-of", "2030-01-01")
	var result evaluate.Result
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Missing) != 1 || result.Missing[0].Update != "v/U1" || len(result.Unknown) != 1 {
		t.Errorf("%s, %v", out, err)
	}
	must(t, n, "CANNOT BE TOLD", "evaluate", "--host", host)
	must(t, n, "PC", "evaluate", "--host", host, "--hotfixes", file("qfe.txt", "N/A"))
	refused(t, n, 2, "--host", "evaluate")
	refused(t, n, 2, "no such file", "evaluate", "--host", filepath.Join(dir, "nothing"))
	refused(t, n, 1, "not a recorded host", "evaluate", "--host", file("other.txt", "a shopping list"))
	refused(t, n, 2, "yesterday", "evaluate", "--host", host, "--as-of", "yesterday")
	refused(t, n, 2, "no recording", "evaluate", "--host", file("huge.txt", strings.Repeat("x", 5<<20)))
}

// Every recorded host that administrators gave us is recognised.
func TestEvaluateRealHosts(t *testing.T) {
	hosts, err := filepath.Glob(filepath.Join(ringtest.Data(t, "hosts"), "*systeminfo.txt"))
	if err != nil || len(hosts) == 0 {
		t.Fatal("no hosts", err)
	}
	n := stocked(t)
	for _, host := range hosts {
		var result evaluate.Result
		out := must(t, n, "", "evaluate", "--host", host, "--json")
		if err := json.Unmarshal([]byte(out), &result); err != nil || !result.Host.Recognised || result.Host.Product == "" || result.Host.Build == "" || result.Host.Language == "" {
			t.Errorf("%s: %+v, %v", filepath.Base(host), result.Host, err)
		}
	}
}

// What real vendor files say: every update of two KB articles is told of by its product, once, under one number.
func TestStageRealCounts(t *testing.T) {
	n, _ := apitest.Start(t)
	must(t, n, "", "catalog", "import", "--source", "msrc", "--from", filepath.Join(ringtest.Data(t, "msrc"), "cvrf-2019-Feb.xml.gz"))
	out := must(t, n, "31 updates have no package yet: ", "bulletins", "stage", "KB4487017", "KB4487044")
	if lines := strings.Count(out, "MSRC files name no payloads"); lines != 1 {
		t.Errorf("one reason is given %d times:\n%s", lines, out)
	}
	var answer struct {
		Alarms []struct{ Bulletin, Product, ID string }
	}
	whole := must(t, n, "", "bulletins", "stage", "KB4487017", "KB4487044", "--json")
	if err := json.Unmarshal([]byte(whole), &answer); err != nil || len(answer.Alarms) != 31 {
		t.Fatalf("%d alarms, %v", len(answer.Alarms), err)
	}
	printed := strings.Join(strings.Fields(out), " ")
	for _, alarm := range answer.Alarms {
		if alarm.Product == "" || !strings.Contains(printed, alarm.Product) {
			t.Errorf("%s %q is not named in\n%s", alarm.ID, alarm.Product, out)
		}
	}
}
