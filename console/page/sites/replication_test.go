package sites_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/console/page/pagetest"
	"thatch/node/identity"
	"thatch/node/tasks"
)

// ended waits until the run that an answer leads to has ended.
func ended(t testing.TB, s site, a pagetest.Answer) tasks.Run {
	t.Helper()
	id, ok := strings.CutPrefix(a.Header.Get("Location"), "/tasks/runs/")
	if !ok {
		t.Fatalf("%d: it leads to %q:\n%s", a.Status, a.Header.Get("Location"), pagetest.Main(a.Body))
	}
	var last tasks.Run
	if err := s.Tasks.Watch(t.Context(), id, 0, func(r tasks.Run) error { last = r; return nil }); err != nil {
		t.Fatal(err)
	}
	return last
}

func TestReplicationWhereThereIsNobody(t *testing.T) {
	s := start(t, "Bern", "en")
	s.Get(t, "/replication").Has(t, "No rule sends anything to sites below", "Standard schedules", "Nothing passed over a link yet", "Nothing is in quarantine")
	s.Get(t, "/replication/runs").Has(t, "Nothing passed over a link yet")
	s.Get(t, "/replication/quarantine").Has(t, "everything that neighbours sent was accepted")
	s.Post(t, "/replication", form("do", "run", "with", "parent")).Has(t, "neither a parent nor children")
	s.Post(t, "/replication", form("do", "run", "with", "parent", "verify", "some")).Has(t, "is no whole number")
	s.Get(t, "/replication/rules/nothing").Has(t, "nothing")
	s.Get(t, "/replication/runs/nothing").Has(t, "nothing")
	s.Language = "de"
	s.Get(t, "/replication").Has(t, "Noch ging nichts über eine Verbindung")
}

func TestReplicateVerifyAndSeeBothDigests(t *testing.T) {
	parent, child := family(t)
	parent.Put(t, document.Bulletin, "bulletin:a", `{"name":"a"}`)
	last := ended(t, child, child.Send(t, "/replication", form("do", "run", "with", "parent", "verify", "100", "repair", "yes")))
	if last.State != tasks.Done {
		t.Fatalf("the round is %s: %s", last.State, last.Error)
	}
	child.Get(t, "/tasks/runs/"+last.ID).Has(t, "Digest here", "Digest there", "Equal")
	top := child.Get(t, "/replication")
	top.Has(t, "Comes from above", "from above", "connected", "Bern", "Rules of the parent", "Its own, for sites below", "equal")
	run := regexp.MustCompile(`href="(/replication/runs/[0-9a-f-]{36})"`).FindAllStringSubmatch(child.Get(t, "/replication/runs").Body, -1)
	if len(run) == 0 {
		t.Fatal("the history names no run")
	}
	verified := false
	for _, address := range run {
		one := child.Get(t, address[1])
		one.Has(t, "Bern", "Seconds", "Verification")
		digests := regexp.MustCompile(`class="digest">([0-9a-f]+)<`).FindAllStringSubmatch(one.Body, -1)
		if len(digests) == 2 { // of a verification of everything
			verified = true
			if one.Has(t, "Both sides hold the same"); digests[0][1] != digests[1][1] {
				t.Errorf("the digests of both sides are %v", digests)
			}
		}
	}
	if !verified {
		t.Error("no run shows two digests")
	}
	parent.Eventually(t, "the parent's tree says equal", func() error {
		if !strings.Contains(parent.Get(t, "/hierarchy").Body, "digests equal") {
			return errors.New("not yet")
		}
		return nil
	})
	parent.Get(t, "/replication/runs?state=failed").Has(t, "Nothing fits these filters")
}

func TestRules(t *testing.T) {
	parent, child := family(t)
	id := child.Linked.Site().ID
	parent.Get(t, "/replication").Has(t, "Standard data", "all children", "Switch off")
	page := parent.Get(t, "/replication/rules/new?type=policies")
	page.Has(t, "Make the rule", "Wien", "There is nothing to choose from yet")
	create := func(pairs ...string) pagetest.Answer {
		return parent.Post(t, "/replication/rules/new", form(append([]string{"do", "create", "name", "Nights <b>", "type", "data", "mode", "differential", "verify", "20"}, pairs...)...))
	}
	create("who", "some", "follows", "at-once").Has(t, "Choose the children", `value="Nights &lt;b&gt;"`)
	create("who", "all", "follows", "own").Has(t, "own schedule")
	create("who", "all", "what", "some", "follows", "own", "schedule", "0 1 * * *").Has(t, "Choose what the rule sends")
	create("who", "all", "follows", "own", "schedule", "at night").Has(t, `role="alert"`, `value="at night"`)
	made := create("who", "some", "child", id, "follows", "own", "schedule", "0 1 * * *", "enabled", "yes")
	made.Has(t, "The rule is made", "Nights &lt;b&gt;", `value="0 1 * * *"`, `value="20"`)
	parent.Get(t, "/sites/"+id).Has(t, "Nights &lt;b&gt;")
	address := regexp.MustCompile(`href="(/replication/rules/[0-9a-f-]{36})"`).FindStringSubmatch(parent.Get(t, "/replication").Body)[1]
	version := regexp.MustCompile(`name="from" value="(\d+)"`).FindStringSubmatch(parent.Get(t, address).Body)[1]
	save := func(verify string) pagetest.Answer {
		return parent.Post(t, address, form("do", "save", "from", version, "name", "Nights", "type", "data", "mode", "complete", "verify", verify, "who", "all", "follows", "complete"))
	}
	save("200").Has(t, `role="alert"`, `value="200"`)
	save("100").Has(t, "The rule is kept")
	stale := save("50")
	if stale.Has(t, `role="alert"`); stale.Status != http.StatusConflict {
		t.Errorf("another version of the form answers %d", stale.Status)
	}
	parent.Post(t, "/replication", form("do", "on", "rule", "standard-data")).Has(t, "is on")
	parent.Post(t, "/replication", form("do", "off", "rule", "standard-data")).Has(t, "sends nothing from now on")
	parent.Post(t, address, form("do", "delete")).Has(t, "The rule is deleted")
	for _, scope := range []identity.Scope{identity.Viewer, identity.Operate} {
		parent.Operator.Scope = scope
		lacks(t, parent.Get(t, "/replication"), "New rule", "Switch on", "Switch off")
		for _, do := range []string{"on", "off", "standard"} {
			if got := parent.Send(t, "/replication", form("do", do, "rule", "standard-data")); got.Status != http.StatusForbidden {
				t.Errorf("%s by %s answers %d", do, scope, got.Status)
			}
		}
		if got := parent.Get(t, "/replication/rules/new"); got.Status != http.StatusForbidden {
			t.Errorf("%s may make rules: %d", scope, got.Status)
		}
		lacks(t, parent.Get(t, "/replication/rules/standard-data"), `value="save"`, `value="delete"`)
	}
}

func TestStandardSchedules(t *testing.T) {
	s := start(t, "Bern", "en")
	set := func(line, version string) pagetest.Answer {
		return s.Post(t, "/replication", form("do", "standard", "setting", "replication.differential", "version", version, "schedule", line))
	}
	set("never", "0").Has(t, `role="alert"`, `value="never"`)
	set("*/30 * * * *", "0").Has(t, "The standard schedule is kept", `value="*/30 * * * *"`)
	if stale := set("*/10 * * * *", "0"); stale.Status != http.StatusConflict {
		t.Errorf("another version of the form answers %d", stale.Status)
	}
	s.Post(t, "/replication", form("do", "standard", "setting", "downloads.proxy", "version", "0", "schedule", "x")).Has(t, "is no standard schedule")
	s.Post(t, "/replication/quarantine", form("do", "retry")).Has(t, "Choose documents first")
	s.Post(t, "/replication/quarantine", form("do", "retry", "key", "x")).Has(t, "None of these")
}
