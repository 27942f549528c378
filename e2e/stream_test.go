package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/ringtest"
)

// sdpCatalog is an SDP catalog (v1) of packages with the given numbers, of some eight kilobytes each.
func sdpCatalog(from, to, revision int) string {
	const ns = "http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/"
	var text strings.Builder
	text.WriteString(`<smc:SystemsManagementCatalog xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"` +
		` xmlns:sdp="` + ns + `SoftwareDistributionPackage.xsd" xmlns:bar="` + ns + `BaseApplicabilityRules.xsd" xmlns:cmd="` + ns + `Installers/CommandLineInstallation.xsd">`)
	long := strings.Repeat("What this package mends, at length. ", 200)
	for n := from; n < to; n++ {
		fmt.Fprintf(&text, `<smc:SoftwareDistributionPackage SchemaVersion="1.2">
<sdp:Properties PackageID="00000000-0000-0000-0000-%012[1]d" CreationDate="20%02[2]d-01-01T00:00:00" VendorName="Vendor"><sdp:ProductName>Product</sdp:ProductName></sdp:Properties>
<sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>Package %[1]d of 20%02[2]d</sdp:Title><sdp:Description>%[3]s</sdp:Description></sdp:LocalizedProperties>
<sdp:UpdateSpecificData UpdateClassification="Updates"><sdp:KBArticleID>P%[4]d</sdp:KBArticleID></sdp:UpdateSpecificData>
<sdp:InstallableItem ID="00000001-0000-0000-0000-%012[1]d"><sdp:ApplicabilityRules>
<sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Vendor\%[1]d"/></sdp:IsInstalled>
<sdp:IsInstallable><bar:WindowsVersion MajorVersion="10"/></sdp:IsInstallable></sdp:ApplicabilityRules>
<sdp:InstallProperties RebootBehavior="NeverReboots"/>
<cmd:CommandLineInstallerData Program="setup.exe"><cmd:ReturnCode Code="0" Result="Succeeded"/></cmd:CommandLineInstallerData>
<sdp:OriginFile Digest="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" FileName="setup.exe" Size="10" OriginUri="http://vendor.example/%[1]d.exe"/>
</sdp:InstallableItem></smc:SoftwareDistributionPackage>
`, n, revision, long, n/3)
	}
	text.WriteString(`</smc:SystemsManagementCatalog>`)
	return text.String()
}

// TestLargeFileSurvivesKills kills the node between the portions of one large file that takes the place of another: it
// ends as if nobody had, and what the file names no more is gone.
func TestLargeFileSurvivesKills(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	path := filepath.Join(t.TempDir(), "catalog.xml")
	give := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type counts struct {
		Documents, Skipped, Changed, Failed int
		Bulletins, Updates, Packages        int
	}
	var first, got, again counts
	load := []string{"catalog", "import", "--source", "sdp", "--from", path}
	s := newSite(t, "en")
	give(sdpCatalog(0, 600, 20))
	s.must(&first, load...)
	if first.Updates != 600 || first.Packages != 600 || first.Bulletins != 200 {
		t.Fatalf("at first %+v", first)
	}
	give(sdpCatalog(300, 1500, 21))
	for kill := range 4 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.run(nil, load...)
		}()
		wait := time.NewTimer(time.Duration(100+rand.IntN(300+kill*300)) * time.Millisecond)
		<-wait.C
		s.kill()
		<-done
		s.start()
	}
	s.must(&got, load...)
	if got.Updates != 1200 || got.Packages != 1200 || got.Bulletins != 400 || got.Failed != 0 {
		t.Errorf("after the kills %+v", got)
	}
	s.must(&again, load...)
	if again.Changed != 0 || again.Documents != 0 || again.Updates != 1200 {
		t.Errorf("importing again changed something: %+v", again)
	}
	var list struct {
		Total int
		Items []struct{ Title string }
	}
	s.must(&list, "bulletins", "list", "--filter", "source=sdp")
	for _, one := range list.Items {
		if !strings.Contains(one.Title, "of 2021") {
			t.Errorf("a bulletin of the former file: %+v", one)
		}
	}
	if list.Total != 400 || len(list.Items) == 0 {
		t.Errorf("%d bulletins", list.Total)
	}
}
