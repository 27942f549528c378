package winetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"thatch/ringtest"
)

// Product is what an MSI installs: one file and one registry key, HKLM\SOFTWARE\<Maker>\<Name> with the values Version
// and Language.
type Product struct {
	Name     string // "Example Reader"
	Maker    string // "": Example
	Version  string // "1.0.0"
	Code     string // GUID without braces; "": made up
	Upgrade  string // GUID without braces, the same for all versions and languages
	Language int    // LANGID, 1033 or 1031
	Content  string // of the file
}

var wix = template.Must(template.New("wix").Parse(`<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{{.Code}}" Name="{{.Name}}" Language="{{.Language}}" Version="{{.Version}}" Manufacturer="{{.Maker}}" UpgradeCode="{{.Upgrade}}">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine" />
    <MajorUpgrade DowngradeErrorMessage="A newer version is installed." />
    <Media Id="1" Cabinet="content.cab" EmbedCab="yes" />
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Directory Id="ProgramFiles64Folder">
        <Directory Id="INSTALLDIR" Name="{{.Name}}">
          <Component Id="Main" Guid="*" Win64="yes">
            <File Id="Content" Name="content.txt" Source="{{.File}}" KeyPath="yes" />
            <RegistryKey Root="HKLM" Key="SOFTWARE\{{.Maker}}\{{.Name}}">
              <RegistryValue Name="Version" Type="string" Value="{{.Version}}" />
              <RegistryValue Name="Language" Type="string" Value="{{.Language}}" />
            </RegistryKey>
          </Component>
        </Directory>
      </Directory>
    </Directory>
    <Feature Id="Complete" Level="1"><ComponentRef Id="Main" /></Feature>
  </Product>
</Wix>
`))

// MSI builds a package with wixl into a folder and returns its path and the product as it was built.
func MSI(t testing.TB, dir string, p Product) (string, Product) {
	t.Helper()
	ringtest.Need(t, ringtest.Wine)
	if p.Maker == "" {
		p.Maker = "Example"
	}
	if p.Code == "" {
		p.Code = guid()
	}
	if p.Upgrade == "" {
		p.Upgrade = guid()
	}
	if p.Language == 0 {
		p.Language = 1033
	}
	base := filepath.Join(dir, strings.ToLower(strings.ReplaceAll(p.Name, " ", "-"))+"-"+p.Version+fmt.Sprintf("-%d", p.Language))
	if err := os.WriteFile(base+".txt", []byte(p.Content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := wix.Execute(&text, struct {
		Product
		File string
	}{p, filepath.Base(base) + ".txt"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(base+".wxs", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("wixl", "-a", "x64", "-o", base+".msi", base+".wxs")
	cmd.Dir = dir // wixl takes no absolute paths of content
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("wixl: %v\n%s", err, out)
	}
	return base + ".msi", p
}

func guid() string {
	h := strings.ToUpper(randomHex(16))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
