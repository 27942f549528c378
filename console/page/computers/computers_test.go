package computers_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/operators"
	"thatch/console/api/prompts"
	"thatch/console/api/reports"
	"thatch/console/api/why"
	"thatch/console/page/computers"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	room "thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/store"
)

// start runs a node with the pages of this room, and no computers.
func start(t *testing.T) *pagetest.Browser {
	t.Helper()
	return pagetest.Start(t, func(n *node.Node) []api.Route {
		return slices.Concat(reports.Routes(n), operators.Routes(n), why.Routes(n), prompts.Routes(n))
	}, computers.Area())
}

// hostile is a text of a vendor or of a computer that would run where it is not shown as text.
const hostile = `<script>alert("x")</script>`

// site runs a node with two updates, of which one is exploited, and three computers: pc-1 misses both, pc-2 one, and of
// pc-3 one cannot be told.
func site(t *testing.T) (b *pagetest.Browser, ids []string) {
	t.Helper()
	b = start(t)
	bulletinstest.Save(t, b.Node.Bulletins, "sdp", "file",
		bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{
			Name: "KB1", Source: "sdp", Severity: catalog.Critical, CVEs: []catalog.CVE{{ID: "CVE-2019-0001", Exploited: true}},
			Named: []catalog.NamedBy{{File: "2019-Feb", CVEs: 1}},
		}),
		bulletinstest.Doc(t, document.Update, "u1", nil, catalog.Update{
			Name: "Update 1 " + hostile, Bulletin: "b1", Source: "sdp", KB: "1", Severity: catalog.Critical, CVEs: []string{"CVE-2019-0001"},
			Product: catalog.Product{Name: "Windows 10"},
			Rules:   catalog.Rules{Applicable: rule.And(rule.Test(rule.Architecture, "Is", "x64"), rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", "Software\\"+hostile)), Installed: rule.Test(rule.Hotfix, "KB", "1", "Product", "Windows 10")},
		}),
		bulletinstest.Doc(t, document.Update, "u2", nil, catalog.Update{
			Name: "Update 2", Bulletin: "b1", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
		}))
	for i, c := range []struct {
		group      string
		applicable []uint32
		unknown    []uint32
	}{{"berlin", []uint32{1, 2}, nil}, {"berlin", []uint32{2}, nil}, {hostile, nil, []uint32{1}}} {
		ids = append(ids, enrol(t, b.Node, fmt.Sprint("pc-", i+1), c.group, room.Report{
			Applicable: room.Change{Add: c.applicable}, Unknown: room.Change{Add: c.unknown}, Reasons: map[uint32]string{1: "no registry " + hostile},
		}))
	}
	return b, ids
}

func enrol(t *testing.T, n *node.Node, name, group string, report room.Report) string {
	t.Helper()
	newcomer := room.Newcomer{Name: name, MachineID: name, Hardware: name, Platform: "windows", Languages: []string{"de-de"}, Group: group}
	place, err := n.Computers.Place(t.Context(), newcomer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Computers.Enrol(t.Context(), newcomer, place, "serial "+name)
	if err != nil {
		t.Fatal(err)
	}
	n.Computers.Seen(c.Number, n.Now())
	report.At, report.Cursor = n.Now(), room.Cursor{Index: 1 << 40}
	report.Facts = &room.Facts{
		Name: name, Serial: "SN-" + name, Model: "Model " + hostile, Addresses: []string{"10.0.0." + name[3:]}, Agent: "1.0", Hotfixes: []string{"7"},
		System: rule.System{Platform: "windows", Product: "Windows 10", Architecture: "x64", Build: 17763, Revision: 379, Languages: []string{"de-de"}},
	}
	if _, err := n.Computers.Report(t.Context(), c.ID, report); err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// lacks fails a test where a page has what it should not.
func lacks(t *testing.T, a pagetest.Answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(pagetest.Main(a.Body), text) {
			t.Errorf("the page has %q:\n%s", text, pagetest.Main(a.Body))
		}
	}
}

func TestNoComputers(t *testing.T) {
	b := start(t)
	b.Get(t, "/computers").Has(t, "No computer is managed yet", `href="/computers/add"`)
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/computers"), `href="/computers/add"`)
}

func TestComputersAndTheirViews(t *testing.T) {
	b, _ := site(t)
	answer := b.Get(t, "/computers")
	answer.Has(t, "pc-1", "pc-2", "pc-3", "berlin", "&lt;script&gt;", "1 to 3 of 3")
	lacks(t, answer, hostile)
	for view, want := range map[string][]string{
		"attention=true": {"pc-1"}, "exploited=%3E0": {"pc-1"}, "unknown=%3E0": {"pc-3"}, "silent=true": {}, "doubt=yes": {},
		"retired=yes": {}, "group=berlin": {"pc-1", "pc-2"}, "q=SN-pc-2": {"pc-2"}, "q=10.0.0.3": {"pc-3"}, "build=17763*": {"pc-1", "pc-2", "pc-3"},
		"columns=computer,serial,model,build&sort=-serial": {"SN-pc-3", "17763.379"},
	} {
		answer := b.Get(t, "/computers?"+view)
		answer.Has(t, want...)
		if len(want) == 0 {
			answer.Has(t, "Nothing fits these filters")
		}
		lacks(t, answer, hostile)
	}
	lacks(t, b.Get(t, "/computers?group=berlin"), "pc-3")
	b.Get(t, "/computers?group=berlin&grouped=product").Has(t, "1 to 2 of 2", `class="group"`)
	csv := b.Get(t, "/computers?format=csv&columns=computer,group,missing&sort=computer")
	if !strings.HasPrefix(csv.Body, "Computer,Group,Missing\npc-1,berlin,2\npc-2,berlin,1\n") {
		t.Errorf("the file:\n%s", csv.Body)
	}
	b.Language = "de"
	b.Get(t, "/computers").Has(t, "Alle Computer, die diese Site verwaltet", "in Gruppe")
}

func TestMoveAndRetireMany(t *testing.T) {
	b, ids := site(t)
	b.Post(t, "/computers", url.Values{"do": {"move"}, "key": ids[:2], "group": {"paris"}}).Has(t, "2 computers were moved.", "paris")
	b.Post(t, "/computers", url.Values{"do": {"move"}, "group": {"rome"}}).Has(t, "Choose at least one computer.")
	b.Post(t, "/computers", url.Values{"do": {"move"}, "key": {"nobody"}, "group": {"rome"}}).Has(t, "nobody")
	b.Post(t, "/computers", url.Values{"do": {"retire"}, "key": {ids[2]}}).Has(t, "1 computer was retired.", "1 to 2 of 2")
	b.Get(t, "/computers?retired=yes&columns=computer,retired").Has(t, "pc-3", "1 to 1 of 1")
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/computers"), `value="move"`, `value="retire"`)
	for _, do := range []string{"move", "retire"} {
		if answer := b.Post(t, "/computers", url.Values{"do": {do}, "key": {ids[0]}}); answer.Status != 403 {
			t.Errorf("a viewer may %s: %d", do, answer.Status)
		}
	}
	b.Operator.Scope = identity.Operate
	lacks(t, b.Get(t, "/computers"), `value="retire"`)
}

func TestAddComputers(t *testing.T) {
	b := start(t)
	answer := b.Get(t, "/computers/add")
	answer.Has(t, "Make the token", "No token has been made yet")
	made := b.Send(t, "/computers/add", url.Values{"token": {pagetest.Token}, "do": {"make"}, "name": {hostile}, "group": {"berlin"}, "limit": {"5"}, "hours": {"24"}})
	made.Has(t, "thatch-agent.exe enrol --node https://example.com --token tt1-", "./thatch-agent enrol --node https://example.com --token tt1-",
		"service install", "Good for 5 computers", "into the group berlin")
	if got := b.Get(t, "/computers/add"); strings.Contains(got.Body, "tt1-") {
		t.Error("the secret is shown again")
	} else {
		got.Has(t, "&lt;script&gt;", "berlin")
		lacks(t, got, hostile)
	}
	for field, bad := range map[string]string{"limit": "many", "hours": "-1"} {
		form := url.Values{"token": {pagetest.Token}, "do": {"make"}, "name": {"kept"}, field: {bad}}
		refused := b.Send(t, "/computers/add", form)
		refused.Has(t, "is no number", `value="kept"`)
		if refused.Status != 400 {
			t.Errorf("%s %q: %d", field, bad, refused.Status)
		}
	}
	all, _, err := b.Node.Identity.EnrolmentTokens(t.Context(), store.Query{})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d tokens, %v", len(all), err)
	}
	b.Post(t, "/computers/add", url.Values{"do": {"revoke"}, "key": {all[0].ID}}).Has(t, "1 token was revoked.")
	b.Language = "de"
	b.Get(t, "/computers/add").Has(t, "Aufnahmetoken erzeugen", "3 Tage")
	b.Operator.Scope = identity.Operate
	if answer := b.Get(t, "/computers/add"); answer.Status != 403 {
		t.Errorf("an operator sees tokens: %d", answer.Status)
	}
}

func TestOneComputer(t *testing.T) {
	b, ids := site(t)
	answer := b.Get(t, "/computers/"+ids[0])
	answer.Has(t, "pc-1", "17763.379", "SN-pc-1", "1 hotfix", "KB7", "no policy in force orders it here", `href="/computers/`+ids[0]+`/updates/u1"`, "it may install at any time")
	lacks(t, answer, hostile)
	b.Get(t, "/computers/"+ids[2]+"?status=Cannot+tell").Has(t, "no registry &lt;script&gt;", `aria-current="true">Cannot tell 1`)
	b.Get(t, "/computers/"+ids[2]+"?status=Installed").Has(t, "Nothing is open here")
	b.Post(t, "/computers/"+ids[0], url.Values{"do": {"move"}, "group": {"paris"}, "version": {"x"}}).Has(t, "The form names no version.")
	b.Post(t, "/computers/"+ids[0], url.Values{"do": {"move"}, "group": {"paris"}, "version": {"99"}}).Has(t, `role="alert"`, `value="paris"`)
	b.Post(t, "/computers/"+ids[0], url.Values{"do": {"move"}, "group": {"paris"}, "version": {"0"}}).Has(t, "1 computer was moved.", "/computers?group=paris")
	b.Language = "de"
	b.Get(t, "/computers/"+ids[0]).Has(t, "Aufgenommen", "Wartungsfenster dieses Computers")
	b.Language = ""
	b.Post(t, "/computers/"+ids[0], url.Values{"do": {"retire"}, "version": {"0"}}).Has(t, "1 computer was retired.", "Retired on")
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/computers/"+ids[1]), `value="move"`, `value="retire"`)
	for _, path := range []string{"/computers/nobody", "/computers/nobody/updates/u1", "/computers/" + ids[1] + "/updates/none"} {
		if answer := b.Get(t, path); answer.Status != 404 {
			t.Errorf("%s: %d", path, answer.Status)
		}
	}
}

func TestWhy(t *testing.T) {
	b, ids := site(t)
	for path, want := range map[string][]string{
		"/computers/" + ids[0] + "/updates/u1": {
			"No policy orders it", "it applies and is not installed", "The architecture is x64", "Only the computer can tell. It said on", "KB1 is installed, or one that replaces it",
			"RegKeyExists", "No policy holds this update.", "The agent has not tried to install it.",
		},
		"/computers/" + ids[2] + "/updates/u1": {"cannot tell", "no registry &lt;script&gt;"},
		"/computers/" + ids[1] + "/updates/u1": {"It does not apply to this computer", "it does not apply"},
	} {
		answer := b.Get(t, path)
		answer.Has(t, want...)
		lacks(t, answer, hostile)
	}
	b.Language = "de"
	b.Get(t, "/computers/"+ids[0]+"/updates/u1").Has(t, "Regel für Regel", "Die Architektur ist x64", "Nur der Computer kann es sagen")
}
