package reports_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/overview"
	routes "thatch/console/api/reports"
	"thatch/console/api/tree"
	"thatch/console/page/pagetest"
	"thatch/console/page/reports"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/identity"
)

// every is each page of the room that needs no name.
var every = []string{
	"/reports", "/reports/bulletins", "/reports/updates", "/reports/computers", "/reports/cves", "/reports/months", "/reports/sites",
	"/reports/delivery", "/reports/failures", "/reports/vulnerabilities", "/reports/details", "/reports/superseded",
}

func start(t *testing.T) *pagetest.Browser {
	t.Helper()
	return pagetest.Start(t, func(n *node.Node) []api.Route {
		return append(append(routes.Routes(n), overview.Routes(n)...), tree.Routes(n)...)
	}, reports.Area())
}

// hostile is a vendor's text that would run where it is not shown as text.
const hostile = `<script>alert("x")</script>`

// site runs a node with two months of bulletins, the second of which replaces the first, and three computers: the first
// misses everything, the second tried in vain, the third has all.
func site(t *testing.T) *pagetest.Browser {
	t.Helper()
	b := start(t)
	for i, file := range []string{"2019-Jan", "2019-Feb"} {
		id := fmt.Sprint(i + 1)
		u := catalog.Update{
			Name: "Update " + id + hostile, Bulletin: "b" + id, Source: "sdp", Severity: catalog.Critical, CVEs: []string{"CVE-2019-000" + id},
			Product: catalog.Product{Name: "Windows 10 " + hostile}, Applicable: rule.Test("True"), Installed: rule.Test("False"),
		}
		if i == 1 {
			u.Supersedes = []string{"v/u1"}
		}
		bulletinstest.Save(t, b.Node.Bulletins, "sdp", file,
			bulletinstest.Doc(t, document.Bulletin, "b"+id, nil, catalog.Bulletin{
				Name: "KB" + id, Title: hostile, Source: "sdp", Severity: catalog.Critical,
				CVEs:  []catalog.CVE{{ID: "CVE-2019-000" + id, Title: hostile, Exploited: i == 1, Severity: catalog.Critical}},
				Named: []catalog.NamedBy{{File: file, CVEs: 1}},
			}),
			bulletinstest.Doc(t, document.Update, "v/u"+id, nil, u))
	}
	report(t, b.Node, "pc-1", computers.Report{Applicable: computers.Change{Add: []uint32{1, 2}}})
	report(t, b.Node, "pc-2", computers.Report{
		Applicable: computers.Change{Add: []uint32{2}}, Attempts: []computers.Attempt{
			{ID: "1", Number: 2, Policy: "gone policy", Started: b.Node.Now(), Ended: b.Node.Now(), Code: 1603},
			{ID: "2", Number: 2, Policy: "gone policy", Started: b.Node.Now(), Ended: b.Node.Now(), Success: true, Remained: true},
		},
		States: []computers.State{{Number: 2, Policy: "gone policy", Status: computers.FailedToInstall}},
	})
	report(t, b.Node, "pc-3", computers.Report{Installed: computers.Change{Add: []uint32{1, 2}}, Attempts: []computers.Attempt{
		{ID: "3", Number: 2, Policy: "gone policy", Started: b.Node.Now(), Ended: b.Node.Now(), Success: true},
	}})
	return b
}

func report(t *testing.T, n *node.Node, name string, report computers.Report) {
	t.Helper()
	newcomer := computers.Newcomer{Name: name, MachineID: name, Hardware: name, Platform: "windows", Group: "berlin"}
	place, err := n.Computers.Place(t.Context(), newcomer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Computers.Enrol(t.Context(), newcomer, place, "serial "+name)
	if err != nil {
		t.Fatal(err)
	}
	report.At, report.Cursor = n.Now(), computers.Cursor{Index: 1 << 40}
	if _, err := n.Computers.Report(t.Context(), c.ID, report); err != nil {
		t.Fatal(err)
	}
}

func TestReportsOfNothing(t *testing.T) {
	b := start(t)
	for _, path := range every {
		for _, language := range []string{"en", "de"} {
			b.Language = language
			if answer := b.Get(t, path); answer.Status != http.StatusOK || strings.Contains(answer.Body, "%!") || strings.Contains(pagetest.Main(answer.Body), "<svg class=\"chart\"") {
				t.Errorf("%s in %s: %d\n%s", path, language, answer.Status, pagetest.Main(answer.Body))
			}
		}
	}
	b.Language = ""
	b.Get(t, "/reports/bulletins").Has(t, "import a catalog on the page Catalog")
	b.Get(t, "/reports/delivery").Has(t, "Nothing was ordered yet")
	b.Get(t, "/reports/superseded").Has(t, "No bulletin is superseded.")
}

func TestReports(t *testing.T) {
	b := site(t)
	day := b.Node.Now().UTC().Format(time.DateOnly)
	for path, want := range map[string][]string{
		"/reports":                                  {"Compliance by Bulletin", "Which bulletins do my computers need", `href="/reports/superseded"`},
		"/reports/bulletins":                        {"KB2", `href="/bulletins/b2"`, `href="/reports/updates?bulletin=KB2"`, "Bulletins by severity", "As a table"},
		"/reports/bulletins?missing=%3E0":           {"1 to 1 of 1", "33.3 %"},
		"/reports/updates":                          {`href="/reports/updates/v%2Fu2"`, `href="/reports/updates/v%2Fu2?status=missing"`},
		"/reports/updates/v%2Fu2":                   {"pc-1", "pc-2", "pc-3", "/updates/v%2Fu2", "missing", "failed", "installed", `href="/updates/v%2Fu2"`},
		"/reports/updates/v%2Fu2?status=missing":    {"pc-1", "1 to 1 of 1"},
		"/reports/computers":                        {"pc-1", "Nothing missing", "berlin"},
		"/reports/cves":                             {"CVE-2019-0002", `href="/cves/CVE-2019-0002"`},
		"/reports/months":                           {"2019-02", `href="/reports/bulletins?month=2019-02"`, "Computers by month"},
		"/reports/sites":                            {`href="/reports/sites/` + b.Node.Site().ID, "Test"},
		"/reports/sites/" + b.Node.Site().ID:        {"Bulletins of Test"},
		"/reports/delivery":                         {routes.Unknown, "Attempts to install, by day", day, "attempts in the last 30 days"},
		"/reports/failures":                         {"Update 2", "KB2", day},
		"/reports/vulnerabilities":                  {"Critical", "CVE-2019-0002", "on 2 computers", `href="/reports/cves?missing=%3E0&amp;severity=Critical"`},
		"/reports/details":                          {"KB1", "KB2", "Bulletins by month"},
		"/reports/superseded":                       {"KB1", "KB2", "1 to 1 of 1"},
		"/reports/superseded?policies=%3E0":         {"Nothing fits these filters"},
		"/reports/computers?percent=%3C95":          {"pc-1", "pc-2", "1 to 2 of 2"},
		"/reports/bulletins?grouped=severity":       {`class="group"`},
		"/reports/cves?exploited=true&missing=%3E0": {"1 to 1 of 1"},
	} {
		answer := b.Get(t, path)
		answer.Has(t, want...)
		if answer.Status != http.StatusOK || strings.Contains(pagetest.Main(answer.Body), "<script") {
			t.Errorf("%s: %d, or a vendor's script stands in it", path, answer.Status)
		}
	}
	if answer := b.Get(t, "/reports/updates/none"); answer.Status != http.StatusNotFound {
		t.Errorf("an update that there is not: %d", answer.Status)
	}
}

// What a file holds is what the page shows.
func TestFilesOfReports(t *testing.T) {
	b := site(t)
	for path, want := range map[string]string{
		"/reports/bulletins?columns=bulletin,missing,installed": "Bulletin,Missing,Installed\nKB2,2,1\nKB1,0,1\n",
		"/reports/delivery?columns=policy,executed,succeeded,failures,remained": "Policy,Attempts,Succeeded,Failed attempts,Still missing after\n" +
			"not known to this site,3,1,1,1\n",
		"/reports/vulnerabilities?columns=name,open,exploited": "Severity,Open,Exploited and open\nCritical,1,1\n",
		"/reports/superseded?columns=bulletin,by":              "Bulletin,Replaced by\nKB1,KB2\n",
		"/reports/updates/v%2Fu2?columns=computer,status":      "Computer,Status\npc-1,missing\npc-2,failed\npc-3,installed\n",
	} {
		if got := b.Get(t, path+"&format=csv"); got.Body != want {
			t.Errorf("%s:\n%s\nwant\n%s", path, got.Body, want)
		}
	}
}

func TestActsOfReports(t *testing.T) {
	b := site(t)
	for _, path := range []string{"/reports/bulletins", "/reports/details", "/reports/updates", "/reports/sites/" + b.Node.Site().ID} {
		key := "b2"
		if path == "/reports/updates" {
			key = "KB2"
		}
		staged := b.Send(t, path, url.Values{"token": {pagetest.Token}, "do": {"stage"}, "key": {key, key}})
		if staged.Status != http.StatusSeeOther {
			t.Errorf("%s: staged with %d\n%s", path, staged.Status, pagetest.Main(staged.Body))
		}
		made := b.Send(t, path, url.Values{"token": {pagetest.Token}, "do": {"policy"}, "key": {key, "b1", key}})
		if to := made.Header.Get("Location"); to != "/policies/new?bulletin="+min(key, "b1")+"&bulletin="+max(key, "b1") {
			t.Errorf("%s: a policy is begun at %q", path, to)
		}
		b.Post(t, path, url.Values{"do": {"stage"}}).Has(t, "Choose at least one row.")
		b.Post(t, path, url.Values{"do": {"stage"}, "key": {"none"}}).Has(t, "none")
	}
	b.Operator.Scope = identity.Viewer
	if answer := b.Get(t, "/reports/bulletins"); strings.Contains(answer.Body, `value="stage"`) {
		t.Error("a viewer is offered to stage")
	}
	if answer := b.Post(t, "/reports/bulletins", url.Values{"do": {"stage"}, "key": {"b2"}}); answer.Status != http.StatusForbidden {
		t.Errorf("a viewer stages: %d", answer.Status)
	}
}
