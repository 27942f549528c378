package sites_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/sites/history"
	"thatch/node/store"
	"thatch/node/store/sweep"
	"thatch/schedule"
)

// put makes a document of a site, as if it had come.
func put(t *testing.T, n *node.Node, kind document.Kind, id, origin string, body []byte, audience string) document.Document {
	t.Helper()
	doc, err := document.New(kind, id, nil, body)
	if err != nil {
		t.Fatal(err)
	}
	n.Identity.Sign(&doc)
	doc.Origin = origin
	write(t, n, store.Put(doc, audience, store.Former{})...)
	return doc
}

func write(t *testing.T, n *node.Node, statements ...store.Statement) {
	t.Helper()
	applied, err := n.Writer().Write(t.Context(), store.Batch{Actor: "task test", Reason: "test", Topics: []string{sites.Topic}, Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

// grow adds sites to what a node knows: name, parent and languages. Those whose parent is the node become children.
func grow(t *testing.T, n *node.Node, tree ...[3]string) {
	t.Helper()
	for _, s := range tree {
		id, parent := s[0], s[1]
		if parent == "self" {
			parent = n.Site().ID
			write(t, n, store.Statement{
				SQL:  `INSERT INTO child (id, name, authority, token, joined, seen, link, version, idx) VALUES (?, ?, ?, '', ?, ?, '{}', 1, ?)`,
				Args: []any{id, strings.ToUpper(id), n.Identity.Authority(), n.Now().UTC().Format(time.RFC3339), n.Now().UTC().Format(time.RFC3339), store.Index{}},
			})
		}
		body, err := federation.Encode(federation.Site{Name: strings.ToUpper(id), Parent: parent, Authority: []byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		put(t, n, document.Site, id, id, body, "")
		languages := strings.Fields(s[2])
		alert, err := federation.Encode(federation.Alert{Languages: languages})
		if err != nil {
			t.Fatal(err)
		}
		put(t, n, document.LanguageAlert, id, id, alert, "")
	}
}

func standing(t *testing.T, n *node.Node) []string {
	t.Helper()
	list, err := n.Sites.Standing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range list {
		names = append(names, strings.TrimSpace(a.Kind+" "+a.Subject))
		if a.Text == "" || a.Advice == "" || a.Since.IsZero() {
			t.Errorf("%+v", a)
		}
	}
	slices.Sort(names)
	return names
}

func judge(t *testing.T, n *node.Node, want ...string) {
	t.Helper()
	if err := n.Sites.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if got := standing(t, n); !slices.Equal(got, want) {
		t.Errorf("alarms %q, want %q", got, want)
	}
}

func TestTree(t *testing.T) {
	n := nodetest.New(t)
	grow(t, n, [3]string{"berlin", "self", "de"}, [3]string{"mitte", "berlin", "de"}, [3]string{"wedding", "berlin", "de"}, [3]string{"hof", "mitte", ""},
		[3]string{"paris", "self", "fr"}, [3]string{"stray", "nowhere", "it"})
	put(t, n, document.Site, "liar", "liar", []byte(`{"name":""}`), "")
	tree, err := n.Sites.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := tree.Below(tree.Self); !slices.Equal(got, []string{"berlin", "paris", "mitte", "wedding", "hof"}) {
		t.Errorf("below: %v", got)
	}
	if got := tree.Above("hof"); !slices.Equal(got, []string{"mitte", "berlin", tree.Self}) {
		t.Errorf("above hof: %v", got)
	}
	if tree.Name("berlin") != "BERLIN" || tree.Name("liar") != "liar" || len(tree.Above(tree.Self)) != 0 {
		t.Error("names")
	}
	// A site that says it is our child, and is none.
	grow(t, n, [3]string{"pretender", n.Site().ID, "xx"})
	if below, err := n.Sites.DescendantsOf(t.Context(), n.Site().ID); err != nil || slices.Contains(below, "pretender") {
		t.Errorf("%v, %v", below, err)
	}
	// A ring among others ends every walk.
	grow(t, n, [3]string{"one", "two", ""}, [3]string{"two", "one", ""})
	if tree, err = n.Sites.Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tree.Above("one"); !slices.Equal(got, []string{"two"}) {
		t.Errorf("above one: %v", got)
	}
	if got := tree.Below("one"); !slices.Equal(got, []string{"two"}) {
		t.Errorf("below one: %v", got)
	}
}

func TestAlarmsOfLanguages(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Languages: []string{"de", "en"}, Now: clock.Now})
	judge(t, n)
	grow(t, n, [3]string{"berlin", "self", "de"}, [3]string{"paris", "self", "de fr"}, [3]string{"lyon", "paris", "fr it"})
	judge(t, n, "language-below fr", "language-below it")
	list, err := n.Sites.Standing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(list, func(a sites.Alarm) bool { return a.Subject == "fr" }); !strings.Contains(list[i].Text, "LYON, PARIS") {
		t.Errorf("%+v", list[i])
	}
	about, err := n.Sites.AlarmsAbout(t.Context(), "paris")
	if err != nil || len(about) != 2 {
		t.Errorf("paris hears of %+v, %v", about, err)
	}
	if about, _ = n.Sites.AlarmsAbout(t.Context(), "berlin"); len(about) != 0 {
		t.Errorf("berlin hears of %+v", about)
	}
	since := list[0].Since
	clock.Move(time.Hour)
	judge(t, n, "language-below fr", "language-below it")
	if list, _ = n.Sites.Standing(t.Context()); !list[0].Since.Equal(since) {
		t.Error("an alarm that stands begins anew")
	}
	// One command ends it, and it ends for those above as well.
	tags, err := n.ChangeLanguages(t.Context(), []string{"FR"}, nil, false)
	if err != nil || !slices.Equal(tags, []string{"de", "en", "fr"}) {
		t.Fatalf("%v, %v", tags, err)
	}
	judge(t, n, "language-below it")
	all, _, err := n.Sites.Alarms(t.Context(), store.Query{Filter: map[string]string{"standing": "no"}})
	if err != nil || len(all) != 1 || all[0].Subject != "fr" || all[0].Cleared.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}

	_, err = n.ChangeLanguages(t.Context(), nil, []string{"fr", "en", "de"}, false)
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "de (BERLIN, PARIS) and fr (LYON, PARIS)") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("dropping what is in use below: %v", err)
	}
	if tags, err = n.ChangeLanguages(t.Context(), nil, []string{"en"}, false); err != nil || !slices.Equal(tags, []string{"de", "fr"}) {
		t.Errorf("dropping what nobody uses: %v, %v", tags, err)
	}
	if tags, err = n.ChangeLanguages(t.Context(), nil, []string{"fr"}, true); err != nil || !slices.Equal(tags, []string{"de"}) {
		t.Errorf("by force: %v, %v", tags, err)
	}
	judge(t, n, "language-below fr", "language-below it")
	for _, bad := range [][]string{{"x"}, {"german language"}} {
		if _, err := n.ChangeLanguages(t.Context(), bad, nil, false); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := n.Sites.Remove(t.Context(), "PARIS", "remove child"); err != nil {
		t.Fatal(err)
	}
	judge(t, n) // and what is below it
}

func TestAlarmsOfComputers(t *testing.T) {
	n := nodetest.New(t) // manages en and de
	add := func(id, languages, retired string) {
		write(t, n, store.Statement{
			SQL: `INSERT INTO computer (id, name, platform, languages, machine, hardware, grp, simulated, certificate, enrolled, last_seen, retired, version, idx)
				VALUES (?, ?, 'windows', ?, ?, '', '', 0, ?, '', '', ?, 1, ?)`,
			Args: []any{id, id, languages, id, id, retired, store.Index{}},
		})
	}
	add("c1", "de-at,fr", "")
	add("c2", "fr-fr,de", "")
	add("c3", "fr-fr", "")
	add("c4", "ja", "2026-01-01T00:00:00Z")
	add("c5", "", "")
	add("c6", "not a tag", "")
	judge(t, n, "language-computers fr-fr")
	list, err := n.Sites.Standing(t.Context())
	if err != nil || !strings.Contains(list[0].Text, "2 computers run fr-fr") || !strings.Contains(list[0].Advice, "--add fr") {
		t.Errorf("%+v, %v", list, err)
	}
	if err := n.Sites.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	alert, err := n.Sites.Alert(t.Context(), n.Site().ID)
	if err != nil || len(alert.Computers) != 2 || alert.Computers["fr-fr"] != 2 || alert.Computers["de-at"] != 1 {
		t.Errorf("%+v, %v", alert, err)
	}
	if _, err := n.ChangeLanguages(t.Context(), []string{"fr"}, nil, false); err != nil {
		t.Fatal(err)
	}
	judge(t, n)
}

func TestAlarmsOfLinks(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Languages: []string{"de"}, Now: clock.Now})
	write(t, n, store.Statement{
		SQL:  `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, 'top', 'Top', '["https://top:1"]', ?, '', '', '', 1)`,
		Args: []any{n.Identity.Authority()},
	})
	judge(t, n)
	if err := n.Sites.KeepLink(t.Context(), "top", json.RawMessage(`{"languages":["en"],"rules":[]}`)); err != nil {
		t.Fatal(err)
	}
	judge(t, n, "language-above de")
	if err := n.Sites.KeepLink(t.Context(), "former", json.RawMessage(`{"languages":["de"]}`)); err != nil {
		t.Fatal(err)
	}
	judge(t, n, "language-above de") // what a former parent said is too late
	if err := n.Sites.KeepLink(t.Context(), "top", json.RawMessage(`{"languages":["de","en"]}`)); err != nil {
		t.Fatal(err)
	}
	judge(t, n)
	grow(t, n, [3]string{"berlin", "self", "de"}, [3]string{"paris", "self", "de"})
	clock.Move(13 * time.Hour)
	judge(t, n, "silent berlin", "silent paris")
	n.Sites.Seen("berlin")
	judge(t, n, "silent paris")
	if _, err := n.Sites.Revoke(t.Context(), "paris", "gone"); err != nil {
		t.Fatal(err)
	}
	judge(t, n)
	// What others raise stays until it is cleared.
	child, err := n.Sites.Child(t.Context(), "berlin")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(n.Sites.RaiseDiverged(t.Context(), child, "data"), n.Sites.RaiseRefused(t.Context(), child, errors.New("a policy"))); err != nil {
			t.Fatal(err)
		}
	}
	judge(t, n, "diverged berlin data", "refused berlin")
	if about, err := n.Sites.AlarmsAbout(t.Context(), "berlin"); err != nil || len(about) != 2 {
		t.Errorf("%+v, %v", about, err)
	}
	if audit, total, err := n.Identity.Audit(t.Context(), store.Query{Search: "refused: policy"}); err != nil || total != 1 {
		t.Errorf("%+v, %v", audit, err)
	}
	if err := errors.Join(n.Sites.Clear(t.Context(), sites.Diverged, "berlin data"), n.Sites.Clear(t.Context(), "no", "such")); err != nil {
		t.Fatal(err)
	}
	judge(t, n, "refused berlin")
	// The parent turns out to stand below.
	grow(t, n, [3]string{"top", "berlin", ""})
	judge(t, n, "refused berlin", "ring")
}

// TestTellChangesNothingTwice: a site writes of itself only what changed.
func TestTellChangesNothingTwice(t *testing.T) {
	n := nodetest.New(t)
	tell := func(want bool) {
		t.Helper()
		before := lastChange(t, n)
		if err := n.Sites.Tell(t.Context()); err != nil {
			t.Fatal(err)
		}
		if wrote := lastChange(t, n) > before; wrote != want { // indexes alone say nothing: nodes write of themselves too
			t.Errorf("it wrote: %t, want %t", wrote, want)
		}
	}
	tell(true)
	tell(false)
	if err := n.Rename(t.Context(), "Köln"); err != nil {
		t.Fatal(err)
	}
	tell(true)
	tell(false)
	if n.Site().Name != "Köln" {
		t.Errorf("called %q", n.Site().Name)
	}
	for _, bad := range []string{"", "a\nb", strings.Repeat("x", 300), "\xff"} {
		if err := n.Rename(t.Context(), bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := n.SetLanguages(t.Context(), []string{"en", "de"}); err != nil {
		t.Fatal(err)
	}
	tell(false)
	if err := n.SetLanguages(t.Context(), []string{"en"}); err != nil {
		t.Fatal(err)
	}
	tell(true)
	tree, err := n.Sites.Tree(t.Context())
	if err != nil || tree.Sites[tree.Self].Name != "Köln" || string(tree.Sites[tree.Self].Authority) != string(n.Identity.Authority()) {
		t.Errorf("%+v, %v", tree, err)
	}
}

// lastChange is the index of the last batch that changed a document.
func lastChange(t *testing.T, n *node.Node) (index int) {
	t.Helper()
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT max(idx) FROM journal`).Scan(&index)
	})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestChildren(t *testing.T) {
	n := nodetest.New(t)
	grow(t, n, [3]string{"a-1", "self", "de"}, [3]string{"b-1", "self", "de"}, [3]string{"below", "b-1", "de"})
	if _, err := n.Sites.Child(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	c, err := n.Sites.Rename(t.Context(), "A-1", "Twin")
	if err != nil || c.Name != "Twin" || c.Version != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := n.Sites.Rename(t.Context(), "b-1", "Twin"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Sites.Child(t.Context(), "Twin"); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "by its id") {
		t.Errorf("two of a name: %v", err)
	}
	for _, bad := range []string{"", strings.Repeat("x", 300)} {
		if _, err := n.Sites.Rename(t.Context(), "a-1", bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	limits := sites.Limits{Rate: 5000, Windows: schedule.Windows{{Name: "n", Repeat: schedule.Daily, Start: "22:00", Minutes: 60}}}
	if _, err := n.Sites.Limit(t.Context(), "a-1", limits, 1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an old form: %v", err)
	}
	if _, err := n.Sites.Limit(t.Context(), "a-1", limits, -1); err != nil {
		t.Fatal(err)
	}
	if c, err = n.Sites.Child(t.Context(), "a-1"); err != nil || c.Limits.Rate != 5000 || len(c.Limits.Windows) != 1 || c.Version != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []sites.Limits{{Rate: -1}, {Windows: schedule.Windows{{Name: "n", Repeat: "sometimes", Start: "22:00", Minutes: 60}}}} {
		if _, err := n.Sites.Limit(t.Context(), "a-1", bad, -1); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	authority := func(id string) error {
		_, err := n.Sites.ChildAuthority(t.Context(), id)
		return err
	}
	if authority("a-1") != nil || !errors.Is(authority("nobody"), identity.ErrUnauthorised) {
		t.Error("who is let in")
	}
	for range 2 {
		if c, err = n.Sites.Revoke(t.Context(), "a-1", "why"); err != nil || c.Reason != "why" {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if err := authority("a-1"); !errors.Is(err, identity.ErrUnauthorised) || !strings.Contains(err.Error(), "(why)") {
		t.Errorf("revoked: %v", err)
	}
	// What a child and those below it told goes with it, with the keys that it vouched for; others' documents stay.
	put(t, n, document.RollUp, "below:kb", "below", []byte(`{}`), "")
	put(t, n, document.RollUp, "a-1:kb", "a-1", []byte(`{}`), "")
	put(t, n, document.SigningKey, "below", "below", []byte(`{}`), "")
	if err := n.Sites.Remove(t.Context(), "b-1", "remove child"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"roll-up below:kb": false, "roll-up a-1:kb": true, "signing-key below": false, "site below": false, "site a-1": true, "language-alert b-1": false} {
		kind, id, _ := strings.Cut(name, " ")
		err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
			_, err := store.Document(t.Context(), tx, document.Kind(kind), id)
			return err
		})
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n.Sites.Remove(t.Context(), "b-1", "remove child"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestContactsAreRecordedCoarsely: the exact time is in memory; another start knows it to some minutes.
func TestContactsAreRecordedCoarsely(t *testing.T) {
	clock := nodetest.NewClock()
	dir := t.TempDir()
	n := nodetest.NewWith(t, node.Config{Dir: dir, Now: clock.Now})
	grow(t, n, [3]string{"a-1", "self", ""})
	for range 10 {
		clock.Move(time.Minute)
		n.Sites.Seen("a-1")
	}
	if c, err := n.Sites.Child(t.Context(), "a-1"); err != nil || !c.Seen.Equal(clock.Now()) {
		t.Errorf("%v, %v", c.Seen, err)
	}
	stop := nodetest.Run(t, n, nil)
	deadline := time.Now().Add(time.Minute)
	recorded := ""
	for recorded != clock.Now().Format("2006-01-02T15:04:05.000Z") && time.Now().Before(deadline) {
		_ = n.Reader().View(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRowContext(t.Context(), `SELECT seen FROM child`).Scan(&recorded)
		})
	}
	stop()
	if recorded != clock.Now().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("recorded %s at %s", recorded, clock.Now())
	}
}

func rule(change func(*sites.Rule)) sites.Rule {
	r := sites.Rule{Name: "R", Type: "policies", Enabled: true, Mode: sites.Differential, Verify: 10}
	if change != nil {
		change(&r)
	}
	return r
}

func TestRulesRefused(t *testing.T) {
	n := nodetest.New(t)
	grow(t, n, [3]string{"a-1", "self", ""})
	put(t, n, document.Policy, "p1", n.Site().ID, []byte(`{}`), "")
	for what, r := range map[string]sites.Rule{
		"a replication rule's name": rule(func(r *sites.Rule) { r.Name = "" }),
		"type is":                   rule(func(r *sites.Rule) { r.Type = "everything" }),
		"mode is":                   rule(func(r *sites.Rule) { r.Mode = "sometimes" }),
		"percent":                   rule(func(r *sites.Rule) { r.Verify = 101 }),
		"schedule is":               rule(func(r *sites.Rule) { r.Schedule = "whenever" }),
		"take everything":           rule(func(r *sites.Rule) { r.Type, r.Documents = "data", []string{"update/u"} }),
		"KIND/ID":                   rule(func(r *sites.Rule) { r.Documents = []string{"window/w"} }),
		"not \"p1\"":                rule(func(r *sites.Rule) { r.Documents = []string{"p1"} }),
		"at most":                   rule(func(r *sites.Rule) { r.Documents = make([]string, 2000) }),
		"child \"nobody\"":          rule(func(r *sites.Rule) { r.Children = []string{"nobody"} }),
		"policy \"none\"":           rule(func(r *sites.Rule) { r.Documents = []string{"policy/none"} }),
	} {
		if _, err := n.Sites.CreateRule(t.Context(), r); !errors.Is(err, store.ErrInvalid) && !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	made, err := n.Sites.CreateRule(t.Context(), rule(func(r *sites.Rule) { r.Children = []string{"A-1", "a-1"}; r.Schedule = "0 3 * * *" }))
	if err != nil || !slices.Equal(made.Children, []string{"a-1"}) {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := n.Sites.CreateRule(t.Context(), rule(func(r *sites.Rule) { r.Name = "r" })); !errors.Is(err, store.ErrConflict) {
		t.Errorf("two of a name: %v", err)
	}
	if _, err := n.Sites.ChangeRule(t.Context(), "R", rule(nil), 7); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an old form: %v", err)
	}
	if _, err := n.Sites.ChangeRule(t.Context(), "R", rule(func(r *sites.Rule) { r.Type = "data" }), -1); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("another type: %v", err)
	}
	for _, err := range []error{
		n.Sites.DeleteRule(t.Context(), "none"),
		func() error { _, err := n.Sites.EnableRule(t.Context(), "none", true); return err }(),
		func() error { _, err := n.Sites.Rule(t.Context(), "none"); return err }(),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
	// A child that goes is named by no rule, and the rule does not become one for everybody.
	if err := n.Sites.Remove(t.Context(), "a-1", "remove child"); err != nil {
		t.Fatal(err)
	}
	now, err := n.Sites.Rule(t.Context(), made.ID)
	if err != nil || now.Children == nil || len(now.Children) != 0 {
		t.Errorf("%+v, %v", now, err)
	}
	if list, err := n.Sites.RulesOf(t.Context(), "b-1"); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// audience is that of a document, and whether its last change in the journal says the same.
func audience(t *testing.T, n *node.Node, kind document.Kind, id string) string {
	t.Helper()
	var found store.Current
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) (err error) {
		found, err = store.Document(t.Context(), tx, kind, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found.Audience
}

func TestAudiences(t *testing.T) {
	n := nodetest.New(t)
	grow(t, n, [3]string{"a-1", "self", ""}, [3]string{"b-1", "self", ""})
	for _, id := range []string{"p1", "p2"} {
		put(t, n, document.Policy, id, n.Site().ID, fmt.Appendf(nil, `{"name":%q}`, id), "")
		put(t, n, document.PolicyState, id, n.Site().ID, fmt.Appendf(nil, `{"enabled":true,"id":%q}`, id), "")
	}
	check := func(child string, want dataset.Audience, ruled bool) {
		t.Helper()
		got, is, err := n.Sites.AudienceOf(t.Context(), child, dataset.Policies)
		if err != nil || !got.Equal(want) || is != ruled {
			t.Errorf("%s: %+v %v, %v; want %+v %v", child, got, is, err, want, ruled)
		}
	}
	check("a-1", dataset.Audience{}, false)
	one, err := n.Sites.CreateRule(t.Context(), rule(func(r *sites.Rule) { r.Name, r.Documents, r.Children = "One", []string{"policy/p1"}, []string{"a-1"} }))
	if err != nil {
		t.Fatal(err)
	}
	two, err := n.Sites.CreateRule(t.Context(), rule(func(r *sites.Rule) { r.Name, r.Documents = "Two", []string{"policy/p2", "policy/p1", "policy/p1"} }))
	if err != nil {
		t.Fatal(err)
	}
	both := []string{one.ID, two.ID}
	slices.Sort(both)
	for kind, id := range map[document.Kind]string{document.Policy: "p1", document.PolicyState: "p1"} {
		if got := audience(t, n, kind, id); got != strings.Join(both, ",") {
			t.Errorf("%s %s is for %q", kind, id, got)
		}
	}
	if got := audience(t, n, document.Policy, "p2"); got != two.ID {
		t.Errorf("p2 is for %q", got)
	}
	check("a-1", dataset.Audience{Rules: both}, true)
	check("b-1", dataset.Audience{Rules: []string{two.ID}}, true)
	if _, err := n.Sites.EnableRule(t.Context(), "Two", false); err != nil {
		t.Fatal(err)
	}
	check("a-1", dataset.Audience{Rules: []string{one.ID}, KeepOthers: true}, true)
	check("b-1", dataset.Audience{KeepOthers: true}, false)
	before := n.Index()
	if _, err := n.Sites.EnableRule(t.Context(), "Two", false); err != nil || n.Index() != before {
		t.Errorf("switching off what is off writes something, %v", err)
	}
	if _, err := n.Sites.EnableRule(t.Context(), "Two", true); err != nil {
		t.Fatal(err)
	}
	// Unselecting is a change of that document alone.
	two, err = n.Sites.ChangeRule(t.Context(), two.ID, rule(func(r *sites.Rule) { r.Name, r.Documents = "Two", []string{"policy/p2"} }), -1)
	if err != nil {
		t.Fatal(err)
	}
	if got := audience(t, n, document.Policy, "p1"); got != one.ID {
		t.Errorf("p1 is for %q", got)
	}
	var changes []store.Change
	err = n.Reader().View(t.Context(), func(tx *sql.Tx) (err error) {
		changes, err = store.Journal(t.Context(), tx, store.Sequence{Index: n.Index() - 1, Position: 1 << 20}, 100)
		return err
	})
	if err != nil || len(changes) != 2 || changes[0].ID != "p1" || changes[0].FormerAudience != strings.Join(both, ",") || changes[0].Audience != one.ID {
		t.Errorf("%+v, %v", changes, err)
	}
	// Taking all needs no audience on documents.
	if _, err = n.Sites.ChangeRule(t.Context(), "Two", rule(func(r *sites.Rule) { r.Name = "Two" }), -1); err != nil {
		t.Fatal(err)
	}
	check("b-1", dataset.Audience{All: true}, true)
	if got := audience(t, n, document.Policy, "p2"); got != "" {
		t.Errorf("p2 is for %q", got)
	}
	if err := n.Sites.DeleteRule(t.Context(), "One"); err != nil {
		t.Fatal(err)
	}
	if got := audience(t, n, document.PolicyState, "p1"); got != "" {
		t.Errorf("p1 is for %q", got)
	}
	check("a-1", dataset.Audience{All: true}, true)
}

func TestHistory(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})
	for i, run := range []sites.LinkRun{
		{ID: "1", Neighbour: "a", Direction: "down", Type: "data", State: "done", Result: json.RawMessage(`{"documents":3}`)},
		{ID: "2", Neighbour: "a", Direction: "down", Type: "data", State: "failed", Error: strings.Repeat("x", 5000)},
		{ID: "3", Neighbour: "a", Direction: "up", Type: "health", State: "done"},
		{ID: "2", Neighbour: "a", Direction: "down", Type: "data", State: "done"},
	} {
		run.Started, run.Ended = clock.Now().Add(time.Duration(i)*time.Second), clock.Now()
		if err := n.Sites.Ran(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	list, total, err := n.Sites.Runs(t.Context(), store.Query{Filter: map[string]string{"type": "data"}})
	if err != nil || total != 2 || list[0].ID != "2" || list[0].State != "done" || string(list[1].Result) != `{"documents":3}` {
		t.Errorf("%+v, %v", list, err)
	}
	if last, err := n.Sites.LastRuns(t.Context()); err != nil || len(last) != 2 || last[0].ID != "2" || last[1].ID != "3" {
		t.Errorf("%+v, %v", last, err)
	}
	clock.Move(365 * 24 * time.Hour)
	if err := n.Sites.Ran(t.Context(), sites.LinkRun{ID: "4", Started: clock.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := sweep.New(n.Reader(), n.Writer()).Sweep(t.Context(), history.Old(clock.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, total, _ = n.Sites.Runs(t.Context(), store.Query{}); total != 1 {
		t.Errorf("%d runs are kept for ever", total)
	}
}

// TestStrangersMoveNothing: a site whose token is no good is refused before this site tells of itself or writes anything.
func TestStrangersMoveNothing(t *testing.T) {
	n := nodetest.New(t)
	a := sites.Asked{Token: federation.NewToken([federation.SecretSize]byte{1}, n.Identity.Authority()), Site: "stranger"}
	if _, err := n.Sites.Admit(t.Context(), a); !errors.Is(err, identity.ErrUnauthorised) {
		t.Fatal(err)
	}
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		_, err := store.Document(t.Context(), tx, document.Site, n.Site().ID)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the site told of itself for a stranger: %v", err)
	}
}

// TestHistoryIsBoundedByCount: a child may tell of as many runs as it likes; the last of them are kept, and those of others.
func TestHistoryIsBoundedByCount(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})
	ran := func(neighbour string, i int) {
		t.Helper()
		at := clock.Now().Add(time.Duration(i) * time.Second)
		run := sites.LinkRun{ID: fmt.Sprintf("%s/%d", neighbour, i), Neighbour: neighbour, Direction: "down", Type: "data", State: "done", Started: at, Ended: at}
		if err := n.Sites.Ran(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	ran("quiet", 0)
	var fill []store.Statement
	for i := range 1005 {
		fill = append(fill, store.Statement{
			SQL:  `INSERT INTO link_run (id, neighbour, direction, type, mode, state, started, ended, result, error) VALUES (?, 'loud', 'down', 'data', '', 'done', ?, '', '', '')`,
			Args: []any{fmt.Sprintf("loud/%d", i), clock.Now().Add(time.Duration(i) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")},
		})
	}
	write(t, n, fill...)
	ran("loud", 2000)
	for neighbour, want := range map[string]int{"quiet": 1, "loud": 1000} {
		_, total, err := n.Sites.Runs(t.Context(), store.Query{Filter: map[string]string{"neighbour": neighbour}})
		if err != nil || total != want {
			t.Errorf("%s: %d runs are kept, want %d: %v", neighbour, total, want, err)
		}
	}
	large := sites.LinkRun{ID: "x", Neighbour: "loud", Type: "data", Result: json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)}
	if err := n.Sites.Ran(t.Context(), large); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a result of a megabyte: %v", err)
	}
}
