package replication_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node/sites"
	"thatch/replication/joining"
	"thatch/replication/replicationtest"
)

// alarmed is nil when exactly the given alarms stand at a site, each as "kind subject".
func alarmed(t *testing.T, n *replicationtest.Linked, want ...string) error {
	t.Helper()
	if err := n.Sites.Judge(t.Context()); err != nil {
		return err
	}
	list, err := n.Sites.Standing(t.Context())
	if err != nil {
		return err
	}
	var have []string
	for _, a := range list {
		have = append(have, strings.TrimSpace(a.Kind+" "+a.Subject))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("alarms %q, want %q", have, want)
	}
	return nil
}

// TestLanguagesTravelUp: a language that a site needs and those above lack is an alarm at each of them, until it is added.
func TestLanguagesTravelUp(t *testing.T) {
	top := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de", "en"}})
	berlin := replicationtest.Start(t, replicationtest.Config{Name: "Berlin", Languages: []string{"de"}})
	mitte := replicationtest.Start(t, replicationtest.Config{Name: "Mitte", Languages: []string{"de", "it"}})
	berlin.Join(t, top)
	mitte.Join(t, berlin)
	top.Eventually(t, "the top hears of Italian", func() error { return alarmed(t, top, "language-below it") })
	berlin.Eventually(t, "so does Berlin", func() error { return alarmed(t, berlin, "language-below it") })
	mitte.Eventually(t, "Mitte hears that Berlin lacks it", func() error { return alarmed(t, mitte, "language-above it") })
	list, err := top.Sites.Standing(t.Context())
	if err != nil || !strings.Contains(list[0].Text, "Mitte") {
		t.Errorf("the top knows by name: %+v, %v", list, err)
	}
	top.Put(t, document.Package, "p-de", `{}`, "de")
	top.Put(t, document.Package, "p-it", `{}`, "it")
	mitte.Eventually(t, "the other languages flow", func() error { return mitte.Holds(document.Package, 1) })
	if _, err := berlin.ChangeLanguages(t.Context(), []string{"it"}, nil, false); err != nil {
		t.Fatal(err)
	}
	mitte.Eventually(t, "Berlin manages it now", func() error { return alarmed(t, mitte) })
	berlin.Eventually(t, "and lacks it above", func() error { return alarmed(t, berlin, "language-above it") })
	if _, err := top.ChangeLanguages(t.Context(), []string{"it"}, nil, false); err != nil {
		t.Fatal(err)
	}
	mitte.Eventually(t, "Italian has come down two levels", func() error { return mitte.Holds(document.Package, 2) })
	for _, n := range []*replicationtest.Linked{top, berlin, mitte} {
		n.Eventually(t, "no alarm is left", func() error { return alarmed(t, n) })
	}
	if _, err := top.ChangeLanguages(t.Context(), nil, []string{"it"}, false); err == nil || !strings.Contains(err.Error(), "it (Berlin, Mitte)") {
		t.Errorf("dropping Italian at the top: %v", err)
	}
	_, err = joining.Join(t.Context(), top.Node, replicationtest.URL(mitte.Node), replicationtest.Token(t, mitte.Node), false)
	if err == nil || !strings.Contains(err.Error(), "cannot be below itself") {
		t.Errorf("the top below its grandchild: %v", err)
	}
	if err := mitte.Rename(t.Context(), "Wedding"); err != nil {
		t.Fatal(err)
	}
	top.Eventually(t, "a name travels up", func() error {
		tree, err := top.Sites.Tree(t.Context())
		if err == nil && tree.Name(mitte.Site().ID) != "Wedding" {
			err = errors.New("it is called " + tree.Name(mitte.Site().ID))
		}
		return err
	})
}

// TestAShutOutChild: it gets nothing more, also on the connections that it has, and its operators are told why; taken
// again, it catches up.
func TestAShutOutChild(t *testing.T) {
	top := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	berlin := replicationtest.Start(t, replicationtest.Config{Name: "Berlin", Languages: []string{"de"}})
	berlin.Join(t, top)
	top.Put(t, document.Bulletin, "b-1", `{}`)
	berlin.Eventually(t, "the first run", func() error { return berlin.Holds(document.Bulletin, 1) })
	if _, err := top.Sites.Revoke(t.Context(), "Berlin", "stolen"); err != nil {
		t.Fatal(err)
	}
	top.Put(t, document.Bulletin, "b-2", `{}`)
	berlin.Eventually(t, "Berlin is told", func() error { return alarmed(t, berlin, "shut-out "+top.Site().ID) })
	list, err := berlin.Sites.Standing(t.Context())
	if err != nil || !strings.Contains(list[0].Text, "stolen") {
		t.Errorf("why: %+v, %v", list, err)
	}
	berlin.Eventually(t, "the link says so", func() error {
		if state := berlin.Link.State(); state.Connected || !strings.Contains(state.Error, "stolen") {
			return fmt.Errorf("the link: %+v", state)
		}
		return nil
	})
	if err := berlin.Holds(document.Bulletin, 1); err != nil {
		t.Error(err)
	}
	if err := top.Sites.Remove(t.Context(), "Berlin", "remove child"); err != nil {
		t.Fatal(err)
	}
	if _, err := joining.Join(t.Context(), berlin.Node, replicationtest.URL(top.Node), replicationtest.Token(t, top.Node), true); err != nil {
		t.Fatal(err)
	}
	berlin.Eventually(t, "taken again, it catches up", func() error {
		return errors.Join(berlin.Holds(document.Bulletin, 2), alarmed(t, berlin))
	})
	if err := joining.Leave(t.Context(), berlin.Node, false); err != nil {
		t.Fatal(err)
	}
	top.Put(t, document.Bulletin, "b-3", `{}`)
	berlin.Eventually(t, "after leaving there is no link", func() error {
		if s := berlin.Link.State(); s.Parent != "" || s.Connected {
			return fmt.Errorf("%+v", s)
		}
		return berlin.Holds(document.Bulletin, 2)
	})
}

// TestSelections: what rules select is sent, what none selects any more is removed, what a rule that is off sent stays.
func TestSelections(t *testing.T) {
	top := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	berlin := replicationtest.Start(t, replicationtest.Config{Name: "Berlin", Languages: []string{"de"}})
	paris := replicationtest.Start(t, replicationtest.Config{Name: "Paris", Languages: []string{"fr"}})
	for i := range 4 {
		top.Put(t, document.Severity, fmt.Sprintf("s%d", i), fmt.Sprintf(`{"name":"S%d","order":%d}`, i, i))
	}
	berlin.Join(t, top)
	paris.Join(t, top)
	holds := func(what string, n *replicationtest.Linked, count int) {
		t.Helper()
		n.Eventually(t, what, func() error { return n.Holds(document.Severity, count) })
	}
	holds("everything to Berlin", berlin, 4)
	holds("everything to Paris", paris, 4)
	change := func(which string, to func(*sites.Rule)) {
		t.Helper()
		rule, err := top.Sites.Rule(t.Context(), which)
		if err != nil {
			t.Fatal(err)
		}
		to(&rule)
		if _, err := top.Sites.ChangeRule(t.Context(), which, rule, -1); err != nil {
			t.Fatal(err)
		}
	}
	change("Standard settings", func(r *sites.Rule) { r.Documents = []string{"severity/s0", "severity/s1"} })
	holds("two are selected", berlin, 2)
	holds("for Paris as well", paris, 2)
	_, err := top.Sites.CreateRule(t.Context(), sites.Rule{
		Name: "More", Type: "settings", Enabled: true, Mode: sites.Differential, Children: []string{"Berlin"}, Documents: []string{"severity/s1", "severity/s2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	holds("the union of its rules", berlin, 3)
	change("Standard settings", func(r *sites.Rule) { r.Documents = []string{"severity/s0"} })
	holds("s1 is gone where no rule selects it", paris, 1)
	holds("and stays where one does", berlin, 3)
	top.Remove(t, document.Severity, "s2")
	holds("a selected one is removed", berlin, 2)
	if _, err := top.Sites.EnableRule(t.Context(), "Standard settings", false); err != nil {
		t.Fatal(err)
	}
	change("More", func(r *sites.Rule) { r.Documents = []string{"severity/s3"} })
	berlin.Eventually(t, "a rule that is off removes nothing", func() error {
		return errors.Join(berlin.HoldsID(document.Severity, "s3"), berlin.HoldsID(document.Severity, "s0"))
	})
	if err := paris.Holds(document.Severity, 1); err != nil {
		t.Error(err)
	}
	if _, err := top.Sites.EnableRule(t.Context(), "Standard settings", true); err != nil {
		t.Fatal(err)
	}
	holds("what rules that are on select, and no more", berlin, 2)
	if err := top.Sites.DeleteRule(t.Context(), "More"); err != nil {
		t.Fatal(err)
	}
	holds("without the rule", berlin, 1)
}
