package e2e_test

import (
	"crypto/sha1" //nolint:gosec // catalogs name payloads by it
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"thatch/agent/facts"
	"thatch/agent/simulated"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
	"thatch/ringtest"
)

// offered is what the vendor of these tests publishes: a product each, with a bulletin of its own.
var offered = []struct{ bulletin, product, severity string }{
	{"ES-2026-1", "Ledger", "Critical"}, {"ES-2026-2", "Reader", "Important"}, {"ES-2026-3", "Toolbar", "Low"},
}

// vendorSite serves a catalog and its set-up programs, which are signed by nobody.
func vendorSite(t *testing.T) (catalog string) {
	t.Helper()
	files := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(body)))
	}))
	t.Cleanup(server.Close)
	const ns = "http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/"
	var text strings.Builder
	text.WriteString(`<smc:SystemsManagementCatalog xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"` +
		` xmlns:sdp="` + ns + `SoftwareDistributionPackage.xsd" xmlns:bar="` + ns + `BaseApplicabilityRules.xsd" xmlns:cmd="` + ns + `Installers/CommandLineInstallation.xsd">`)
	for i, o := range offered {
		file, content := strings.ToLower(o.product)+".exe", []byte("version 2 of "+o.product)
		files[file] = content
		one, two := sha1.Sum(content), sha256.Sum256(content) //nolint:gosec // see the import
		fmt.Fprintf(&text, `<smc:SoftwareDistributionPackage SchemaVersion="1.2">
<sdp:Properties PackageID="00000000-0000-0000-0000-%012[1]d" CreationDate="2026-10-13T08:00:00Z" VendorName="Example Software"><sdp:ProductName>%[2]s</sdp:ProductName></sdp:Properties>
<sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>%[2]s 2 security update</sdp:Title></sdp:LocalizedProperties>
<sdp:UpdateSpecificData UpdateClassification="Security Updates" MsrcSeverity="%[3]s"><sdp:SecurityBulletinID>%[4]s</sdp:SecurityBulletinID><sdp:CveID>CVE-2026-3000%[1]d</sdp:CveID></sdp:UpdateSpecificData>
<sdp:InstallableItem ID="00000001-0000-0000-0000-%012[1]d"><sdp:ApplicabilityRules>
<sdp:IsInstalled><bar:RegSzToVersion Key="HKEY_LOCAL_MACHINE" Subkey="Software\Example\%[2]s" Value="Version" Comparison="GreaterThanOrEqualTo" Data="2.0.0.0"/></sdp:IsInstalled>
<sdp:IsInstallable><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="Software\Example\%[2]s"/></sdp:IsInstallable></sdp:ApplicabilityRules>
<sdp:InstallProperties RebootBehavior="NeverReboots"/>
<cmd:CommandLineInstallerData Program="%[5]s" Arguments="/quiet" DefaultResult="Failed" RebootByDefault="false"><cmd:ReturnCode Code="0" Result="Succeeded" Reboot="false"/></cmd:CommandLineInstallerData>
<sdp:OriginFile Digest="%[6]s" FileName="%[5]s" Size="%[7]d" Modified="2026-10-13T08:00:00Z" OriginUri="%[8]s/%[5]s"><sdp:AdditionalDigest Algorithm="SHA256">%[9]s</sdp:AdditionalDigest></sdp:OriginFile>
</sdp:InstallableItem></smc:SoftwareDistributionPackage>
`, i, o.product, o.severity, o.bulletin, file, base64.StdEncoding.EncodeToString(one[:]), len(content), server.URL,
			base64.StdEncoding.EncodeToString(two[:]))
	}
	text.WriteString(`</smc:SystemsManagementCatalog>`)
	files["catalog.xml"] = []byte(text.String())
	return server.URL + "/catalog.xml"
}

// agent is a made-up computer with the shipped agent.
type agent struct {
	t      *testing.T
	folder string
}

// newAgent enrols a computer that has version 1 of products.
func newAgent(t *testing.T, s *site, name, group string, products ...string) *agent {
	t.Helper()
	registry := memory.NewRegistry()
	for _, product := range products {
		registry.SetText(rule.Native, `Software\Example\`+product, "Version", "1.0.0.0")
	}
	a := &agent{t: t, folder: t.TempDir()}
	_, err := simulated.Create(filepath.Join(a.folder, "computer.json"), simulated.Definition{
		Machine: facts.Machine{Name: name, ID: "simulated-" + name},
		Facts: &memory.Host{
			Name: name, Registry: registry, Hotfixes: &rule.Hotfixes{Complete: true},
			System: &rule.System{
				Platform: "windows", Name: "Microsoft Windows 11 Enterprise", Product: "Windows 11 Version 23H2 for x64-based Systems", Major: 10,
				Build: 22631, Revision: 9001, ProductType: 1, InstallationType: "client", Architecture: "x64", Languages: []string{"en"}, Processors: 4,
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Token string }
	s.must(&made, "tokens", "create", "--name", name, "--group", group)
	a.run("enrol", "--node", "https://"+s.listen, "--token", made.Token)
	return a
}

// roundMade is the exit code of a round in which an install failed: agents refuse programs that nobody signed.
const roundMade = 6

// run runs a command of the agent.
func (a *agent) run(args ...string) {
	a.t.Helper()
	args = append(args, "--data", filepath.Join(a.folder, "agent"), "--simulated", filepath.Join(a.folder, "computer.json"))
	out, err := exec.Command(program(a.t, "thatch-agent"), args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != roundMade) {
		a.t.Fatalf("thatch-agent %s: %v\n%s", args[0], err, out)
	}
}

// stock is the first half of what the product's manual recommends, by pages alone: the catalog goes in, and a bulletin is
// staged with its packages.
func stock(t *testing.T, b *browser, h hands, catalog string) {
	t.Helper()
	h.visit("/catalog")
	h.push(`#source-sdp details summary`)
	h.write(`#source-sdp details input[name="from"]`, catalog)
	h.press(`#source-sdp details button[value="import"]`)
	b.ends(t, "the import")

	h.visit("/bulletins")
	if rows := b.texts("table.list tbody tr"); len(rows) != len(offered) {
		t.Fatalf("the import brought %d bulletins, want %d: %q", len(rows), len(offered), rows)
	}
	h.choose(b.keyOf("ES-2026-1"))
	h.press(`button[value="stage"]`)
	b.ends(t, "staging")
}

// ends waits on a run's page until it is done.
func (b *browser) ends(t *testing.T, what string) {
	t.Helper()
	b.awaits(`#run .state.good, #run .state.bad`)
	if b.is(has("#run .state.bad")) {
		t.Fatalf("%s failed:\n%s", what, b.text("main"))
	}
}

// order is the other half: the wizard counts, and makes a policy of what is staged. It returns the policy's path.
func order(t *testing.T, b *browser, h hands) string {
	t.Helper()
	h.visit("/bulletins")
	key := b.keyOf("ES-2026-1")
	row := `tr:has(input[value="` + key + `"]) `
	if staged, downloaded := b.text(row+`[data-label="Staged"]`), b.text(row+`[data-label="Downloaded"]`); staged != "yes" || downloaded != "1" {
		t.Errorf("after staging the bulletin is staged %q, with %q updates downloaded", staged, downloaded)
	}
	h.choose(key)
	h.press(`button[value="policy"]`)
	h.press(`.foot button[value="next"]`)
	for _, want := range []string{"What it would do here", "By platform", "By language", "By site"} {
		if outlook := b.text("#outlook"); !strings.Contains(strings.ToLower(outlook), strings.ToLower(want)) {
			t.Errorf("the wizard's second page does not say %q:\n%s", want, outlook)
		}
	}
	if told := b.text("#dry-run table.list tbody"); !strings.Contains(told, "HERE-01") {
		t.Errorf("the dry run does not tell of the computer that lacks it:\n%s", b.text("#dry-run"))
	}
	h.press(`.foot button[value="create"]`)
	if note := b.text(".note.good"); !strings.Contains(note, "is made") {
		t.Errorf("after the last click the page says %q", note)
	}
	return ask(b, chromedp.Evaluate[string]("location.pathname"))
}

// TestRecommendedWorkflow does at a parent what the manual recommends, and sees it arrive at a child and its computer.
func TestRecommendedWorkflow(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	catalog := vendorSite(t)
	top := namedSite(t, "Top", "de,en")
	child := newChild(t, top, "North", "en")
	for _, s := range []*site{top, child} {
		s.must(nil, "settings", "set", "staging.check_signatures", "no")
	}
	child.must(nil, "operators", "create", "nora", "--scope", "operator")
	here, there := newAgent(t, top, "HERE-01", "office", "Ledger"), newAgent(t, child, "NORTH-01", "office", "Ledger")
	newAgent(t, child, "NORTH-02", "office").run("once")

	b := openBrowser(t)
	b.size(1440, 900)
	signUp(t, b, mouse{b}, top)
	stock(t, b, mouse{b}, catalog)
	home := strings.TrimSuffix(ask(b, chromedp.Location()), ask(b, chromedp.Evaluate[string]("location.pathname")))
	here.run("once")

	b.enter(child, "nora")
	shows := func(computer, column string) string {
		b.open(child.at("/computers?q=" + computer))
		return b.text(`tbody [data-label="` + column + `"]`)
	}
	within(t, time.Minute, "the child shows that its computer lacks what came from above", func() bool {
		there.run("once") // the catalog is on its way
		return shows("NORTH-01", "Missing") == "1"
	})
	if n := shows("NORTH-02", "Missing"); n != "0" {
		t.Errorf("a computer without the product misses %q updates", n)
	}

	b.open(home + "/")
	policy := order(t, b, mouse{b})
	b.open(child.at("/policies?columns=policy,state,site,from_above,targeted"))
	b.reloads(time.Minute, `tbody tr [data-label="Policy"] a`)
	if from := b.text(`[data-label="From above"]`); from != "yes" {
		t.Errorf("the policy came to the child, where it is from above: %q", from)
	}
	b.open(child.at(policy))
	if note := b.text(".note.busy"); !strings.Contains(note, "comes from Top") {
		t.Errorf("the child's page of the policy says %q", note)
	}
	if b.is(has(`button[value="delete"], a[href$="/revise"], a[href$="/change"]`)) {
		t.Error("the child offers to change what its parent decides")
	}
	within(t, time.Minute, "the child shows that its computer tried, and refused what nobody signed", func() bool {
		there.run("once")
		return shows("NORTH-01", "Failed") == "1"
	})
	for _, fault := range b.found() {
		t.Error(fault)
	}
}

// TestKeyboardOnly walks the same way without a mouse, and on to a report.
func TestKeyboardOnly(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	alone(t, func(b *browser) hands { return keys{b} })
}

// TestNoScript walks the same way where pages may run no script.
func TestNoScript(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	alone(t, func(b *browser) hands {
		b.noScript()
		return mouse{b}
	})
}

// alone walks the recommended way at a site without others, and looks at a report of it.
func alone(t *testing.T, with func(b *browser) hands) {
	t.Helper()
	catalog := vendorSite(t)
	s := newSite(t, "en")
	s.must(nil, "settings", "set", "staging.check_signatures", "no")
	here := newAgent(t, s, "HERE-01", "office", "Ledger")
	b := openBrowser(t)
	b.size(1440, 900)
	h := with(b)
	signUp(t, b, h, s)
	stock(t, b, h, catalog)
	here.run("once")
	order(t, b, h)
	h.visit("/reports")
	h.press(`main a[href="/reports/bulletins"]`)
	if rows := strings.Join(b.texts("table.list tbody tr"), "\n"); !strings.Contains(rows, "ES-2026-1") {
		t.Errorf("the report does not tell of the bulletin:\n%s", rows)
	}
	for _, fault := range b.found() {
		t.Error(fault)
	}
}
