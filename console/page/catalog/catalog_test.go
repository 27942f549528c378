package catalog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/offers"
	"thatch/console/api/policies"
	"thatch/console/api/reports"
	"thatch/console/api/tree"
	"thatch/console/api/vulnerabilities"
	page "thatch/console/page/catalog"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/store"
)

// evil is what a hostile vendor calls things.
const evil = `<script>alert("vendor")</script>`

// open is a browser on a node with the pages and routes of this room.
func open(t testing.TB) *pagetest.Browser {
	return pagetest.Start(t, func(n *node.Node) []api.Route {
		return slices.Concat(reports.Routes(n), vulnerabilities.Routes(n), offers.Routes(n), policies.Routes(n), tree.Routes(n))
	}, page.Area())
}

// stocked is open with a catalog: a bulletin of three updates, one with a package that can be had, one with a package
// that is gone, one without; a later bulletin whose update supersedes the first; every text is a script.
func stocked(t testing.TB) *pagetest.Browser {
	t.Helper()
	b := open(t)
	body := "a payload of a format without signatures"
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/good.bin" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(vendor.Close)
	sum := sha256.Sum256([]byte(body))
	pack := func(id, update, file, digest string) document.Document {
		return bulletinstest.Doc(t, document.Package, id, nil, catalog.Package{
			Update: update, Name: evil + id, Files: []catalog.File{{Name: file, Size: int64(len(body)), SHA256: digest, URL: vendor.URL + "/" + file}},
			Installer: catalog.Installer{
				Type: catalog.MSI, File: file, Arguments: "/qn " + evil, DefaultResult: catalog.Failed,
				Codes: []catalog.ReturnCode{{Code: 3010, Result: catalog.Succeeded, Restart: true, Text: evil}},
			},
		})
	}
	x64 := rule.And(rule.Test(rule.Architecture, "Is", "x64"), rule.Or(rule.Test("RegSz", "Comparison", "EqualTo", "Key", "HKEY_LOCAL_MACHINE", "Data", evil), rule.Not(rule.Test("False"))))
	update := func(id, bulletin string, supersedes ...string) document.Document {
		return bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
			Name: evil + id, Title: evil, Bulletin: bulletin, Source: "sdp", Vendor: evil, Product: catalog.Product{ID: evil, Name: evil}, Nature: catalog.Nature{Class: evil, FixedBuild: evil, URL: "javascript:alert(1)"},
			CVEs: []string{"CVE-2026-0001"}, Rules: catalog.Rules{Applicable: x64, Installed: rule.Not(x64)}, Relations: catalog.Relations{Supersedes: supersedes},
		})
	}
	bulletin := func(id, name, released string) document.Document {
		return bulletinstest.Doc(t, document.Bulletin, id, nil, catalog.Bulletin{
			Name: name, Source: "sdp", Vendor: evil, Title: evil, Description: evil, Severity: catalog.Critical, Released: released, URL: "javascript:alert(1)",
			CVEs:  []catalog.CVE{{ID: "CVE-2026-0001", Title: evil, Severity: catalog.Critical, Score: 9.8, Vector: evil, Exploited: true}},
			Named: []catalog.NamedBy{{File: evil, CVEs: 1}},
		})
	}
	bulletinstest.Save(t, b.Node.Bulletins, "sdp", "f",
		bulletin("v/B", "B 1", "2026-04-14"), bulletin("v/C", "B 2", "2026-05-12"),
		update("v/good", "v/B"), update("v/gone", "v/B"), update("v/none", "v/B"), update("v/next", "v/C", "v/good"),
		pack("v/good/P", "v/good", "good.bin", hex.EncodeToString(sum[:])), pack("v/gone/P", "v/gone", "gone.bin", strings.Repeat("ab", 32)))
	return b
}

func TestEmptyPagesSayWhatToDo(t *testing.T) {
	b := open(t)
	for address, text := range map[string]string{
		"/bulletins": "No vendor catalog has been imported yet", "/updates": "No vendor catalog has been imported yet",
		"/packages": "No package is known", "/cves": "No vendor catalog that names vulnerabilities",
	} {
		b.Get(t, address).Has(t, text, "What this page is for", "thatch ")
	}
	b.Language = "de"
	b.Get(t, "/bulletins?severity=Critical&q=x").Has(t, "Nichts entspricht", "Patch-Zentrale", "Voriger Monat")
	for _, address := range []string{"/bulletins/nothing", "/updates/nothing", "/packages/nothing", "/cves/CVE-1"} {
		if answer := b.Get(t, address); answer.Status != http.StatusNotFound {
			t.Errorf("%s: %d", address, answer.Status)
		}
	}
}

// TestVendorsTextsAreTexts opens every page in which a vendor's text stands: none of them is markup, and no address of a
// vendor runs anything.
func TestVendorsTextsAreTexts(t *testing.T) {
	b := stocked(t)
	b.Post(t, "/bulletins/v%2FB", url.Values{"do": {"stage"}})
	for _, address := range []string{
		"/bulletins", "/bulletins?columns=bulletin,vendor,title,source&grouped=vendor", "/bulletins/v%2FB", "/updates", "/updates?grouped=product", "/updates/v%2Fgood",
		"/packages", "/packages?grouped=languages", "/packages/v%2Fgood%2FP", "/packages/v%2Fgone%2FP", "/cves", "/cves/CVE-2026-0001", "/packages?update=" + url.QueryEscape(evil),
	} {
		answer := b.Get(t, address)
		if answer.Status != http.StatusOK {
			t.Errorf("%s: %d %s", address, answer.Status, pagetest.Main(answer.Body))
		}
		if !strings.Contains(answer.Body, "&lt;script&gt;alert") {
			t.Errorf("%s does not show the vendor's text", address)
		}
		if strings.Contains(answer.Body, "<script>alert") || strings.Contains(answer.Body, `href="javascript`) || strings.Contains(answer.Body, "#ZgotmplZ") {
			t.Errorf("%s: a vendor's text is markup, or an address that runs", address)
		}
	}
}

func TestBulletinsAreStaged(t *testing.T) {
	b := stocked(t)
	list := b.Get(t, "/bulletins")
	list.Has(t, "1 to 2 of 2", "Needed here", "Never staged", "Make a policy", "Custom Severity")
	if at, next := strings.Index(list.Body, "B 2"), strings.Index(list.Body, "B 1"); at > next {
		t.Error("the newest bulletin is not first")
	}
	list.Has(t, `<select name="vendor">`, `<option value="&lt;script&gt;`)
	b.Get(t, "/bulletins?vendor="+url.QueryEscape(evil)).Has(t, "1 to 2 of 2", " selected>&lt;script&gt;")
	b.Get(t, "/bulletins?superseded=false").Has(t, "1 to 2 of 2") // one of the first one's updates is replaced, not all
	b.Get(t, "/bulletins?staged=false").Has(t, "1 to 2 of 2")
	b.Get(t, "/bulletins?needed=%3E0").Has(t, "Nothing fits these filters.")
	one := b.Send(t, "/bulletins/v%2FB", url.Values{"do": {"stage"}, "token": {pagetest.Token}})
	if to := one.Header.Get("Location"); !strings.HasPrefix(to, "/tasks/runs/") {
		t.Fatalf("staging leads to %q", to)
	} else if run, err := waited(t, b, strings.TrimPrefix(to, "/tasks/runs/")); err != nil {
		t.Fatal(run, err)
	}
	b.Get(t, "/bulletins?staged=true").Has(t, "1 to 1 of 1")
	b.Get(t, "/bulletins/v%2FB").Has(t, "since ", "by ", "ready", "failed", "no package", "Try again what failed", `href="/policies/new?bulletin=v%2FB"`,
		"Superseded by", `href="/bulletins/B%202"`, "CVE-2026-0001", "9.8", "No policy holds this bulletin.")
	b.Get(t, "/packages/v%2Fgone%2FP").Has(t, `class="note bad"`, "404", "Try again")
	b.Get(t, "/packages/v%2Fgood%2FP").Has(t, "msiexec /i good.bin /qn", "3010", "SHA-256", "its format carries no signature")
	b.Post(t, "/bulletins", url.Values{"do": {"unstage"}, "key": {"v/B"}}).Has(t, "1 bulletin is not staged any more.")
	if again := b.Post(t, "/bulletins", url.Values{"do": {"stage"}, "key": {"v/C"}}); !strings.Contains(again.Body, "There is nothing to download") {
		again.Has(t, "There is nothing to download")
	}
	b.Post(t, "/bulletins", url.Values{"do": {"stage"}}).Has(t, "Choose at least one row.")
	to := b.Send(t, "/bulletins", url.Values{"do": {"policy"}, "key": {"v/B", "v/C"}, "token": {pagetest.Token}}).Header.Get("Location")
	if to != "/policies/new?bulletin=v%2FB&bulletin=v%2FC" {
		t.Errorf("a policy of two bulletins is made at %q", to)
	}
}

func waited(t testing.TB, b *pagetest.Browser, run string) (string, error) {
	ended, err := b.Node.Tasks.Wait(t.Context(), run)
	return string(ended.State), err
}

func TestCustomSeverities(t *testing.T) {
	b := stocked(t)
	made, err := b.Node.Bulletins.CreateSeverity(t.Context(), "This <week>", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/bulletins").Has(t, "This &lt;week&gt;", "no custom severity")
	b.Post(t, "/bulletins", url.Values{"do": {"severity"}, "key": {"v/B", "v/C"}, "severity": {made}}).Has(t, "The custom severity of 2 bulletins is set.")
	b.Get(t, "/bulletins/v%2FB").Has(t, `selected>This &lt;week&gt;`)
	b.Post(t, "/bulletins/v%2FB", url.Values{"do": {"severity"}, "severity": {"none"}}).Has(t, "The custom severity of 1 bulletin is set.")
	if refused := b.Post(t, "/bulletins", url.Values{"do": {"severity"}, "key": {"v/B"}, "severity": {"nobody's"}}); refused.Status < 400 {
		t.Errorf("a severity that is not there: %d", refused.Status)
	}
}

func TestNeverOffered(t *testing.T) {
	b := stocked(t)
	b.Post(t, "/bulletins", url.Values{"do": {"never"}, "key": {"v/B", "v/C"}}).Has(t, "2 bulletins are never offered.")
	b.Get(t, "/bulletins?never_offered=true").Has(t, "1 to 2 of 2")
	one := b.Get(t, "/bulletins/v%2FB")
	one.Has(t, "It is never offered", `value="offer"`)
	if strings.Contains(one.Body, `value="stage"`) {
		t.Error("what is never offered can be staged")
	}
	b.Post(t, "/bulletins/v%2FB", url.Values{"do": {"stage"}}).Has(t, `role="alert"`, "offer it again first")
	b.Post(t, "/bulletins/v%2FB", url.Values{"do": {"offer"}}).Has(t, "1 bulletin is offered again.", `value="stage"`)
}

func TestUpdatesShowTheirRules(t *testing.T) {
	b := stocked(t)
	b.Get(t, "/updates").Has(t, "1 to 4 of 4", "not staged", "Without a rule")
	b.Get(t, "/updates/v%2Fgood").Has(t, "Applicable where", "all of these", "architecture", "<code>x64</code>", "one of these", "registry text", "Data = &lt;script&gt;", "Installed where",
		"none of these", `href="/updates/v%2Fnext"`, `href="/cves/CVE-2026-0001"`, `href="/packages?update=v%2Fgood#add"`, "No computer of this site is concerned.")
	b.Language = "de"
	b.Get(t, "/updates/v%2Fgood").Has(t, "alle diese", "nicht bereitgestellt")
}

func TestPackagesByHand(t *testing.T) {
	b := stocked(t)
	form := url.Values{"do": {"add"}, "update": {"v/none"}, "type": {"exe"}, "files": {"https://vendor.example/setup.exe"}, "name": {"kept"}}
	b.Get(t, "/packages?update=v%2Fnone").Has(t, `name="update" required value="v/none"`, " open>")
	b.Post(t, "/packages", form).Has(t, "Each line of the files is an address", `value="kept"`, "https://vendor.example/setup.exe</textarea>")
	form.Set("files", "https://vendor.example/setup.exe "+strings.Repeat("cd", 32))
	b.Post(t, "/packages", form).Has(t, "The package is added.", "kept", "setup.exe", `value="remove"`)
	var id string
	list, _, err := b.Node.Bulletins.Packages(t.Context(), store.Query{Filter: map[string]string{"by_hand": "true"}})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	id = list[0].ID
	b.Post(t, "/packages/"+url.PathEscape(id), url.Values{"do": {"remove"}, "version": {strings.Repeat("00", 31) + "01"}}).Has(t, "role=\"alert\"")
	b.Post(t, "/packages/"+url.PathEscape(id), url.Values{"do": {"remove"}}).Has(t, "The package is removed.")
	if refused := b.Post(t, "/packages/v%2Fgood%2FP", url.Values{"do": {"remove"}}); refused.Status != http.StatusBadRequest {
		t.Errorf("a vendor's package is removed: %d", refused.Status)
	}
}

func TestVulnerabilities(t *testing.T) {
	b := stocked(t)
	b.Get(t, "/cves").Has(t, "CVE-2026-0001", "9.8", "Exploited and open here")
	b.Get(t, "/cves/cve-2026-0001").Has(t, "9.8", `href="/bulletins/v%2FB"`, `href="/updates/v%2Fnext"`, "https://www.cve.org/CVERecord?id=CVE-2026-0001")
}

// TestViewers see everything and can do nothing.
func TestViewers(t *testing.T) {
	b := stocked(t)
	b.Operator = identity.Operator{Name: "Vera", Scope: identity.Viewer}
	for _, address := range []string{"/bulletins", "/bulletins/v%2FB", "/updates", "/updates/v%2Fgood", "/packages", "/packages/v%2Fgood%2FP", "/cves", "/cves/CVE-2026-0001"} {
		answer := b.Get(t, address)
		if answer.Status != http.StatusOK || strings.Contains(pagetest.Main(answer.Body), `name="do"`) || strings.Contains(answer.Body, `href="/policies/new`) {
			t.Errorf("%s: %d, or a button that a viewer may not use", address, answer.Status)
		}
	}
	for address, do := range map[string]string{"/bulletins": "stage", "/bulletins/v%2FB": "unstage", "/bulletins/v%2FC": "never", "/packages": "add", "/packages/v%2Fgood%2FP": "remove"} {
		if answer := b.Post(t, address, url.Values{"do": {do}, "key": {"v/B"}}); answer.Status != http.StatusForbidden {
			t.Errorf("%s %s: %d", address, do, answer.Status)
		}
	}
}
