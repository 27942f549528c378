package replication_test

import (
	"crypto/sha1" //nolint:gosec // what SDP packages name files by
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node/imports"
	"thatch/node/store"
	"thatch/node/tasks"
	"thatch/replication/replicationtest"
)

// catalogOf writes an SDP package of two languages, whose files a vendor serves, into a folder.
func catalogOf(t *testing.T, vendor string) (folder string) {
	t.Helper()
	var items strings.Builder
	for i, language := range []string{"de", "fr"} {
		body := []byte("the payload in " + language)
		one, two := sha1.Sum(body), sha256.Sum256(body) //nolint:gosec // see the import
		fmt.Fprintf(&items, `<sdp:InstallableItem ID="5e000000-0000-4000-8000-00000000000%d">
<sdp:ApplicabilityRules><sdp:IsInstalled><lar:False/></sdp:IsInstalled><sdp:IsInstallable><lar:True/></sdp:IsInstallable></sdp:ApplicabilityRules>
<sdp:InstallProperties RebootBehavior="NeverReboots"/>
<cmd:CommandLineInstallerData Program="app-%[2]s.bin" Arguments="/quiet" DefaultResult="Failed" RebootByDefault="false"/>
<sdp:OriginFile Digest="%[3]s" FileName="app-%[2]s.bin" Size="%[4]d" Modified="2026-01-01T00:00:00Z" OriginUri="%[5]s/app-%[2]s.bin">
<sdp:AdditionalDigest Algorithm="SHA256">%[6]s</sdp:AdditionalDigest></sdp:OriginFile>
<sdp:Language>%[2]s</sdp:Language></sdp:InstallableItem>`, i+1, language, base64.StdEncoding.EncodeToString(one[:]), len(body), vendor, base64.StdEncoding.EncodeToString(two[:]))
	}
	const ns = "http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/"
	text := `<?xml version="1.0" encoding="utf-8"?><sdp:SoftwareDistributionPackage SchemaVersion="1.2" xmlns:sdp="` + ns + `SoftwareDistributionPackage.xsd"
xmlns:lar="` + ns + `LogicalApplicabilityRules.xsd" xmlns:cmd="` + ns + `Installers/CommandLineInstallation.xsd">
<sdp:Properties PackageID="5e000000-0000-4000-8000-000000000009" CreationDate="2026-01-01T00:00:00Z" VendorName="Example" PublicationState="Published"><sdp:ProductName>App</sdp:ProductName></sdp:Properties>
<sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>App 1.0</sdp:Title><sdp:Description>It is better.</sdp:Description></sdp:LocalizedProperties>
<sdp:UpdateSpecificData UpdateClassification="Security Updates" MsrcSeverity="Critical"><sdp:SecurityBulletinID>ES-1</sdp:SecurityBulletinID></sdp:UpdateSpecificData>
<sdp:IsInstallable><lar:True/></sdp:IsInstallable>` + items.String() + `</sdp:SoftwareDistributionPackage>`
	folder = t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "app.sdp"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// done wants a run to end well.
func done(t *testing.T, s *replicationtest.Linked, id string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if run, err := s.Tasks.Wait(t.Context(), id); err != nil || run.State != tasks.Done {
		t.Fatalf("%+v, %v", run, err)
	}
}

// TestALanguageAddedAtTheTopBringsWhatWasLeftOut: what import and staging left out of a language comes in when the top adds
// it, and then goes down to the child that wanted it all along.
func TestALanguageAddedAtTheTopBringsWhatWasLeftOut(t *testing.T) {
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		language := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/app-"), ".bin")
		_, _ = fmt.Fprint(w, "the payload in "+language)
	}))
	defer vendor.Close()
	folder := catalogOf(t, vendor.URL)
	top := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de", "fr"}})
	child.Join(t, top)
	brings := func() {
		t.Helper()
		id, err := top.Imports.Start(t.Context(), imports.Import{Source: "sdp", From: folder})
		done(t, top, id, err)
		bulletins, _, err := top.Bulletins.List(t.Context(), store.Query{})
		if err != nil || len(bulletins) != 1 {
			t.Fatalf("%d bulletins, %v", len(bulletins), err)
		}
		if err := top.Staging.Stage(t.Context(), bulletins[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	brings()
	top.Eventually(t, "staged in German", func() error { return top.Holds(document.Payload, 1) })
	child.Eventually(t, "what is in German", func() error { return child.Holds(document.Payload, 1) })
	held := child.Count(t, document.Package)
	if _, err := top.ChangeLanguages(t.Context(), []string{"fr"}, nil, false); err != nil {
		t.Fatal(err)
	}
	brings()
	top.Eventually(t, "staged in French", func() error { return top.Holds(document.Payload, 2) })
	child.Eventually(t, "what was left out", func() error { return child.Holds(document.Payload, 2) })
	if now := child.Count(t, document.Package); now != 2 {
		t.Errorf("%d packages before, %d now, want 2", held, now)
	}
	equal(t, child)
}
