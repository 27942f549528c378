package sdp_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/sdp"
)

const namespaces = ` xmlns:sdp="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/SoftwareDistributionPackage.xsd"` +
	` xmlns:bar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/BaseApplicabilityRules.xsd"` +
	` xmlns:lar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/LogicalApplicabilityRules.xsd"` +
	` xmlns:msiar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/MsiApplicabilityRules.xsd"` +
	` xmlns:drv="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/Installers/WindowsDriver.xsd"` +
	` xmlns:cmd="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/Installers/CommandLineInstallation.xsd"` +
	` xmlns:msi="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/Installers/MsiInstallation.xsd"`

const smc = ` xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"`

func id(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// sample is a package that has nothing wrong with it; changes replace parts of its text.
func sample(n int, changes ...string) string {
	text := `<sdp:SoftwareDistributionPackage SchemaVersion="1.2"` + namespaces + `>
 <sdp:Properties PackageID="` + id(n) + `" CreationDate="2019-01-01T00:00:00" VendorName="Vendor"><sdp:ProductName>Thing</sdp:ProductName></sdp:Properties>
 <sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>Thing ` + fmt.Sprint(n) + `</sdp:Title><sdp:Description>Text</sdp:Description></sdp:LocalizedProperties>
 <sdp:UpdateSpecificData UpdateClassification="Updates" MsrcSeverity="Low"><sdp:KBArticleID>A` + fmt.Sprint(n) + `</sdp:KBArticleID></sdp:UpdateSpecificData>
 <sdp:IsInstallable><bar:Processor Architecture="9" /></sdp:IsInstallable>
 <sdp:InstallableItem ID="` + id(n+1000) + `">
  <sdp:ApplicabilityRules>
   <sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Thing" /></sdp:IsInstalled>
   <sdp:IsInstallable><bar:WindowsVersion MajorVersion="10" /></sdp:IsInstallable>
  </sdp:ApplicabilityRules>
  <sdp:InstallProperties RebootBehavior="NeverReboots" />
  <cmd:CommandLineInstallerData Program="thing.exe"><cmd:ReturnCode Code="0" Result="Succeeded" /></cmd:CommandLineInstallerData>
  <sdp:OriginFile Digest="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" FileName="thing.exe" Size="10" OriginUri="http://vendor.example/thing.exe" />
 </sdp:InstallableItem>
</sdp:SoftwareDistributionPackage>`
	for i := 0; i+1 < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			panic("the sample has no " + changes[i])
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

// catalogText puts packages into a v1 catalog.
func catalogText(packages ...string) string {
	var text strings.Builder
	text.WriteString("<?xml version=\"1.0\"?>\n<smc:SystemsManagementCatalog" + smc + namespaces + ">\n")
	for _, one := range packages {
		one = strings.Replace(one, "<sdp:SoftwareDistributionPackage", "<smc:SoftwareDistributionPackage", 1)
		text.WriteString(strings.Replace(one, "</sdp:SoftwareDistributionPackage", "</smc:SoftwareDistributionPackage", 1) + "\n")
	}
	text.WriteString("</smc:SystemsManagementCatalog>\n")
	return text.String()
}

// imported imports one file of the given name and content.
func imported(t testing.TB, name, content string) (map[string]document.Document, importer.Result, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var sink importertest.Memory
	result, err := importer.Run(context.Background(), &sdp.Source{}, &sink, importer.Request{Source: sdp.Name, From: path}, nil)
	return sink.Documents(), result, err
}

func names(docs map[string]document.Document) string {
	return strings.Join(slices.Sorted(maps.Keys(docs)), " ")
}

func updateOf(t testing.TB, docs map[string]document.Document, n int) catalog.Update {
	t.Helper()
	doc, has := docs["update sdp/"+id(n)]
	if !has {
		t.Fatalf("no update %d among %s", n, names(docs))
	}
	update, err := catalog.Decode[catalog.Update](doc.Body)
	if err != nil {
		t.Fatal(err)
	}
	return update
}

func packageOf(t testing.TB, docs map[string]document.Document, n int) (catalog.Package, []string) {
	t.Helper()
	doc, has := docs["package sdp/"+id(n)+"/"+id(n+1000)]
	if !has {
		t.Fatalf("no package %d among %s", n, names(docs))
	}
	body, err := catalog.Decode[catalog.Package](doc.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, doc.Languages
}

func TestSampleIsFaultless(t *testing.T) {
	docs, result, err := imported(t, "a.sdp", sample(1))
	if err != nil || len(result.Warnings) != 0 || len(docs) != 3 {
		t.Errorf("%v, %+v, %s", err, result.Warnings, names(docs))
	}
}

// Every irregularity is handled, named, and costs no more than it must.
func TestIrregular(t *testing.T) {
	for name, c := range map[string]struct {
		changes []string
		kind    string // of the one warning
		check   func(t *testing.T, docs map[string]document.Document)
	}{
		"expired, no fault": {[]string{`VendorName="Vendor"`, `VendorName="Vendor" PublicationState="Expired"`}, "", func(t *testing.T, docs map[string]document.Document) {
			if !updateOf(t, docs, 1).Withdrawn {
				t.Error("it is not withdrawn")
			}
		}},
		"detectoid, no fault": {[]string{`VendorName="Vendor"`, `VendorName="Vendor" UpdateType="Detectoid"`}, "", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); !u.Detector || u.Bulletin != "" || strings.Contains(names(docs), "bulletin") {
				t.Errorf("%+v in %s", u, names(docs))
			}
		}},
		"unknown state": {[]string{`VendorName="Vendor"`, `VendorName="Vendor" PublicationState="Draft"`}, "state-unknown", nil},
		"unknown type":  {[]string{`VendorName="Vendor"`, `VendorName="Vendor" UpdateType="Game"`}, "type-unknown", nil},
		"no vendor":     {[]string{` VendorName="Vendor"`, ``}, "vendor-missing", nil},
		"no date": {[]string{` CreationDate="2019-01-01T00:00:00"`, ` CreationDate="yesterday"`}, "date-malformed", func(t *testing.T, docs map[string]document.Document) {
			updateOf(t, docs, 1)
		}},
		"unknown severity": {[]string{`MsrcSeverity="Low"`, `MsrcSeverity="Terrible"`}, "severity-unknown", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Severity != catalog.Unspecified {
				t.Errorf("severity %q", u.Severity)
			}
		}},
		"no title": {[]string{`<sdp:Title>Thing 1</sdp:Title>`, ``}, "title-missing", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Title != id(1) {
				t.Errorf("title %q", u.Title)
			}
		}},
		"a language twice": {[]string{
			`</sdp:LocalizedProperties>`,
			`</sdp:LocalizedProperties><sdp:LocalizedProperties><sdp:Language>EN</sdp:Language><sdp:Title>Other</sdp:Title></sdp:LocalizedProperties>`,
		}, "text-repeated", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Title != "Thing 1" || len(u.Texts) != 0 {
				t.Errorf("%q %+v", u.Title, u.Texts)
			}
		}},
		"no severity, no article": {[]string{` MsrcSeverity="Low"><sdp:KBArticleID>A1</sdp:KBArticleID>`, `>`}, "", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Bulletin != "sdp/vendor/"+id(1) || u.Name != "Thing 1" {
				t.Errorf("%+v", u)
			}
		}},
		"article that is none": {[]string{`<sdp:KBArticleID>A1<`, `<sdp:KBArticleID>N/A<`}, "", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Bulletin != "sdp/vendor/"+id(1) {
				t.Errorf("%+v", u)
			}
		}},
		"application": {[]string{
			`<sdp:UpdateSpecificData UpdateClassification="Updates" MsrcSeverity="Low"><sdp:KBArticleID>A1</sdp:KBArticleID></sdp:UpdateSpecificData>`,
			`<sdp:ApplicationSpecificData />`,
		}, "", func(t *testing.T, docs map[string]document.Document) { updateOf(t, docs, 1) }},
		"supersedes itself": {[]string{`</sdp:IsInstallable>
 <sdp:InstallableItem`, `</sdp:IsInstallable>
 <sdp:SupersededPackages><sdp:PackageID>` + id(1) + `</sdp:PackageID></sdp:SupersededPackages>
 <sdp:InstallableItem`}, "id-itself", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); len(u.Supersedes) != 0 {
				t.Errorf("%v", u.Supersedes)
			}
		}},
		"supersedes no GUID": {[]string{`</sdp:IsInstallable>
 <sdp:InstallableItem`, `</sdp:IsInstallable>
 <sdp:SupersededPackages><sdp:PackageID>KB12</sdp:PackageID></sdp:SupersededPackages>
 <sdp:InstallableItem`}, "id-malformed", nil},
		"unknown rule": {[]string{`<bar:Processor Architecture="9" />`, `<bar:MoonPhase Is="full" />`}, "unknown-rule", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Applicable.Rules[0].Op != "MoonPhase" || u.Applicable.Rules[0].With["Is"] != "full" {
				t.Errorf("%+v", u.Applicable.Rules[0])
			}
		}},
		"rule of a stranger": {[]string{`<bar:Processor Architecture="9" />`, `<x:True xmlns:x="urn:x" />`}, "unknown-rule", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Applicable.Rules[0].Op; op != "{urn:x}True" {
				t.Errorf("%q", op)
			}
		}},
		"rule under https": {[]string{
			`<bar:Processor Architecture="9" />`,
			`<x:True xmlns:x="https://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/LogicalApplicabilityRules.xsd" />`,
		}, "wrong-namespace", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Applicable.Rules[0].Op; !strings.HasPrefix(op, "{https:") {
				t.Errorf("%q", op)
			}
		}},
		"driver rule": {[]string{`<bar:WindowsVersion MajorVersion="10" />`, `<drv:WindowsDriverInstallable />`}, "unknown-rule", nil},
		"malformed rule": {[]string{`Architecture="9"`, `Architecture="x64"`}, "rule-malformed", func(t *testing.T, docs map[string]document.Document) {
			if u := updateOf(t, docs, 1); u.Applicable == nil || u.NoRule != "" {
				t.Errorf("%+v", u)
			}
		}},
		"rule group without a rule": {[]string{`<bar:Processor Architecture="9" />`, ``}, "rule-missing", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Applicable.Op; op != "WindowsVersion" {
				t.Errorf("applicable by %s", op)
			}
		}},
		"no group, and two rules": {[]string{`<bar:WindowsVersion MajorVersion="10" />`, `<bar:WindowsVersion MajorVersion="10" /><lar:False />`}, "rule-several", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Applicable.Op; op != "False" {
				t.Errorf("applicable by %s", op)
			}
		}},
		"item installable nowhere": {[]string{`<sdp:IsInstallable><bar:WindowsVersion MajorVersion="10" /></sdp:IsInstallable>`, ``}, "rule-missing", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Applicable.Op; op != "False" {
				t.Errorf("applicable by %s", op)
			}
		}},
		"never installed": {[]string{`<sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Thing" /></sdp:IsInstalled>`, ``}, "rule-missing", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Installed.Op; op != "False" {
				t.Errorf("installed by %s", op)
			}
		}},
		"no package rule": {[]string{`<sdp:IsInstallable><bar:Processor Architecture="9" /></sdp:IsInstallable>`, ``}, "", func(t *testing.T, docs map[string]document.Document) {
			if op := updateOf(t, docs, 1).Applicable.Op; op != "WindowsVersion" {
				t.Errorf("applicable by %s", op)
			}
		}},
		"no origin": {[]string{`<sdp:OriginFile Digest="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" FileName="thing.exe" Size="10" OriginUri="http://vendor.example/thing.exe" />`, ``}, "origin-missing", func(t *testing.T, docs map[string]document.Document) {
			if updateOf(t, docs, 1); strings.Contains(names(docs), "package ") {
				t.Error("there is a package")
			}
		}},
		"no installer": {[]string{`<cmd:CommandLineInstallerData Program="thing.exe"><cmd:ReturnCode Code="0" Result="Succeeded" /></cmd:CommandLineInstallerData>`, ``}, "installer-missing", nil},
		"file with a path": {[]string{`FileName="thing.exe"`, `FileName="..\..\Windows\thing.exe"`}, "file-name", func(t *testing.T, docs map[string]document.Document) {
			if p, _ := packageOf(t, docs, 1); p.Files[0].Name != "thing.exe" || p.Installer.File != "thing.exe" {
				t.Errorf("%+v", p)
			}
		}},
		"digest that is none": {[]string{`2jmj7l5rSw0yVb/vlWAYkK/YBwk=`, `2jmj7l5rSw0y`}, "digest-malformed", func(t *testing.T, docs map[string]document.Document) {
			if p, _ := packageOf(t, docs, 1); p.Files[0].SHA1 != "" {
				t.Errorf("%+v", p.Files)
			}
		}},
		"digest in hexadecimal": {[]string{`2jmj7l5rSw0yVb/vlWAYkK/YBwk=`, `DA39A3EE5E6B4B0D3255BFEF95601890AFD80709`}, "", func(t *testing.T, docs map[string]document.Document) {
			if p, _ := packageOf(t, docs, 1); p.Files[0].SHA1 != "da39a3ee5e6b4b0d3255bfef95601890afd80709" {
				t.Errorf("%+v", p.Files)
			}
		}},
		"size that is none":   {[]string{`Size="10"`, `Size="-10"`}, "size-malformed", nil},
		"origin elsewhere":    {[]string{`http://vendor.example/thing.exe`, `ftp://vendor.example/thing.exe`}, "origin-location", nil},
		"runs something else": {[]string{`Program="thing.exe"`, `Program="bin\other.exe"`}, "program-elsewhere", nil},
		"runs itself, in other letters": {[]string{`Program="thing.exe"`, `Program=".\THING.exe"`}, "", func(t *testing.T, docs map[string]document.Document) {
			if p, _ := packageOf(t, docs, 1); p.Installer.File != "thing.exe" {
				t.Errorf("%+v", p.Installer)
			}
		}},
		"restart unknown": {[]string{`NeverReboots`, `Sometimes`}, "restart-unknown", func(t *testing.T, docs map[string]document.Document) {
			if p, _ := packageOf(t, docs, 1); p.Restart != catalog.RestartMaybe {
				t.Errorf("%q", p.Restart)
			}
		}},
		"result unknown": {[]string{`Result="Succeeded"`, `Result="Splendid"`}, "result-unknown", func(t *testing.T, docs map[string]document.Document) {
			if p, _ := packageOf(t, docs, 1); p.Installer.Codes[0].Result != catalog.Failed {
				t.Errorf("%+v", p.Installer)
			}
		}},
		"code that is none":       {[]string{`Code="0"`, `Code="null"`}, "code-malformed", nil},
		"code twice":              {[]string{`<cmd:ReturnCode Code="0"`, `<cmd:ReturnCode Code="0" Result="Failed" /><cmd:ReturnCode Code="0"`}, "code-repeated", nil},
		"element of another kind": {[]string{`<sdp:IsInstallable>`, `<x:More xmlns:x="urn:x" /><sdp:IsInstallable>`}, "wrong-namespace", nil},
		"unknown installer": {[]string{
			`<cmd:CommandLineInstallerData Program="thing.exe"><cmd:ReturnCode Code="0" Result="Succeeded" /></cmd:CommandLineInstallerData>`,
			`<x:NewInstallerData xmlns:x="urn:x" />`,
		}, "installer-unknown", nil},
	} {
		t.Run(name, func(t *testing.T) {
			docs, result, err := imported(t, "a.sdp", sample(1, c.changes...))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.kind == "" && len(result.Warnings) > 0:
				t.Errorf("warnings: %+v", result.Warnings)
			case c.kind != "" && result.Counts[c.kind] == 0:
				t.Errorf("no warning of kind %s: %+v", c.kind, result.Warnings)
			}
			for _, w := range result.Warnings {
				if w.File != "a.sdp" || !strings.Contains(w.Element, id(1)) || w.Text == "" || w.Failed {
					t.Errorf("warning %+v", w)
				}
			}
			if _, has := docs["update sdp/"+id(1)]; !has {
				t.Errorf("the update is missing: %s", names(docs))
			}
			if c.check != nil {
				c.check(t, docs)
			}
		})
	}
}

// A package that cannot be read costs itself alone, and its name is said.
func TestBrokenPackageAmongGood(t *testing.T) {
	for name, c := range map[string]struct{ broken, says string }{
		"no properties":       {sample(2, "sdp:Properties", "sdp:Propertees", "</sdp:Properties", "</sdp:Propertees"), "Properties"},
		"no id":               {sample(2, `PackageID="`+id(2)+`"`, ``), "PackageID"},
		"id that is none":     {sample(2, id(2), "0-0-0"), "PackageID"},
		"item without id":     {sample(2, id(1002), ""), "InstallableItem[1]"},
		"language of no kind": {sample(2, "</sdp:InstallableItem>", "<sdp:Language>!</sdp:Language></sdp:InstallableItem>"), "InstallableItem[1]/Language"},
		"end tags crossed":    {sample(2, "</sdp:Title>", "</sdp:Titel>"), "Title"},
		"bare ampersand":      {sample(2, "Thing 2", "Thing & 2"), "LocalizedProperties"},
		"undeclared entity":   {sample(2, "Thing 2", "&bomb;"), "LocalizedProperties"},
		"namespace https":     {sample(2, `sdp="http:`, `sdp="https:`), "namespace"},
		"too deep":            {sample(2, `<bar:Processor Architecture="9" />`, strings.Repeat("<lar:Not>", 300)+strings.Repeat("</lar:Not>", 300)), "more than"},
		"empty package":       {`<sdp:SoftwareDistributionPackage` + namespaces + ` />`, "Properties"},
		"text too long":       {sample(2, "Thing 2", strings.Repeat("Thing 2 ", 80_000)), "524288"},
	} {
		t.Run(name, func(t *testing.T) {
			docs, result, err := imported(t, "catalog.xml", catalogText(sample(1), c.broken, sample(3)))
			if !errors.Is(err, importer.ErrIncomplete) || result.Failed != 1 {
				t.Errorf("%v, %d failed", err, result.Failed)
			}
			if len(docs) != 6 {
				t.Errorf("documents: %s", names(docs))
			}
			if len(result.Warnings) == 0 || !result.Warnings[0].Failed || !strings.Contains(result.Warnings[0].Element+result.Warnings[0].Text, c.says) {
				t.Errorf("warnings: %+v", result.Warnings)
			}
		})
	}
}

// What is cut or no catalog at all is an error, and what was imported before stays.
func TestUnreadable(t *testing.T) {
	whole := catalogText(sample(1), sample(2), sample(3))
	for name, content := range map[string]string{
		"cut in a package":       whole[:len(whole)/2],
		"cut between packages":   whole[:strings.LastIndex(whole, "<smc:SoftwareDistributionPackage")],
		"cut before the end":     whole[:len(whole)-4],
		"single package, cut":    sample(1)[:900],
		"empty":                  "",
		"spaces":                 "   \n",
		"text":                   "hello",
		"another XML":            "<html><body/></html>",
		"JSON":                   `{"a":1}`,
		"an unknown encoding":    `<?xml version="1.0" encoding="ebcdic"?>` + whole[len(`<?xml version="1.0"?>`):],
		"cut cabinet":            "MSCF\x00\x00",
		"cut zip":                "PK\x03\x04\x00\x00",
		"root that is not there": "<?xml version='1.0'?><!-- nothing -->",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "catalog.xml")
			var sink importertest.Memory
			write := func(content string) error {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := importer.Run(context.Background(), &sdp.Source{}, &sink, importer.Request{Source: sdp.Name, From: path}, nil)
				return err
			}
			if err := write(whole); err != nil {
				t.Fatal(err)
			}
			before := sink.Digests()
			if err := write(content); !errors.Is(err, importer.ErrIncomplete) {
				t.Errorf("error %v", err)
			}
			if !maps.Equal(before, sink.Digests()) {
				t.Errorf("documents changed: %s", names(sink.Documents()))
			}
		})
	}
}
