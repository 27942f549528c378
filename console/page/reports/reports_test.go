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
	"thatch/node/nodetest"
)

// every is each page of the room that needs no name.
var every = []string{
	"/reports", "/reports/bulletins", "/reports/updates", "/reports/computers", "/reports/cves", "/reports/months", "/reports/sites",
	"/reports/days", "/reports/delivery", "/reports/failures", "/reports/vulnerabilities", "/reports/details", "/reports/superseded",
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
	return stock(t, start(t))
}

// siteAt is site with a clock that is moved by hand.
func siteAt(t *testing.T, clock *nodetest.Clock) *pagetest.Browser {
	t.Helper()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Site: "Test", Languages: []string{"en"}, Now: clock.Now})
	a := api.New(n, append(append(routes.Routes(n), overview.Routes(n)...), tree.Routes(n)...)...)
	nodetest.Run(t, n, map[string]http.Handler{"/": a})
	return stock(t, pagetest.Open(n, a, reports.Area()))
}

func stock(t *testing.T, b *pagetest.Browser) *pagetest.Browser {
	t.Helper()
	for i, file := range []string{"2019-Jan", "2019-Feb"} {
		id := fmt.Sprint(i + 1)
		u := catalog.Update{
			Name: "Update " + id + hostile, Bulletin: "b" + id, Source: "sdp", Severity: catalog.Critical, CVEs: []string{"CVE-2019-000" + id},
			Product: catalog.Product{Name: "Windows 10 " + hostile}, Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
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
		"/reports/computers":                        {"pc-1", "said nothing yet", "berlin"},
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

// A past day is what it was: its links stay with it or are none, its files say it, and a day that is not kept says what is.
func TestReportsOfAPastDay(t *testing.T) {
	clock := nodetest.NewClock()
	b := siteAt(t, clock)
	day := clock.Now().UTC().Format(time.DateOnly)
	clock.Move(24 * time.Hour)
	if kept, err := b.Node.Past.Due(t.Context()); kept != day || err != nil {
		t.Fatalf("%q is kept, %v", kept, err)
	}
	report(t, b.Node, "pc-4", computers.Report{Applicable: computers.Change{Add: []uint32{1, 2}}})
	for path, want := range map[string][]string{
		"/reports/bulletins?missing=%3E0&as_of=" + day:  {"KB2", "As it was at the end of", `href="/reports/updates?as_of=` + day + `&amp;bulletin=KB2"`, "33.3 %", `value="` + day + `"`, `href="/bulletins/b2"`},
		"/reports/updates?as_of=" + day:                 {"Update 2", `name="as_of" value="` + day},
		"/reports/computers?as_of=" + day:               {"1 to 3 of 3", "pc-3"},
		"/reports/computers?complete=true&as_of=" + day: {"1 to 1 of 1", "pc-3"},
		"/reports/cves?as_of=" + day:                    {"CVE-2019-0002"},
		"/reports/months?as_of=" + day:                  {`href="/reports/bulletins?as_of=` + day + `&amp;month=2019-02"`},
		"/reports/sites?as_of=" + day:                   {`href="/reports/sites/` + b.Node.Site().ID + "?as_of=" + day},
		"/reports/vulnerabilities?as_of=" + day:         {"Critical"},
		"/reports/delivery?as_of=" + day:                {"As it was"},
		"/reports/failures?as_of=" + day:                {"Update 2"},
		"/reports/days":                                 {`href="/reports/bulletins?as_of=` + day, `href="/reports/computers?complete=true&amp;as_of=` + day, "Computers by day"},
		"/reports/bulletins?as_of=1999-01-01":           {"the nearest day of which there are is " + day, `href="/reports/days"`},
		"/reports/bulletins?as_of=sometime":             {"is no day"},
	} {
		answer := b.Get(t, path)
		answer.Has(t, want...)
		if main := pagetest.Main(answer.Body); answer.Status != http.StatusOK || strings.Contains(path, "as_of") && strings.Contains(main, `value="stage"`) {
			t.Errorf("%s: %d, or an act of now upon what was", path, answer.Status)
		}
	}
	if main := pagetest.Main(b.Get(t, "/reports/updates?as_of="+day).Body); strings.Contains(main, "?status=missing") {
		t.Error("a figure of a past day leads to computers of now")
	}
	file := b.Get(t, "/reports/bulletins?columns=bulletin,missing&format=csv&as_of="+day)
	if want := "As of,Bulletin,Missing\n" + day + ",KB2,2\n" + day + ",KB1,0\n"; file.Body != want || !strings.Contains(file.Header.Get("Content-Disposition"), day) {
		t.Errorf("%v\n%s\nwant\n%s", file.Header, file.Body, want)
	}
	b.Language = "de"
	b.Get(t, "/reports/computers?as_of="+day).Has(t, "Stand am Ende des")
}
