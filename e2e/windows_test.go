package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"thatch/agent/winetest"
	"thatch/ringtest"
)

// sdpText is an SDP package whose items are MSI files, one for each language.
var sdpText = template.Must(template.New("sdp").Parse(`<?xml version="1.0" encoding="utf-8"?>
<sdp:SoftwareDistributionPackage SchemaVersion="1.2"
  xmlns:sdp="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/SoftwareDistributionPackage.xsd"
  xmlns:lar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/LogicalApplicabilityRules.xsd"
  xmlns:bar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/BaseApplicabilityRules.xsd"
  xmlns:msiar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/MsiApplicabilityRules.xsd"
  xmlns:msi="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/Installers/MsiInstallation.xsd">
  <sdp:Properties PackageID="{{.ID}}" CreationDate="2026-10-01T00:00:00Z" VendorName="Example Software"/>
  <sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>{{.Name}}</sdp:Title><sdp:Description>A test.</sdp:Description></sdp:LocalizedProperties>
  <sdp:UpdateSpecificData UpdateClassification="Security Updates" MsrcSeverity="Critical"><sdp:SecurityBulletinID>{{.Name}}</sdp:SecurityBulletinID></sdp:UpdateSpecificData>
  <sdp:IsInstallable><bar:WindowsVersion Comparison="GreaterThanOrEqualTo" MajorVersion="6" MinorVersion="1"/></sdp:IsInstallable>
  {{with .Supersedes}}<sdp:SupersededPackages><sdp:PackageID>{{.}}</sdp:PackageID></sdp:SupersededPackages>{{end}}
  {{range .Items}}<sdp:InstallableItem ID="{{.ID}}">
    <sdp:ApplicabilityRules>
      <sdp:IsInstalled><msiar:MsiProductInstalled ProductCode="{ {{- .Code -}} }"/></sdp:IsInstalled>
      <sdp:IsInstallable><lar:True/></sdp:IsInstallable>
    </sdp:ApplicabilityRules>
    <sdp:InstallProperties RebootBehavior="NeverReboots"/>
    <msi:MsiInstallerData MsiFile="{{.File}}" ProductCode="{ {{- .Code -}} }"/>
    <sdp:OriginFile Digest="{{.SHA1}}" FileName="{{.File}}" Size="{{.Size}}" Modified="2026-10-01T00:00:00Z" OriginUri="{{.URL}}"/>
    <sdp:Language>{{.Language}}</sdp:Language>
  </sdp:InstallableItem>{{end}}
</sdp:SoftwareDistributionPackage>
`))

type sdpItem struct {
	ID, Code, File, SHA1, URL, Language string
	Size                                int64
}

// windowsVendor publishes MSI files and the catalog that names them.
type windowsVendor struct {
	t                *testing.T
	payloads, folder string
	server           *httptest.Server
	publisher        *winetest.Publisher
	made             int
}

func newWindowsVendor(t *testing.T) *windowsVendor {
	v := &windowsVendor{t: t, payloads: t.TempDir(), folder: t.TempDir(), publisher: winetest.NewPublisher(t, "Example Software")}
	v.server = httptest.NewServer(http.FileServer(http.Dir(v.payloads)))
	t.Cleanup(v.server.Close)
	return v
}

// item builds one MSI; spoil may sign it, bend it or leave it.
func (v *windowsVendor) item(p winetest.Product, language string, spoil func(path string)) sdpItem {
	v.t.Helper()
	path, built := winetest.MSI(v.t, v.payloads, p)
	spoil(path)
	content, err := os.ReadFile(path)
	if err != nil {
		v.t.Fatal(err)
	}
	sum := sha1.Sum(content)
	v.made++
	return sdpItem{
		ID: fmt.Sprintf("a0000000-0000-4000-8000-%012d", v.made), Code: built.Code, File: filepath.Base(path),
		SHA1: base64.StdEncoding.EncodeToString(sum[:]), URL: v.server.URL + "/" + filepath.Base(path), Language: language, Size: int64(len(content)),
	}
}

func (v *windowsVendor) publish(id, name, supersedes string, items ...sdpItem) {
	v.t.Helper()
	var out bytes.Buffer
	err := sdpText.Execute(&out, map[string]any{"ID": id, "Name": name, "Supersedes": supersedes, "Items": items})
	if err == nil {
		err = os.WriteFile(filepath.Join(v.folder, name+".sdp"), out.Bytes(), 0o600)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *windowsVendor) sign(path string) { v.publisher.Sign(v.t, path) }

func (v *windowsVendor) leave(string) {}

// bend signs a package and then changes a byte of what was signed.
func (v *windowsVendor) bend(path string) {
	v.sign(path)
	content, err := os.ReadFile(path)
	if err != nil {
		v.t.Fatal(err)
	}
	bent := bytes.Replace(content, []byte("Example"), []byte("Exemple"), 1)
	if bytes.Equal(bent, content) {
		v.t.Fatal("there is nothing to bend in the package")
	}
	if err := os.WriteFile(path, bent, 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// windowsComputer is a Wine computer whose agent belongs to the site.
type windowsComputer struct {
	*winetest.Computer
	t     *testing.T
	agent string
}

func (s *site) enrolWindows(token string, opts winetest.Options) *windowsComputer {
	s.t.Helper()
	c := &windowsComputer{winetest.New(s.t, opts), s.t, winetest.Build(s.t, "cmd/thatch-agent")}
	c.Must(c.agent, "enrol", "--node", "https://"+s.listen, "--token", token)
	return c
}

// round makes one round of the agent; its exit code is the caller's business.
func (c *windowsComputer) round() string {
	c.t.Helper()
	out, code, errs := c.Run(c.agent, "once")
	return fmt.Sprintf("exit code %d\n%s%s", code, out, errs)
}

func (c *windowsComputer) content(product string) string {
	raw, err := os.ReadFile(c.Path(`C:\Program Files\` + product + `\content.txt`))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

type complianceRow struct {
	Name      string `json:"computer"`
	Missing   int    `json:"missing"`
	Installed int    `json:"installed"`
}

func (s *site) complianceOf(name string) complianceRow {
	s.t.Helper()
	var list struct{ Items []complianceRow }
	s.must(&list, "compliance", "computers")
	for _, row := range list.Items {
		if strings.EqualFold(row.Name, name) {
			return row
		}
	}
	s.t.Fatalf("compliance names no computer %s: %+v", name, list.Items)
	return complianceRow{}
}

func (s *site) token(limit int) string {
	s.t.Helper()
	var made struct{ Token string }
	s.must(&made, "tokens", "create", "--name", "test", "--limit", fmt.Sprint(limit))
	return made.Token
}

const readerOne, readerTwo = "b0000000-0000-4000-8000-000000000001", "b0000000-0000-4000-8000-000000000002"

// TestTwoWindowsComputers is the product on Windows from end to end: a German workstation and an English server, each
// patched with the package of its language; what is not signed by a trusted vendor goes nowhere; what somebody removes
// comes back; a power cut loses nothing; a superseding update replaces its forerunner.
func TestTwoWindowsComputers(t *testing.T) {
	ringtest.Need(t, ringtest.Wine)
	ringtest.Need(t, ringtest.Signing)
	v := newWindowsVendor(t)
	upgrade := "C0000000-0000-4000-8000-000000000001"
	reader := func(version, english, german string) []sdpItem {
		return []sdpItem{
			v.item(winetest.Product{Name: "Reader", Version: version, Language: 1033, Content: english, Upgrade: upgrade}, "en", v.sign),
			v.item(winetest.Product{Name: "Reader", Version: version, Language: 1031, Content: german, Upgrade: upgrade}, "de", v.sign),
		}
	}
	v.publish(readerOne, "READER-1", "", reader("1.0.0", "hello", "hallo")...)
	v.publish("b0000000-0000-4000-8000-000000000003", "PLAIN", "", v.item(winetest.Product{Name: "Plain", Version: "1.0.0", Content: "x"}, "en", v.leave))
	v.publish("b0000000-0000-4000-8000-000000000004", "BENT", "", v.item(winetest.Product{Name: "Bent", Version: "1.0.0", Content: "x"}, "en", v.bend))

	s := newSite(t, "en,de")
	s.must(nil, "settings", "set", "staging.trusted", v.publisher.Fingerprint())
	s.must(nil, "catalog", "import", "--source", "sdp", "--from", v.folder)
	token := s.token(2)
	berlin := s.enrolWindows(token, winetest.Options{Name: "BERLIN-7", Language: "de_DE"})
	london := s.enrolWindows(token, winetest.Options{Name: "LONDON-7", Server: true})
	for _, c := range []*windowsComputer{berlin, london} {
		out := c.round()
		if row := s.complianceOf(c.Name()); row.Missing != 3 {
			t.Fatalf("%s misses %d updates, want 3\n%s", c.Name(), row.Missing, out)
		}
	}

	s.must(nil, "bulletins", "stage", "READER-1")
	s.refused(1, "not signed", "bulletins", "stage", "PLAIN")
	s.refused(1, "does not hold", "bulletins", "stage", "BENT")
	s.refused(2, "PLAIN is refused", "policies", "create", "--name", "Bad", "--bulletin", "PLAIN")
	s.must(nil, "policies", "create", "--name", "Reader", "--bulletin", "READER-1")
	patched := func(c *windowsComputer, want string) {
		t.Helper()
		out := c.round()
		if got := c.content("Reader"); got != want {
			t.Fatalf("%s has %q, want %q\n%s", c.Name(), got, want, out)
		}
	}
	patched(berlin, "hallo")
	patched(london, "hello")
	for _, c := range []*windowsComputer{berlin, london} {
		c.round()
		if row := s.complianceOf(c.Name()); row.Missing != 2 || row.Installed != 1 {
			t.Errorf("after the install %+v", row)
		}
	}

	// Removed by hand, and back again.
	berlin.Must("msiexec", "/x", "{"+codeOf(t, v.folder, "READER-1", "de")+"}", "/qn")
	if berlin.content("Reader") != "" {
		t.Fatal("it was not removed")
	}
	patched(berlin, "hallo")

	// A superseding update replaces it, whatever moment the power is cut at.
	v.publish(readerTwo, "READER-2", readerOne, reader("2.0.0", "hello again", "hallo wieder")...)
	s.must(nil, "catalog", "import", "--source", "sdp", "--from", v.folder)
	s.must(nil, "bulletins", "stage", "READER-2")
	s.must(nil, "policies", "create", "--name", "Reader 2", "--bulletin", "READER-2", "--attempts", "50")
	for _, delay := range []time.Duration{200, 700, 1500} {
		berlin.cutAfter(delay * time.Millisecond)
	}
	berlin.round() // it finds out what the last cut left
	berlin.hurry()
	patched(berlin, "hallo wieder")
	patched(london, "hello again")
}

// cutAfter switches the computer off in the middle of a round.
func (c *windowsComputer) cutAfter(delay time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := c.Command(ctx, c.agent, "once")
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	cut := time.NewTimer(delay)
	<-cut.C
	c.Off()
	_ = cmd.Wait()
}

// codeOf is the product code of an item, in a published package.
func codeOf(t *testing.T, folder, name, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range strings.Split(string(text), "<sdp:InstallableItem")[1:] {
		if strings.Contains(item, "<sdp:Language>"+language+"<") {
			_, rest, _ := strings.Cut(item, `ProductCode="{`)
			code, _, _ := strings.Cut(rest, "}")
			return code
		}
	}
	t.Fatalf("%s has no item in %s", name, language)
	return ""
}

// hurry lets what waits for its next try be tried at once: the agent's clock is the computer's own.
func (c *windowsComputer) hurry() {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Path(`C:\ProgramData\Thatch Agent\orders`), "*.json"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		var progress map[string]any
		if err := json.Unmarshal(raw, &progress); err != nil {
			c.t.Fatalf("%s after a power cut: %v", file, err)
		}
		progress["next"] = time.Time{}
		if raw, err = json.Marshal(progress); err == nil {
			err = os.WriteFile(file, raw, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}
