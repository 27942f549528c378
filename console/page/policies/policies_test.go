package policies_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/policies/policiestest"
	"thatch/console/page/pagetest"
	"thatch/console/page/policies"
	"thatch/node/identity"
	made "thatch/node/policies"
)

// start opens the pages of a node with something to order.
func start(t testing.TB) *pagetest.Browser {
	t.Helper()
	b := pagetest.Start(t, apitest.Routes, policies.Area())
	policiestest.Fill(t, b.Node, 4)
	return b
}

func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

// order makes a policy of KB1.
func order(t testing.TB, b *pagetest.Browser, name string) string {
	t.Helper()
	var created made.Created
	draft := made.Draft{Name: name, Bulletins: []string{"KB1"}}
	if err := apitest.Local(t, b.Node).Post(t.Context(), "/policies", draft, &created); err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// lacks fails a test where an answer has a text.
func lacks(t testing.TB, a pagetest.Answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(pagetest.Main(a.Body), text) {
			t.Errorf("the page has %q:\n%s", text, pagetest.Main(a.Body))
		}
	}
}

func TestListOfPolicies(t *testing.T) {
	b := start(t)
	b.Get(t, "/policies").Has(t, "There is no policy yet", `href="/policies/new"`)
	first, second := order(t, b, "February"), order(t, b, "March <b>")
	b.Get(t, "/policies").Has(t, "February", "March &lt;b&gt;", "waiting", "0 %")
	b.Post(t, "/policies", form("do", "pause", "key", first, "key", second)).Has(t, "2 policies are paused.", "it is paused")
	b.Post(t, "/policies", form("do", "resume", "key", first)).Has(t, "1 policy goes on.")
	b.Post(t, "/policies", form("do", "disable", "key", first, "key", "policy:none")).Has(t, "1 policy is switched off.", "policy:none")
	answer := b.Get(t, "/policies?enabled=false")
	answer.Has(t, "February")
	lacks(t, answer, "March")
	b.Post(t, "/policies", form("do", "enable", "key", first)).Has(t, "1 policy is switched on.")
	b.Post(t, "/policies", form("do", "enable")).Has(t, "Choose at least one policy.")
	b.Language = "de"
	b.Get(t, "/policies").Has(t, "Richtlinien", "Einschalten", "wartet")
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/policies"), "/policies/new", `value="pause"`)
	if answer := b.Post(t, "/policies", form("do", "pause", "key", first)); answer.Status != 403 {
		t.Errorf("a viewer pauses a policy: %d", answer.Status)
	}
}

func TestSeverities(t *testing.T) {
	b := start(t)
	b.Get(t, "/severities").Has(t, "There are no severities of your own yet")
	b.Post(t, "/severities", form("do", "create", "name", "This week", "order", "x")).Has(t, "no whole number", `value="This week"`)
	b.Post(t, "/severities", form("do", "create", "name", "This week")).Has(t, "This week is made.", "This week")
	b.Post(t, "/severities", form("do", "create", "name", "This week")).Has(t, "ere is a custom severity")
	b.Post(t, "/severities", form("do", "create", "name", "<i>", "order", "5")).Has(t, "&lt;i&gt;")
	b.Post(t, "/severities", form("do", "change", "id", "This week", "name", "Today", "order", "90")).Has(t, "Today is changed.", `value="90"`)
	if err := b.Node.Bulletins.AssignSeverity(t.Context(), "Today", "b1"); err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/severities").Has(t, "Its bulletins get")
	b.Post(t, "/severities", form("do", "delete", "id", "Today", "called", "Today")).Has(t, "is that of 1 bulletins")
	b.Post(t, "/severities", form("do", "delete", "id", "Today", "called", "Today", "reassign", "none")).Has(t, "Today is deleted.")
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, "/severities"), "<button", "<form")
}

func TestWizard(t *testing.T) {
	b := start(t)
	b.Get(t, "/policies/new").Has(t, "Nothing is chosen yet", "Step 1 of 2", `<option value="KB1">`)
	b.Get(t, "/policies/new?bulletin=b1").Has(t, `value="KB1"`, "2 of 2", "Cumulative &lt;script&gt;")
	b.Get(t, "/policies/new?bulletin=KB2&bulletin=none").Has(t, "not staged", "There is no such bulletin here.")
	b.Post(t, "/policies/new", form("do", "add", "add", "KB2", "name", "kept")).Has(t, "KB2 is not staged", `value="kept"`)
	b.Post(t, "/policies/new", form("do", "add", "add", "KB1", "name", "kept")).Has(t, `value="b1" checked`, `value="kept"`)
	first := form("name", "February", "bulletin", "b1", "start", "at", "at", "2027-01-02T22:00", "clock", "mine", "spread", "30", "on", "later", "local", "yes")
	b.Zone = "Europe/Berlin"
	with := func(more ...string) url.Values {
		f := url.Values{}
		for name, values := range first {
			f[name] = values
		}
		for i := 0; i < len(more); i += 2 {
			f.Add(more[i], more[i+1])
		}
		return f
	}
	b.Post(t, "/policies/new", form("do", "next", "name", "x")).Has(t, "Choose at least one staged bulletin.")
	b.Post(t, "/policies/new", form("do", "next", "bulletin", "b1")).Has(t, "Give the policy a name.")
	b.Post(t, "/policies/new", form("do", "next", "bulletin", "b1", "name", "x", "attempts", "many")).Has(t, "no whole number", `value="x"`)
	second := b.Post(t, "/policies/new", with("do", "next"))
	second.Has(t, "Step 2 of 2", "Make the policy, switched off", "Update u1 &lt;script&gt;", `placeholder="/quiet"`, "pc-1", "By platform", "windows", "de-de", "berlin")
	number := regexp.MustCompile(`name="off" value="(\d+)"`).FindAllStringSubmatch(second.Body, -1)
	if len(number) != 2 {
		t.Fatalf("%d updates can be left out:\n%s", len(number), pagetest.Main(second.Body))
	}
	u2 := number[1][1]
	counted := b.Post(t, "/policies/new", with("do", "count", "step", "2", "off", u2, "command-"+number[0][1], "/passive", "names", "pc-1, pc-2", "language", "de"))
	counted.Has(t, `value="/passive"`, `value="pc-1, pc-2"`, "<dt>computers it is for, of 4</dt><dd>1</dd>", "2027-01-02 22:00")
	lacks(t, counted, "pc-3")
	back := b.Post(t, "/policies/new", with("do", "back", "step", "2", "off", u2, "names", "pc-1"))
	back.Has(t, "Step 1 of 2", `value="2027-01-02T22:00"`, `name="off" value="`+u2+`"`, `name="names" value="pc-1"`, `value="later" checked`)
	b.Get(t, "/policies/new?step=2&name=x&bulletin=b1&names="+strings.Repeat("x", 300)).Has(t, `role="alert"`, "Update u1")
	made := b.Post(t, "/policies/new", with("do", "create", "step", "2", "off", u2, "command-"+number[0][1], "/passive", "names", "pc-1, pc-2"))
	id := policyNamed(t, b, "February")
	if made.Status != 404 && made.Status != 200 {
		t.Errorf("%d", made.Status)
	}
	if id.Enabled || !id.Local || id.Plan.At != "2027-01-02T21:00:00Z" || id.Plan.SpreadMinutes != 30 || id.UpdateList[1].Enabled || id.UpdateList[0].CommandLine != "/passive" ||
		strings.Join(id.Target.Names, " ") != "pc-1 pc-2" || !id.Target.NeedsIt {
		t.Errorf("made %+v, %+v, %+v", id, id.Plan, id.Target)
	}
	b.Post(t, "/policies/new", with("do", "create", "step", "2")).Has(t, "a policy called", "Step 1 of 2", `name="on" value="later" checked`, `value="February"`)
	b.Operator.Scope = identity.Viewer
	if answer := b.Post(t, "/policies/new", with("do", "create", "step", "2")); answer.Status != 403 {
		t.Errorf("a viewer makes a policy: %d", answer.Status)
	}
}

func policyNamed(t testing.TB, b *pagetest.Browser, name string) (d made.Detail) {
	t.Helper()
	if err := apitest.Local(t, b.Node).Get(t.Context(), client.Path("policies", name), nil, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPolicy(t *testing.T) {
	b := start(t)
	at := "/policies/" + url.PathEscape(order(t, b, "February"))
	first := b.Get(t, at)
	first.Has(t, "February", "Across the tree", "Switch off", "create", "those that need it", "4 computers have not installed everything yet")
	version := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(first.Body)[1]
	b.Post(t, at, form("do", "pause", "version", version)).Has(t, "February is paused.", "It is paused", "Let go on")
	b.Post(t, at, form("do", "resume", "version", version)).Has(t, `role="alert"`)
	b.Post(t, at, form("do", "resume")).Has(t, "February goes on.")
	updates := b.Get(t, at+"/updates")
	updates.Has(t, "Update u1 &lt;script&gt;", "current", "Do not install")
	b.Post(t, at+"/updates", form("do", "exclude", "key", "u2")).Has(t, "1 update is changed.")
	b.Post(t, at+"/updates", form("do", "command", "key", "u1", "command", "/norestart")).Has(t, "/norestart")
	b.Post(t, at+"/updates", form("do", "include")).Has(t, "Choose at least one update.")
	b.Get(t, at).Has(t, "1 is left out")
	b.Get(t, at+"/computers?state=waiting").Has(t, "pc-1", `href="/computers/`, "berlin")
	if csv := b.Get(t, at+"/computers?format=csv"); !strings.Contains(csv.Body, "pc-4") || strings.Contains(csv.Body, "<html") {
		t.Errorf("as a file: %s", csv.Body)
	}
	b.Get(t, at+"/history").Has(t, "create", "change", "pause", "/norestart")
	b.Get(t, at+"/revise").Has(t, "Nothing would change")
	b.Language = "de"
	b.Get(t, at).Has(t, "Fortschritt", "Verlauf", "Computer haben noch nicht alles installiert")
	b.Language = ""
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, at), `value="pause"`, "/change", "/revise")
	lacks(t, b.Get(t, at+"/updates"), `value="exclude"`)
	if answer := b.Get(t, at+"/change"); answer.Status != 403 {
		t.Errorf("a viewer sees the form: %d", answer.Status)
	}
	b.Operator.Scope = identity.Administrator
	b.Post(t, at, form("do", "delete", "called", "February")).Has(t, "February is deleted.", "There is no policy yet")
	if answer := b.Get(t, at); answer.Status != 404 {
		t.Errorf("a policy that is gone: %d", answer.Status)
	}
}

func TestChangeAPolicy(t *testing.T) {
	b := start(t)
	id := order(t, b, "February")
	order(t, b, "March")
	at := "/policies/" + url.PathEscape(id) + "/change"
	b.Get(t, at).Has(t, `value="February"`, `value="asap" checked`)
	b.Post(t, at, form("do", "change", "name", "March", "names", "pc-1")).Has(t, `role="alert"`, `value="March"`, `value="pc-1"`)
	b.Post(t, at, form("do", "change", "name", "April", "names", "pc-1 pc-2", "everyone", "yes", "platform", "windows", "start", "at", "at", "2027-03-01T22:00",
		"clock", "own", "override", "yes", "attempts", "3", "local", "yes")).Has(t, "April is changed.", "pc-1, pc-2", "2027-03-01T22:00 on each computer")
	now := policyNamed(t, b, "April")
	if now.Plan.At != "2027-03-01T22:00" || now.Target.NeedsIt || !now.OverrideWindows || now.Attempts != 3 || !now.Local {
		t.Errorf("%+v, %+v, %+v", now.Plan, now.Target, now)
	}
	page := b.Get(t, at)
	page.Has(t, `value="pc-1, pc-2"`, `name="everyone" value="yes" checked`, `value="2027-03-01T22:00"`)
	b.Post(t, at, form("do", "change", "version", "1", "name", "May")).Has(t, `role="alert"`)
	b.Post(t, at, form("do", "change", "name", "May")).Has(t, "May is changed.")
}

func TestWindows(t *testing.T) {
	b := start(t)
	b.Zone = "Europe/Berlin"
	b.Get(t, "/windows").Has(t, "There is no maintenance window", `href="/windows/new"`)
	b.Get(t, "/windows/new").Has(t, "Say at what time it opens")
	look := b.Post(t, "/windows/new", form("do", "look", "repeat", "monthly", "weekday", "tuesday", "week", "second", "offset", "4", "opens", "20:00", "hours", "8", "names", "pc-1"))
	look.Has(t, "It is for 1 computer of this site.", `value="tuesday" checked`, `<option value="second" selected>`, "20:00")
	if n := strings.Count(look.Body, "20:00</td>"); n != 8 {
		t.Errorf("%d openings are shown:\n%s", n, pagetest.Main(look.Body))
	}
	b.Post(t, "/windows/new", form("do", "look", "repeat", "weekly", "opens", "20:00", "hours", "1")).Has(t, "needs at least one")
	b.Post(t, "/windows/new", form("do", "create", "repeat", "weekly", "name", "kept", "opens", "20:00")).Has(t, `role="alert"`, `value="kept"`)
	made := b.Post(t, "/windows/new", form("do", "create", "name", "night <b>", "repeat", "daily", "weekday", "monday", "opens", "22:00", "hours", "4", "minutes", "30", "zone", "Europe/Berlin"))
	made.Has(t, "night &lt;b&gt; is made.", "4:30 h", "22:00</td>", "4 · all")
	at := regexp.MustCompile(`href="(/windows/[^"/]+)/change"`).FindStringSubmatch(made.Body)[1]
	b.Get(t, at+"/change").Has(t, `value="22:00"`, `value="30"`, `name="version" value="`)
	b.Post(t, at+"/change", form("do", "change", "name", "day", "repeat", "weekly", "weekday", "monday", "weekday", "friday", "opens", "09:00", "hours", "1", "language", "de")).
		Has(t, "day is changed.", "Monday, friday at 09:00 for 1h", "Languages: de", "2 ·")
	b.Get(t, "/windows").Has(t, "day", "weekly")
	b.Get(t, "/policies/new?step=2&name=p&bulletin=b1").Has(t, "day</a>", "2 computers have no window")
	b.Language = "de"
	b.Get(t, at).Has(t, "Wartungsfenster", "Zeitzone", "Montag, Freitag um 09:00 für 1h, nach der Uhr jedes Computers")
	b.Language = ""
	b.Operator.Scope = identity.Viewer
	lacks(t, b.Get(t, at), "<form", "/change")
	lacks(t, b.Get(t, "/windows"), "/windows/new")
	b.Operator.Scope = identity.Operate
	b.Post(t, at, form("do", "delete", "called", "day")).Has(t, "day is deleted.")
}

// TestApproval: what an operator makes where the site asks for approval says that it awaits one, and who may give it.
func TestApproval(t *testing.T) {
	b := start(t)
	if err := apitest.Local(t, b.Node).Put(t.Context(), "/settings/policies.approval", map[string]any{"value": true}, nil); err != nil {
		t.Fatal(err)
	}
	b.Operator = identity.Operator{Name: "Otto", Scope: identity.Operate}
	b.Post(t, "/policies/new", form("do", "create", "step", "2", "name", "March", "bulletin", "b1")).
		Has(t, "It stays off until an approver switches it on.", "Awaits approval.", "Otto")
	id := policyNamed(t, b, "March").ID
	at := "/policies/" + url.PathEscape(id)
	b.Post(t, at, form("do", "enable")).Has(t, `role="alert"`, "awaits an approver")
	b.Get(t, "/policies?enabled=false&unapproved=*").Has(t, "March")
	b.Get(t, at+"/history").Has(t, "create")
	b.Operator = identity.Operator{Name: "Anna", Scope: identity.Approver}
	answer := b.Post(t, at, form("do", "enable"))
	answer.Has(t, "March is switched on.")
	lacks(t, answer, "Awaits approval.")
}
