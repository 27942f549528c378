package winetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts"
	"thatch/agent/winetest"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
)

const agentProgram = "cmd/thatch-agent"

type known struct {
	Machine facts.Machine `json:"machine"`
	System  rule.System   `json:"system"`
}

func factsOf(t *testing.T, c *winetest.Computer) known {
	t.Helper()
	var k known
	if err := json.Unmarshal([]byte(c.Must(winetest.Build(t, agentProgram), "facts", "--json")), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFactsOfTwoComputers(t *testing.T) {
	german := winetest.New(t, winetest.Options{Name: "BERLIN-1", Language: "de_DE", Build: "17763", Revision: 316})
	server := winetest.New(t, winetest.Options{Name: "LONDON-1", Server: true, Build: "17763"})
	d, e := factsOf(t, german), factsOf(t, server)
	if d.Machine.ID == "" || d.Machine.ID == e.Machine.ID {
		t.Errorf("machine ids %q and %q", d.Machine.ID, e.Machine.ID)
	}
	for _, c := range []struct {
		name    string
		got     known
		machine string
		want    rule.System
	}{
		{"german", d, "BERLIN-1", rule.System{Product: "Windows 10 Version 1809 for x64-based Systems", Revision: 316, ProductType: 1, Languages: []string{"de-de"}}},
		{"server", e, "LONDON-1", rule.System{Product: "Windows Server 2019", Revision: 0, ProductType: 3, Languages: []string{"en-us"}}},
	} {
		s := c.got.System
		if s.Platform != "windows" || s.Major != 10 || s.Build != 17763 || s.Architecture != "x64" || s.Product != c.want.Product ||
			s.Revision != c.want.Revision || s.ProductType != c.want.ProductType || len(s.Languages) == 0 || s.Languages[0] != c.want.Languages[0] {
			t.Errorf("%s: %+v", c.name, s)
		}
		if !strings.EqualFold(c.got.Machine.Name, c.machine) {
			t.Errorf("%s calls itself %q", c.name, c.got.Machine.Name)
		}
	}
	first := d.Machine.Boot
	if again := factsOf(t, german).Machine.Boot; first == "" || again != first {
		t.Errorf("starts %q and %q without a restart", first, again)
	}
	german.Off()
	if next := factsOf(t, german); next.Machine.Boot == first || next.Machine.ID != d.Machine.ID {
		t.Errorf("after a restart: start %q (before: %q), machine id %q", next.Machine.Boot, first, next.Machine.ID)
	}
}

// The agent's own packages pass their tests as a Windows program too.
func TestPackagesUnderWine(t *testing.T) {
	c := winetest.New(t, winetest.Options{})
	for _, pkg := range []string{"agent/facts", "agent/install"} {
		out := c.Must(winetest.BuildTest(t, pkg), "-test.timeout", "100s")
		if !strings.Contains(out, "PASS") {
			t.Errorf("%s: %s", pkg, out)
		}
	}
}

// real is a Wine computer with a real agent, at a node of the test.
type real struct {
	*testing.T
	node     *agentapitest.Node
	computer *winetest.Computer
	updates  map[uint32]document.Document
}

func newReal(t *testing.T, opts winetest.Options) *real {
	r := &real{T: t, node: agentapitest.NewNode(t, time.Now), computer: winetest.New(t, opts), updates: map[uint32]document.Document{}}
	r.computer.Must(r.program(), "enrol", "--node", r.node.URL(), "--token", r.node.Token.String())
	return r
}

func (r *real) program() string { return winetest.Build(r, agentProgram) }

// once makes a round of the agent and wants an exit code.
func (r *real) once(want int) {
	r.Helper()
	out, code, errs := r.computer.Run(r.program(), "once")
	if code != want {
		r.Fatalf("the round ended with %d, want %d\n%s%s", code, want, out, errs)
	}
}

func (r *real) expect(number uint32, status agentapi.Status, text string) {
	r.Helper()
	if state := r.node.View().States[number]; state.Status != status || !strings.Contains(state.Text, text) {
		r.Fatalf("update %d is %q (%s), want %q with %q", number, state.Status, state.Text, status, text)
	}
}

func version(p winetest.Product, value string) *rule.Rule {
	return rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", `SOFTWARE\Example\`+p.Name, "Value", "Version", "Comparison", "EqualTo", "Data", value)
}

// update makes an update that brings a product to a version on every computer.
func (r *real) update(number uint32, p winetest.Product, supersedes ...string) document.Document {
	doc := r.node.Document(r, document.Update, "test:"+p.Name+"-"+p.Version, nil, catalog.Update{
		Name: p.Name + " " + p.Version, Source: "test", Vendor: "Example", Product: catalog.Product{Name: p.Name},
		Rules: catalog.Rules{Applicable: &rule.Rule{Op: "True"}, Installed: version(p, p.Version)}, Relations: catalog.Relations{Supersedes: supersedes},
	})
	r.node.SetUpdate(number, doc)
	r.updates[number] = doc
	return doc
}

// packed is an MSI with the language of its package.
type packed struct{ path, language string }

func (r *real) ordered(number uint32, packs ...packed) agentapi.OrderedUpdate {
	r.Helper()
	update := r.updates[number]
	given := agentapi.OrderedUpdate{Number: number, Update: update, Held: true}
	for _, p := range packs {
		content, err := os.ReadFile(p.path)
		if err != nil {
			r.Fatal(err)
		}
		name, digest := filepath.Base(p.path), r.node.PutPayload(content)
		var languages []string
		if p.language != "" {
			languages = []string{p.language}
		}
		doc := r.node.Document(r, document.Package, update.ID+"/"+name, languages, catalog.Package{
			Update: update.ID, Name: name, Files: []catalog.File{{Name: name, Size: int64(len(content)), SHA256: digest}},
			Installer: catalog.Installer{Type: catalog.MSI, File: name},
		})
		given.Packages = append(given.Packages, doc)
		given.Payloads = append(given.Payloads, r.node.Document(r, document.Payload, doc.ID, languages, catalog.Payload{
			Package: doc.ID, PackageDigest: doc.Digest, Files: []catalog.StagedFile{{Name: name, SHA256: digest, Size: int64(len(content))}},
		}))
	}
	return given
}

func (r *real) order(updates ...agentapi.OrderedUpdate) {
	r.Helper()
	body := policy.Policy{Name: "policy", Target: policy.Target{NeedsIt: true}, Plan: policy.Plan{When: policy.StartASAP}}
	for _, u := range updates {
		pin := policy.Update{Update: u.Update.ID, Digest: u.Update.Digest, Enabled: true}
		for i := range u.Packages {
			pin.Packages = append(pin.Packages, policy.Pin{ID: u.Packages[i].ID, Digest: u.Packages[i].Digest, PayloadDigest: u.Payloads[i].Digest})
		}
		body.Updates = append(body.Updates, pin)
	}
	r.node.Order([]agentapi.AssignedPolicy{{Document: r.node.Document(r, document.Policy, "policy", nil, body), Updates: updates}})
}

func (r *real) content(p winetest.Product) string {
	raw, err := os.ReadFile(r.computer.Path(`C:\Program Files\` + p.Name + `\content.txt`))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw))
}

func TestAgentInstallsTheMSIOfItsLanguage(t *testing.T) {
	publisher := winetest.NewPublisher(t, "Example Software")
	r := newReal(t, winetest.Options{Name: "BERLIN-2", Language: "de_DE"})
	dir := t.TempDir()
	english, p := winetest.MSI(t, dir, winetest.Product{Name: "Reader", Version: "1.0.0", Language: 1033, Content: "hello"})
	german, _ := winetest.MSI(t, dir, winetest.Product{Name: "Reader", Version: "1.0.0", Language: 1031, Content: "hallo", Upgrade: p.Upgrade})
	newer, p2 := winetest.MSI(t, dir, winetest.Product{Name: "Reader", Version: "2.0.0", Language: 1031, Content: "neu", Upgrade: p.Upgrade})
	for _, path := range []string{english, german, newer} {
		publisher.Sign(t, path)
	}
	r.node.Lock()
	r.node.Settings.RequireSigned, r.node.Settings.Trusted = true, []string{publisher.Fingerprint()}
	r.node.Unlock()

	old := r.update(1, p)
	first := r.ordered(1, packed{english, "en"}, packed{german, "de"})
	r.order(first)
	r.once(0)
	r.expect(1, agentapi.Installed, "")
	if got := r.content(p); got != "hallo" {
		t.Fatalf("installed is %q, want the German package", got)
	}
	r.once(0)
	if attempts := r.node.View().Attempts; len(attempts) != 1 {
		t.Fatalf("attempts %+v", attempts)
	}

	// Uninstalling by hand brings it back.
	r.computer.Must("msiexec", "/x", winetest.Windows(german), "/qn")
	if got := r.content(p); got == "hallo" {
		t.Fatal("it was not uninstalled")
	}
	r.once(0)
	r.expect(1, agentapi.Installed, "")
	if got := r.content(p); got != "hallo" {
		t.Fatalf("after uninstalling by hand there is %q", got)
	}

	// A superseding one replaces it.
	r.update(2, p2, old.ID)
	r.order(first, r.ordered(2, packed{newer, "de"}))
	r.once(0)
	r.expect(2, agentapi.Installed, "")
	r.expect(1, agentapi.Superseded, "Reader 2.0.0")
	if got := r.content(p); got != "neu" {
		t.Fatalf("after the upgrade there is %q", got)
	}
}

func TestAgentRefusesWhatANodeIsMadeToServe(t *testing.T) {
	publisher := winetest.NewPublisher(t, "Example Software")
	r := newReal(t, winetest.Options{})
	dir := t.TempDir()
	r.node.Lock()
	r.node.Settings.RequireSigned, r.node.Settings.Trusted = true, []string{publisher.Fingerprint()}
	r.node.Unlock()
	unsigned, p1 := winetest.MSI(t, dir, winetest.Product{Name: "Unsigned", Version: "1.0.0", Content: "x"})
	tampered, p2 := winetest.MSI(t, dir, winetest.Product{Name: "Tampered", Version: "1.0.0", Content: "tamper with me, please"})
	stranger, p3 := winetest.MSI(t, dir, winetest.Product{Name: "Stranger", Version: "1.0.0", Content: "x"})
	publisher.Sign(t, tampered)
	winetest.NewPublisher(t, "Somebody Else").Sign(t, stranger)
	raw, err := os.ReadFile(tampered)
	if err != nil {
		t.Fatal(err)
	}
	bent := []byte(strings.Replace(string(raw), "Example", "Exemple", 1))
	if string(bent) == string(raw) {
		t.Fatal("there is nothing to tamper with in the package")
	}
	if err := os.WriteFile(tampered, bent, 0o600); err != nil {
		t.Fatal(err)
	}
	r.update(1, p1)
	r.update(2, p2)
	r.update(3, p3)
	r.order(r.ordered(1, packed{unsigned, ""}), r.ordered(2, packed{tampered, ""}), r.ordered(3, packed{stranger, ""}))
	r.once(6)
	r.expect(1, agentapi.FailedRescheduled, "not signed")
	r.expect(2, agentapi.FailedRescheduled, "does not hold")
	r.expect(3, agentapi.FailedRescheduled, "not trusted")
	for _, p := range []winetest.Product{p1, p2, p3} {
		if out, code, _ := r.computer.Run("reg", "query", `HKLM\SOFTWARE\Example\`+p.Name); code == 0 {
			t.Errorf("%s was installed: %s", p.Name, out)
		}
	}
}

func TestPowerCutAtAnyMoment(t *testing.T) {
	r := newReal(t, winetest.Options{})
	dir := t.TempDir()
	path, p := winetest.MSI(t, dir, winetest.Product{Name: "Cut", Version: "1.0.0", Content: "whole"})
	r.update(1, p)
	// A power cut counts as a try when the installer was under way.
	r.node.Lock()
	r.node.Settings.Attempts = 50
	r.node.Unlock()
	r.order(r.ordered(1, packed{path, ""}))
	for _, delay := range []time.Duration{50, 150, 300, 500, 700, 900, 1200, 1600} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		cmd := r.computer.Command(ctx, r.program(), "once")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cut := time.NewTimer(delay * time.Millisecond)
		<-cut.C
		r.computer.Off()
		_ = cmd.Wait()
		cancel()
	}
	// The last cut may have met the installer: a round finds that out. A retry after a failure waits ten minutes; the
	// agent's own clock is the computer's, so its note is set back.
	r.hurry()
	_, _, _ = r.computer.Run(r.program(), "once")
	r.hurry()
	r.once(0)
	r.expect(1, agentapi.Installed, "")
	if got := r.content(p); got != "whole" {
		t.Fatalf("installed is %q", got)
	}
	if view := r.node.View(); !view.Installed[1] || view.Applicable[1] {
		t.Fatalf("the site sees %+v", view)
	}
}

// hurry lets what waits for its next try be tried at once.
func (r *real) hurry() {
	r.Helper()
	files, err := filepath.Glob(filepath.Join(r.computer.Path(`C:\ProgramData\Thatch Agent\orders`), "*.json"))
	if err != nil {
		r.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			r.Fatal(err)
		}
		var progress map[string]any
		if err := json.Unmarshal(raw, &progress); err != nil {
			r.Fatalf("%s after a power cut: %v: %q", file, err, raw)
		}
		progress["next"] = time.Time{}
		if raw, err = json.Marshal(progress); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			r.Fatal(err)
		}
	}
}

func TestServiceUnderWine(t *testing.T) {
	r := newReal(t, winetest.Options{})
	program := r.program()
	if out := r.computer.Must(program, "service", "install"); !strings.Contains(out, "stopped") {
		t.Errorf("after the installation: %s", out)
	}
	r.computer.Must(program, "service", "start")
	if out := r.computer.Must(program, "service", "status"); !strings.Contains(out, "running") {
		t.Errorf("after the start: %s", out)
	}
	r.computer.Must(program, "service", "stop")
	if out := r.computer.Must(program, "service", "status"); !strings.Contains(out, "stopped") {
		t.Errorf("after the stop: %s", out)
	}
	r.computer.Must(program, "service", "uninstall")
	if _, err := os.Stat(r.computer.Path(`C:\ProgramData\Thatch Agent\agent.log`)); err != nil {
		t.Errorf("the service wrote no log: %v", err)
	}
}

// The agent goes by codes and rules, not by words: the installer's own are German here.
func TestFailingMSI(t *testing.T) {
	r := newReal(t, winetest.Options{Language: "de_DE"})
	path, p := winetest.MSI(t, t.TempDir(), winetest.Product{Name: "Never", Version: "1.0.0", Content: "x"})
	if err := os.Truncate(path, 2000); err != nil { // what the vendor published, and broken all the same
		t.Fatal(err)
	}
	r.update(1, p)
	r.order(r.ordered(1, packed{path, ""}))
	r.once(6)
	r.expect(1, agentapi.FailedRescheduled, "the installer returned")
	for _, attempt := range r.node.View().Attempts {
		if attempt.Success || attempt.Code == 0 {
			t.Errorf("%+v", attempt)
		}
	}
}

// What rules ask of a real registry, real files and WMI is answered; nothing of it is "cannot tell".
func TestRulesOnARealComputer(t *testing.T) {
	r := newReal(t, winetest.Options{Build: "17763", Revision: 316})
	for number, c := range []struct {
		rule *rule.Rule
		want bool
	}{
		{rule.Test("WmiQuery", "Namespace", `root\cimv2`, "WqlQuery", "select * from Win32_OperatingSystem"), true},
		{rule.Test("WmiQuery", "WqlQuery", "select * from Win32_ComputerSystem where Manufacturer = 'No Such Maker'"), false},
		{rule.Test("FileExists", "Csidl", "37", "Path", "kernel32.dll"), true},
		{rule.Test("FileExists", "Csidl", "37", "Path", "no-such.dll"), false},
		{rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", `SOFTWARE\Microsoft\Windows NT\CurrentVersion`), true},
		{rule.Test(rule.WindowsBuild, "Comparison", "EqualTo", "Build", "17763", "Revision", "316"), true},
		{rule.Test("Processor", "Architecture", "9"), true},
		{rule.Test("SystemMetric", "Comparison", "EqualTo", "Index", "67", "Value", "0"), true},
		{rule.Test("MsiProductInstalled", "ProductCode", "{00000000-1111-2222-3333-444444444444}"), false},
		{rule.Test("ClusteredOS"), false},
		{rule.Test(rule.Language, "Is", "en"), true},
	} {
		doc := r.node.Document(r, document.Update, fmt.Sprint("rule-", number), nil, catalog.Update{
			Name: c.rule.Op, Rules: catalog.Rules{Applicable: c.rule, Installed: rule.Test("False")},
		})
		r.node.SetUpdate(uint32(number), doc)
		defer func() {
			view := r.node.View()
			if view.Applicable[uint32(number)] != c.want || view.Unknown[uint32(number)] {
				t.Errorf("%s %v: %v, unknown %v (%s)", c.rule.Op, c.rule.With, view.Applicable[uint32(number)], view.Unknown[uint32(number)], view.Reasons[uint32(number)])
			}
		}()
	}
	r.once(0)
}
