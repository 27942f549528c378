package sdp_test

import (
	"fmt"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// workstation is a computer about which everything was collected, and on which nothing is installed.
func workstation(languages ...string) *memory.Host {
	return &memory.Host{
		System: &rule.System{
			Platform: "windows", Major: 10, Minor: 0, Build: 17763, Revision: 316, ProductType: 1, Architecture: "x64", Languages: languages, Processors: 4,
		},
		Registry: memory.NewRegistry(), Files: memory.NewFiles(), Installer: &memory.Installer{}, WMI: &memory.WMI{}, History: &memory.History{},
	}
}

// standing is what an agent makes of an update's rules.
func standing(u catalog.Update, host *memory.Host) string {
	e := rule.NewEvaluator(host.Facts(), nil)
	switch e.Evaluate(u.Installed).Answer {
	case rule.True:
		return "installed"
	case rule.Unknown:
		return "cannot tell"
	}
	if u.Superseded != nil && e.Evaluate(u.Superseded).Answer == rule.True {
		return "superseded"
	}
	switch e.Evaluate(u.Applicable).Answer {
	case rule.True:
		return "missing"
	case rule.Unknown:
		return "cannot tell"
	}
	return "not applicable"
}

// writer is an MSI of two languages, of which a computer needs one, and a reader beside that both need where it can be.
func writer(t *testing.T) (catalog.Update, map[string]document.Document) {
	t.Helper()
	item := func(n int, language, rules string) string {
		tag := ""
		if language != "" {
			tag = "<sdp:Language>" + language + "</sdp:Language>"
		}
		return `<sdp:InstallableItem ID="` + id(n) + `"><sdp:ApplicabilityRules>` + rules + `</sdp:ApplicabilityRules>` +
			`<msi:MsiInstallerData MsiFile="a.msi" ProductCode="{00000000-0000-0000-0000-00000000000` + fmt.Sprint(n%10) + `}" />` +
			`<sdp:OriginFile Digest="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" FileName="a.msi" OriginUri="http://vendor.example/a.msi" />` + tag + `</sdp:InstallableItem>`
	}
	rules := func(n int) string {
		return fmt.Sprintf(`<sdp:IsInstalled><msiar:MsiProductInstalled ProductCode="{00000000-0000-0000-0000-00000000000%d}" VersionMin="2.0" /></sdp:IsInstalled>`+
			`<sdp:IsSuperseded><msiar:MsiProductInstalled ProductCode="{00000000-0000-0000-0000-000000000009}" /></sdp:IsSuperseded>`+
			`<sdp:IsInstallable><bar:WindowsVersion Comparison="GreaterThanOrEqualTo" MajorVersion="6" MinorVersion="1" /></sdp:IsInstallable>`, n)
	}
	reader := `<sdp:IsInstalled><bar:FileVersion Csidl="38" Path="Reader\reader.exe" Comparison="GreaterThanOrEqualTo" Version="2.0.0.0" /></sdp:IsInstalled>` +
		`<sdp:IsInstallable><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Reader" /></sdp:IsInstallable>`
	text := sample(1)
	at := strings.Index(text, " <sdp:InstallableItem")
	text = text[:at] + item(101, "de", rules(1)) + item(102, "en", rules(2)) + item(103, "", reader) + "</sdp:SoftwareDistributionPackage>"
	docs, result, err := imported(t, "a.sdp", text)
	if err != nil || len(result.Warnings) > 0 {
		t.Fatalf("%v, %+v", err, result.Warnings)
	}
	return updateOf(t, docs, 1), docs
}

func TestLanguagesOfOneUpdate(t *testing.T) {
	update, docs := writer(t)
	product := func(n int, version string) memory.Product {
		return memory.Product{Code: fmt.Sprintf("{00000000-0000-0000-0000-00000000000%d}", n), Version: version}
	}
	for name, c := range map[string]struct {
		change func(*memory.Host)
		want   string
	}{
		"nothing there":            {func(*memory.Host) {}, "missing"},
		"German one":               {func(h *memory.Host) { h.Installer.Install(product(1, "2.0.0")) }, "installed"},
		"English one":              {func(h *memory.Host) { h.Installer.Install(product(2, "2.1")) }, "installed"},
		"older German one":         {func(h *memory.Host) { h.Installer.Install(product(1, "1.9")) }, "missing"},
		"successor":                {func(h *memory.Host) { h.Installer.Install(product(9, "3.0")) }, "superseded"},
		"another processor":        {func(h *memory.Host) { h.System.Architecture = "x86" }, "not applicable"},
		"older Windows":            {func(h *memory.Host) { h.System.Major, h.System.Minor = 5, 1 }, "not applicable"},
		"installer not asked":      {func(h *memory.Host) { h.Installer = nil }, "cannot tell"},
		"German one, reader there": {func(h *memory.Host) { h.Installer.Install(product(1, "2.0")); withReader(h, 1) }, "missing"},
		"both":                     {func(h *memory.Host) { h.Installer.Install(product(1, "2.0")); withReader(h, 2) }, "installed"},
		"reader alone":             {func(h *memory.Host) { withReader(h, 2) }, "missing"},
		"older Windows, reader":    {func(h *memory.Host) { h.System.Major = 5; withReader(h, 1) }, "missing"},
	} {
		host := workstation("de")
		c.change(host)
		if got := standing(update, host); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for doc, languages := range map[string]string{"101": "de", "102": "en", "103": ""} {
		d := docs["package sdp/"+id(1)+"/"+strings.Replace(id(0), "000000000000", "000000000"+doc, 1)]
		if got := strings.Join(d.Languages, ","); got != languages || d.Kind != document.Package {
			t.Errorf("package %s is in %q, want %q", doc, got, languages)
		}
	}
}

func withReader(h *memory.Host, major uint16) {
	h.Registry.SetKey(rule.Native, `SOFTWARE\Reader`)
	h.Files.Put(38, `Reader\reader.exe`, rule.FileInfo{Version: [4]uint16{major}})
}

func TestInstalledByPackageAlone(t *testing.T) {
	docs, _, err := imported(t, "a.sdp", sample(1,
		"</sdp:IsInstallable>\n <sdp:InstallableItem", "</sdp:IsInstallable><sdp:IsInstalled><bar:InstalledOnce /></sdp:IsInstalled>\n <sdp:InstallableItem",
		`<sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Thing" /></sdp:IsInstalled>`, ""))
	if err != nil {
		t.Fatal(err)
	}
	update, host := updateOf(t, docs, 1), workstation("en")
	if got := standing(update, host); got != "missing" {
		t.Error(got)
	}
	host.History.Updates = []string{"sdp/" + id(1)}
	if got := standing(update, host); got != "installed" {
		t.Error(got)
	}
}

// Packages without items, and what is said of them.
func TestWithoutItems(t *testing.T) {
	text := sample(1)
	bare := text[:strings.Index(text, " <sdp:InstallableItem")] + "</sdp:SoftwareDistributionPackage>"
	has := `<sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Thing" /></sdp:IsInstalled>`
	bundle := "<sdp:BundledPackages><sdp:PackageID>" + id(7) + "</sdp:PackageID></sdp:BundledPackages>"
	detectoid := strings.Replace(bare, `VendorName=`, `UpdateType="Detectoid" VendorName=`, 1)
	end := "</sdp:SoftwareDistributionPackage>"
	for name, c := range map[string]struct {
		text, noRule, kind, standing string
	}{
		"nothing at all":               {bare, "no InstallableItem", "item-missing", ""},
		"rule of its own":              {strings.Replace(bare, end, has+end, 1), "", "", "missing"},
		"bundle":                       {strings.Replace(bare, end, bundle+end, 1), "bundle of 1", "", ""},
		"bundle with a rule":           {strings.Replace(bare, end, has+bundle+end, 1), "", "", "missing"},
		"detectoid":                    {strings.Replace(detectoid, end, has+end, 1), "", "", "missing"},
		"detectoid that never applies": {detectoid, "", "rule-missing", "missing"},
	} {
		docs, result, err := imported(t, "a.sdp", c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		update := updateOf(t, docs, 1)
		if (c.noRule == "") != (update.NoRule == "") || !strings.Contains(update.NoRule, c.noRule) || (update.NoRule == "") == (update.Applicable == nil) {
			t.Errorf("%s: %q, rule %v", name, update.NoRule, update.Applicable)
		}
		if c.kind != "" && result.Counts[c.kind] != 1 || c.kind == "" && len(result.Warnings) > 0 {
			t.Errorf("%s: %+v", name, result.Warnings)
		}
		if c.standing != "" && standing(update, workstation("en")) != c.standing {
			t.Errorf("%s: %s", name, standing(update, workstation("en")))
		}
	}
}

// A rule that no computer can answer is unknown, and never "not applicable".
func TestUnknownRule(t *testing.T) {
	for name, rules := range map[string]string{
		"unknown":   `<bar:MoonPhase Is="full" />`,
		"stranger":  `<x:False xmlns:x="urn:x" />`,
		"https":     `<x:False xmlns:x="https://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/LogicalApplicabilityRules.xsd" />`,
		"malformed": `<bar:Processor Architecture="new" />`,
	} {
		docs, _, err := imported(t, "a.sdp", sample(1, `<bar:Processor Architecture="9" />`, rules))
		if err != nil {
			t.Fatal(err)
		}
		if got := standing(updateOf(t, docs, 1), workstation("en")); got != "cannot tell" {
			t.Errorf("%s: %s", name, got)
		}
		docs, _, err = imported(t, "a.sdp", sample(1, `<bar:Processor Architecture="9" />`, `<lar:And><lar:False />`+rules+`</lar:And>`))
		if err != nil {
			t.Fatal(err)
		}
		if got := standing(updateOf(t, docs, 1), workstation("en")); got != "not applicable" {
			t.Errorf("%s beside what is false: %s", name, got)
		}
	}
}
