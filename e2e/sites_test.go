package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/ringtest"
)

// newChild starts a site and makes it a child of another one.
func newChild(t *testing.T, parent *site, name, languages string) *site {
	t.Helper()
	s := namedSite(t, name, languages)
	s.join(parent)
	return s
}

func namedSite(t *testing.T, name, languages string) *site {
	t.Helper()
	s := &site{t: t, name: name, folder: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0"}
	s.begin(languages)
	return s
}

// begin starts the site for the first time; it is stopped with the test.
func (s *site) begin(languages string) {
	s.t.Helper()
	s.start("--site", s.name, "--languages", languages)
	s.t.Cleanup(func() {
		s.kill()
		if s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", s.name, s.log.tail(6000))
		}
	})
}

// join makes the site a child.
func (s *site) join(parent *site) {
	s.t.Helper()
	var made struct{ Token string }
	parent.must(&made, "children", "tokens", "create", "--name", s.name)
	s.must(nil, "child", "join", "--parent", "https://"+parent.listen, "--token", made.Token)
}

// verified is what a verification says.
type verified struct {
	Compared, Different, Repaired, Quarantined int
	Equal                                      bool
	Links                                      []struct {
		Site  string
		Error string
		Runs  []run
	}
}

// run is one run of replication.
type run struct {
	started            time.Time
	Type               string
	Documents, Removed int
	Bytes              int64
	BodyBytes          int64 `json:"body_bytes"`
	Verified           *struct {
		Repaired    int
		MendedAbove int `json:"mended_above"`
	}
}

// verify has the site's children, or where it has none the site itself, verify a percentage.
func (s *site) verify(percent int, flags ...string) (verified, error) {
	var v verified
	err := s.run(&v, append([]string{"replication", "verify", "--percent", fmt.Sprint(percent)}, flags...)...)
	return v, err
}

// digest is computed from the site's file alone.
func (s *site) digest(flags ...string) (string, error) {
	var d struct{ Digest string }
	err := s.run(&d, append([]string{"replication", "digest"}, flags...)...)
	return d.Digest, err
}

// equals says whether a child's file holds what its parent's says that it should.
func (s *site) equals(parent *site) error {
	there, err := parent.digest("--child", s.name)
	if err != nil {
		return fmt.Errorf("at %s: %w", parent.name, err)
	}
	here, err := s.digest("--parent")
	if err != nil {
		return fmt.Errorf("at %s: %w", s.name, err)
	}
	if here != there {
		return fmt.Errorf("%s holds %s, its parent says %s", s.name, here, there)
	}
	return nil
}

// languagesOf counts the site's packages by language.
func (s *site) languagesOf(t *testing.T) map[string]int {
	t.Helper()
	var list struct {
		Items []struct{ Languages []string }
	}
	s.must(&list, "packages", "list", "--limit", "1000")
	count := map[string]int{}
	for _, item := range list.Items {
		count[strings.Join(item.Languages, ",")]++
	}
	return count
}

// dataRuns are the runs of data that a site made of late, the newest first.
func (s *site) dataRuns() (list []run) {
	s.t.Helper()
	var runs struct {
		Items []struct {
			Started time.Time
			Result  run
		}
	}
	s.must(&runs, "replication", "runs", "--filter", "direction=down", "--filter", "type=data", "--sort", "-started", "--limit", "1000")
	for _, item := range runs.Items {
		item.Result.started = item.Started
		list = append(list, item.Result)
	}
	return list
}

// mended counts what the site's runs have mended, here and at the parent.
func (s *site) mended() (n int) {
	s.t.Helper()
	for _, r := range s.dataRuns() {
		if r.Verified != nil {
			n += r.Verified.Repaired + r.Verified.MendedAbove
		}
	}
	return n
}

// polyglotCatalog is an SDP catalog whose packages each have a payload for every language.
func polyglotCatalog(packages int, languages ...string) string {
	const ns = "http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/"
	var text strings.Builder
	text.WriteString(`<smc:SystemsManagementCatalog xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"` +
		` xmlns:sdp="` + ns + `SoftwareDistributionPackage.xsd" xmlns:bar="` + ns + `BaseApplicabilityRules.xsd" xmlns:cmd="` + ns + `Installers/CommandLineInstallation.xsd">`)
	for n := range packages {
		fmt.Fprintf(&text, `<smc:SoftwareDistributionPackage SchemaVersion="1.2">
<sdp:Properties PackageID="00000000-0000-0000-0000-%012[1]d" CreationDate="2026-01-01T00:00:00" VendorName="Vendor"><sdp:ProductName>Product</sdp:ProductName></sdp:Properties>
<sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>Package %[1]d</sdp:Title></sdp:LocalizedProperties>
<sdp:UpdateSpecificData UpdateClassification="Updates"><sdp:KBArticleID>L%[2]d</sdp:KBArticleID></sdp:UpdateSpecificData>`, n, n/3)
		for i, language := range languages {
			fmt.Fprintf(&text, `<sdp:InstallableItem ID="0000000%[2]d-0000-0000-0000-%012[1]d"><sdp:ApplicabilityRules>
<sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Vendor\%[1]d"/></sdp:IsInstalled>
<sdp:IsInstallable><bar:WindowsVersion MajorVersion="10"/></sdp:IsInstallable></sdp:ApplicabilityRules>
<sdp:InstallProperties RebootBehavior="NeverReboots"/>
<cmd:CommandLineInstallerData Program="setup.exe"><cmd:ReturnCode Code="0" Result="Succeeded"/></cmd:CommandLineInstallerData>
<sdp:OriginFile Digest="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" FileName="setup-%[3]s.exe" Size="10" OriginUri="http://vendor.example/%[1]d-%[3]s.exe"/>
<sdp:Language>%[3]s</sdp:Language></sdp:InstallableItem>
`, n, i+1, language)
		}
		text.WriteString(`</smc:SoftwareDistributionPackage>`)
	}
	text.WriteString(`</smc:SystemsManagementCatalog>`)
	return text.String()
}

// importText has a site import an SDP catalog.
func (s *site) importText(text string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "catalog.xml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.must(nil, "catalog", "import", "--source", "sdp", "--from", path)
}

// TestAddingALanguageMovesOnlyThatLanguage adds French to a German child and removes it again: what passes the wire, and
// what is there, are the French documents and no others.
func TestAddingALanguageMovesOnlyThatLanguage(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	top := namedSite(t, "Top", "de,en,fr")
	const packages = 60
	top.importText(polyglotCatalog(packages, "de", "en", "fr"))
	child := newChild(t, top, "North", "de")
	holds := func(want map[string]int) {
		t.Helper()
		within(t, 3*time.Minute, fmt.Sprint("the child holds ", want), func() bool {
			got := child.languagesOf(t)
			for language, n := range want {
				if got[language] != n {
					return false
				}
			}
			return len(got) == len(want)
		})
	}
	holds(map[string]int{"de": packages})
	if err := child.equals(top); err != nil {
		t.Fatal(err)
	}
	added := time.Now()
	child.must(nil, "site", "languages", "--add", "fr")
	holds(map[string]int{"de": packages, "fr": packages})
	var moved run
	within(t, 3*time.Minute, "the runs that brought it are in the history", func() bool {
		moved = run{}
		for _, r := range child.dataRuns() {
			if r.started.After(added) {
				moved.Documents += r.Documents
				moved.Removed += r.Removed
				moved.Bytes += r.Bytes
				moved.BodyBytes += r.BodyBytes
			}
		}
		return moved.Documents >= packages
	})
	t.Logf("French came in %d documents, %d bytes on the wire, their bodies %d", moved.Documents, moved.Bytes, moved.BodyBytes)
	if moved.Documents != packages || moved.Removed != 0 {
		t.Errorf("adding French moved %d documents and removed %d, want %d and 0", moved.Documents, moved.Removed, packages)
	}
	if err := child.equals(top); err != nil {
		t.Error(err)
	}
	child.must(nil, "site", "languages", "--remove", "fr")
	holds(map[string]int{"de": packages})
	within(t, 3*time.Minute, "equal without French", func() bool { return child.equals(top) == nil })
	if v, err := top.verify(100, "--child", "North"); err != nil || !v.Equal {
		t.Errorf("verification: %+v, %v", v, err)
	}
}

// victim is a document of which a byte is altered in a site's file.
type victim struct {
	kind, id, languages, origin string
	text                        string // in its body; "": the signature is altered
}

// alter changes a byte of a document in the site's file, behind its back, while no node runs. A revision lies in the file
// as digest, kind, id, languages, origin, signature and body, one after the other.
func (s *site) alter(v victim) {
	s.t.Helper()
	path := filepath.Join(s.folder, "site.db")
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		s.t.Fatalf("%s was not stopped cleanly: its log holds %d bytes", s.name, info.Size())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	mark, found := []byte(v.kind+v.id+v.languages+v.origin), 0
	for at := bytes.Index(content, mark); at >= 0; {
		at += len(mark)
		place := bytes.Index(content[at:min(at+2000, len(content))], []byte(v.text))
		if v.text == "" {
			place = 10
		}
		if place >= 0 {
			content[at+place] ^= 1
			found++
		}
		next := bytes.Index(content[at:], mark)
		if next < 0 {
			break
		}
		at += next
	}
	if found == 0 {
		s.t.Fatalf("the file of %s does not hold %+v", s.name, v)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestAlteredFilesAreMended flips a byte of a document in a child's file, and then in the parent's, while their nodes do
// not run: verification finds it within as many runs as it takes to compare everything, mends it, and says so.
func TestAlteredFilesAreMended(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	top := namedSite(t, "Top", "de,en,fr")
	top.importText(polyglotCatalog(40, "de", "en"))
	child := newChild(t, top, "North", "de")
	below := newChild(t, child, "Farther", "de")
	equal := func() error { return errors.Join(child.equals(top), below.equals(child)) }
	within(t, 3*time.Minute, "everything has come down", func() bool { return child.languagesOf(t)["de"] == 40 && equal() == nil })
	var shown struct{ ID string }
	top.must(&shown, "site", "show")
	var list struct {
		Items []struct {
			ID        string
			Languages []string
		}
	}
	child.must(&list, "packages", "list")
	const percent = 25
	told := 0
	for i, c := range []struct {
		what, text string
		damaged    *site
		digest     []string
	}{
		{"the body, at the child", "setup-de", child, []string{"--parent"}},
		{"the body, at the parent", "setup-de", top, []string{"--child", "North"}},
		{"the signature, at the child", "", child, nil},
		{"the signature, at the parent", "", top, nil},
	} {
		one := list.Items[i]
		c.damaged.stop()
		c.damaged.alter(victim{"package", one.ID, strings.Join(one.Languages, ","), shown.ID, c.text})
		if c.digest != nil {
			if _, err := c.damaged.digest(c.digest...); err == nil {
				t.Errorf("%s: the digest of a file with a damaged document is given with exit code 0", c.what)
			}
		}
		c.damaged.start()
		connected(t, top, child)
		for range (100 + percent - 1) / percent {
			v, err := top.verify(percent, "--child", "North", "--repair")
			if (err == nil) != v.Equal {
				t.Errorf("%s: exit code and answer differ: %v, %+v", c.what, err, v)
			}
		}
		if was := child.mended(); was <= told {
			t.Errorf("%s: no run tells that it mended anything: %d before, %d now", c.what, told, was)
		} else {
			told = was
		}
		if err := equal(); err != nil {
			t.Errorf("%s, altered and mended: %v", c.what, err)
		}
		if got := child.languagesOf(t)["de"]; got != 40 {
			t.Errorf("%s: the child holds %d packages, want 40", c.what, got)
		}
		if v, err := top.verify(100, "--child", "North"); err != nil || !v.Equal {
			t.Errorf("%s: verified again: %+v, %v", c.what, v, err)
		}
	}
}

// connected waits until a parent can ask a child for runs.
func connected(t *testing.T, parent, child *site) {
	t.Helper()
	within(t, 3*time.Minute, child.name+" is linked with "+parent.name, func() bool {
		return parent.run(nil, "replication", "run", "--child", child.name) == nil
	})
}
