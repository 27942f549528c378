package administration_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/console/api/apitest"
	"thatch/console/page/administration"
	"thatch/console/page/pagetest"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/sites"
	"thatch/node/store"
)

func whole(t testing.TB) *pagetest.Browser {
	t.Helper()
	return pagetest.Start(t, apitest.Routes, administration.Area())
}

// lacks fails a test where the content of a page has a text.
func lacks(t testing.TB, a pagetest.Answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(pagetest.Main(a.Body), text) {
			t.Errorf("%d: the page has %q:\n%s", a.Status, text, pagetest.Main(a.Body))
		}
	}
}

func TestAlarms(t *testing.T) {
	b := whole(t)
	b.Get(t, "/alarms").Has(t, "Nothing calls for a person")
	err := b.Node.Sites.Raise(t.Context(), sites.Alarm{Kind: sites.Damaged, Text: "<b>3 documents</b> differ", Advice: "look at the disk"})
	if err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/alarms").Has(t, "Damaged documents", "&lt;b&gt;3 documents", "Look at the disk", "What to do:", "Dismiss", `href="/replication"`)
	b.Language = "de"
	b.Get(t, "/alarms").Has(t, "Was zu tun ist:", "Beschädigte Dokumente", "&lt;b&gt;3 documents") // what nobody knows stays as it is
	err = b.Node.Sites.Raise(t.Context(), sites.Alarm{
		Kind: sites.Silent, Subject: "one", Text: "child <i>Paris</i> was last heard of at 2026-11-02T09:30:00Z", Advice: "thatch site languages --add fr",
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/alarms").Has(t, "Die untergeordnete Site &lt;i&gt;Paris&lt;/i&gt; meldete sich zuletzt am 02.11.2026 09:30 UTC", "</b> thatch site languages --add fr")
	b.Post(t, "/alarms", form("do", "dismiss", "kind", sites.Silent, "subject", "one"))
	b.Post(t, "/alarms", form("do", "dismiss", "kind", "nonsense")).Has(t, `role="alert">Alarm „nonsense“ gibt es hier nicht</p>`)
	b.Language = ""
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/alarms"), "Dismiss")
	if got := b.Send(t, "/alarms", form("do", "dismiss", "kind", sites.Damaged)); got.Status != http.StatusForbidden {
		t.Errorf("a viewer dismisses an alarm: %d", got.Status)
	}
	b.Operator.Scope = identity.Operate
	b.Post(t, "/alarms", form("do", "dismiss", "kind", sites.Damaged, "subject", "")).Has(t, "is dismissed", "Ended in the last 30 days", "Nothing calls for a person")
	b.Post(t, "/alarms", form("do", "dismiss", "kind", "nonsense")).Has(t, `role="alert"`)
}

func TestAudit(t *testing.T) {
	b := whole(t)
	b.Post(t, "/settings", form("do", "save", "was agents.attempts", "3", "version agents.attempts", "0", "agents.attempts", "7"))
	list := b.Get(t, "/audit")
	list.Has(t, "agents.attempts", "operator Ada")
	address := regexp.MustCompile(`href="(/audit/\d+)"`).FindStringSubmatch(list.Body)[1]
	b.Get(t, address).Has(t, "What was asked for", "7", "operator Ada", "all changes by it", "Before and after", ">Before</th>", `data-label="After">7</td>`)
	list.Has(t, "value: 3 -&gt; 7")
	b.Get(t, "/audit/999999999").Has(t, "There is no change 999999999")
	b.Get(t, "/audit?q=nothing-like-it").Has(t, "Nothing fits these filters")
	if csv := b.Get(t, "/audit?format=csv"); !strings.Contains(csv.Header.Get("Content-Type"), "csv") || !strings.Contains(csv.Body, "operator Ada") || !strings.Contains(csv.Body, "value: 3 -> 7") {
		t.Errorf("as a file it is %s:\n%s", csv.Header.Get("Content-Type"), csv.Body)
	}
	site, stranger := b.Node.Site(), "00000000-0000-4000-8000-000000000000"
	for _, id := range []string{site.ID, stranger} {
		entry := identity.AuditEntry(b.Node.Now(), "site "+id, "health from site "+id)
		if _, err := b.Node.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "audit", At: b.Node.Now(), Statements: []store.Statement{entry}}); err != nil {
			t.Fatal(err)
		}
	}
	for language, texts := range map[string][]string{
		"en": {">site North<", "health from site North", "health from site " + stranger}, "de": {">Site North<", "Befinden von Site North"},
	} {
		b.Language = language
		list := b.Get(t, "/audit")
		list.Has(t, texts...)
		lacks(t, list, site.ID)
	}
	b.Language = ""
	b.Operator.Scope = identity.Operate
	if got := b.Get(t, "/audit"); got.Status != http.StatusForbidden {
		t.Errorf("an operator reads the audit log: %d", got.Status)
	}
}

func TestSettings(t *testing.T) {
	b := whole(t)
	page := b.Get(t, "/settings")
	page.Has(t, "Agents", "Product exclusions", "Azure Linux", "default:", "parent-then-vendor", `type="password"`)
	save := func(version, value string, more ...string) pagetest.Answer {
		return b.Post(t, "/settings", form(append([]string{
			"do", "save", "group", "agents", "was agents.attempts", "3", "version agents.attempts", version, "agents.attempts", value,
			"was agents.require_signed", "true", "version agents.require_signed", "0", "agents.require_signed", "true",
		}, more...)...))
	}
	save("0", "3").Has(t, "Nothing was changed")
	save("0", "1000").Has(t, `role="alert"`, "between 1 and 100", `value="1000"`)
	save("0", "many").Has(t, `role="alert"`, `value="many"`)
	save("0", "5").Has(t, "1 setting is changed", `value="5"`, "set here", "Back to the default")
	stale := save("0", "6")
	if stale.Has(t, `role="alert"`, `value="6"`); stale.Status != http.StatusConflict {
		t.Errorf("another version of the form answers %d", stale.Status)
	}
	save("1", "5", "reset", "agents.attempts").Has(t, "1 setting is changed")
	if entry, err := b.Node.Settings.Get(t.Context(), "agents.attempts"); err != nil || entry.Set {
		t.Errorf("it is not at its default again: %+v, %v", entry, err)
	}
	b.Post(t, "/settings", form("do", "save", "was agents.require_signed", "true", "version agents.require_signed", "0")).Has(t, "1 setting is changed")
	lists := form("do", "save", "was catalog.excluded_families", "Mariner\r\nAzure Linux", "version catalog.excluded_families", "0", "catalog.excluded_families", "Mariner\r\n\r\n Azure Linux \r\nOffice <b>")
	b.Post(t, "/settings", lists).Has(t, "1 setting is changed", "Office &lt;b&gt;")
	b.Post(t, "/settings", form("do", "save", "was oidc.secret", "", "version oidc.secret", "0", "oidc.secret", "s3cret")).Has(t, "1 setting is changed")
	lacks(t, b.Get(t, "/settings"), "s3cret")
	lacks(t, b.Get(t, "/audit?columns=detail,changed"), "s3cret")
	lacks(t, b.Get(t, "/audit/"+regexp.MustCompile(`href="/audit/(\d+)"`).FindStringSubmatch(b.Get(t, "/audit").Body)[1]), "s3cret")
	b.Operator.Scope = identity.Operate
	lacks(t, b.Get(t, "/settings"), "<button", "Back to the default")
	if got := b.Send(t, "/settings", form("do", "save")); got.Status != http.StatusForbidden {
		t.Errorf("an operator sets a setting: %d", got.Status)
	}
	b.Language = "de"
	b.Get(t, "/settings").Has(t, "Voreinstellung:", "Produktausschlüsse")
}

func TestProductFamilies(t *testing.T) {
	b := whole(t)
	b.Get(t, "/settings/families").Has(t, "No vendor catalog has been imported yet", "Azure Linux")
	bulletinstest.Save(t, b.Node.Bulletins, "msrc", "f.xml",
		bulletinstest.Doc(t, document.Bulletin, "msrc/b", nil, catalog.Bulletin{Source: "msrc", Name: "B", Title: "B"}),
		bulletinstest.Doc(t, document.Update, "msrc/b/1", nil, catalog.Update{Source: "msrc", Bulletin: "msrc/b", Product: catalog.Product{Name: "Word", Family: "Office <b>"}}),
		bulletinstest.Doc(t, document.Update, "msrc/b/2", nil, catalog.Update{Source: "msrc", Bulletin: "msrc/b", Product: catalog.Product{Name: "Windows 10", Family: "Windows"}}))
	b.Get(t, "/settings/families").Has(t, "Office &lt;b&gt;", "No update of this catalog would be left out")
	b.Get(t, "/settings/families?exclude=Windows%0Aother").Has(t, "1 of 2 updates of this catalog would be left out", "As it is set")
}
