package administration_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/console/page/administration"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/tasks"
)

func start(t testing.TB) *pagetest.Browser {
	t.Helper()
	return pagetest.Start(t, nil, administration.Area())
}

// end waits until a run has ended.
func end(t testing.TB, n *node.Node, id string) tasks.Run {
	t.Helper()
	var last tasks.Run
	if err := n.Tasks.Watch(t.Context(), id, 0, func(r tasks.Run) error { last = r; return nil }); err != nil {
		t.Fatal(err)
	}
	return last
}

// runOf is the id of the run that an answer leads to.
func runOf(t testing.TB, a pagetest.Answer) string {
	t.Helper()
	id, ok := strings.CutPrefix(a.Header.Get("Location"), "/tasks/runs/")
	if !ok {
		t.Fatalf("%d: it leads to %q, not to a run:\n%s", a.Status, a.Header.Get("Location"), pagetest.Main(a.Body))
	}
	return id
}

func form(pairs ...string) url.Values {
	values := url.Values{"token": {pagetest.Token}}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

func TestTasksRunNowAndTheRunOfIt(t *testing.T) {
	b := start(t)
	b.Get(t, "/tasks").Has(t, "Housekeeping", "Catalog import · msrc", "Run now", "23 4")
	id := runOf(t, b.Send(t, "/tasks", form("do", "run", "task", "housekeeping")))
	end(t, b.Node, id)
	page := b.Get(t, "/tasks/runs/"+id)
	page.Has(t, "Housekeeping", "done", "Started", "Took", "Run again", "Ada")
	if strings.Contains(page.Body, "data-events") {
		t.Error("a run that ended is watched still")
	}
	b.Get(t, "/tasks/runs").Has(t, "Housekeeping", "/tasks/runs/"+id)
	b.Get(t, "/tasks/runs?state=failed").Has(t, "Nothing fits these filters")
	b.Get(t, "/tasks/housekeeping").Has(t, "Change the schedule", "/tasks/runs/"+id)
	again := runOf(t, b.Send(t, "/tasks/runs/"+id, form("do", "again")))
	if again == id {
		t.Error("running again shows the former run")
	}
}

// slow is a kind of task that says something and waits until it is let go.
func slow(t testing.TB) (b *pagetest.Browser, said, leave chan struct{}) {
	t.Helper()
	said, leave = make(chan struct{}), make(chan struct{})
	b = pagetest.Start(t, func(n *node.Node) []api.Route {
		n.Tasks.Register(tasks.Kind{Name: "slow", Text: "Wait", Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			job.Log("read <script>alert(1)</script> of the vendor")
			job.Progress(tasks.Progress{Done: 1_500_000, Total: 6_000_000, Unit: "bytes", Text: "KB5000001 <b>x</b>"})
			close(said)
			select {
			case <-leave:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			return map[string]any{
				"packages": 3, "bytes": 7_000_000, "equal": true, "languages": []string{"de", "en"}, "heard": "2026-11-02T10:00:00Z",
				"links": []any{map[string]any{"site": "Bern", "runs": 2}, map[string]any{"site": "<i>Wien</i>", "runs": []int{1, 2, 3}}},
			}, nil
		}})
		return nil
	}, administration.Area())
	return b, said, leave
}

func TestARunAsItGoesOn(t *testing.T) {
	b, said, leave := slow(t)
	id, err := b.Node.Tasks.Run(t.Context(), "slow", map[string]any{"from": "a<b"})
	if err != nil {
		t.Fatal(err)
	}
	<-said
	live := b.Get(t, "/tasks/runs/"+id)
	live.Has(t, `data-events="/tasks/runs/`+id+`/events"`, `value="25"`, "1.5 MB of 6.0 MB", "KB5000001 &lt;b&gt;", "&lt;script&gt;alert(1)", "Cancel", "Load this page again", "a&lt;b")
	if strings.Contains(live.Body, "<script>alert") {
		t.Error("the text of a vendor is markup")
	}
	b.Get(t, "/tasks").Has(t, "running")
	b.Language = "de"
	b.Get(t, "/tasks/runs/"+id).Has(t, "1,5 MB von 6,0 MB", "Abbrechen", "Protokoll", "läuft")
	b.Language = ""
	close(leave)
	end(t, b.Node, id)
	done := b.Get(t, "/tasks/runs/"+id)
	done.Has(t, "Packages", "7.0 MB", "Equal", "yes", "de, en", "2026-11-02 10:00 UTC", "Bern", "&lt;i&gt;Wien", "Result")
	events := b.Get(t, "/tasks/runs/"+id+"/events")
	events.Has(t, "event: run", `"state":"done"`)
	b.Get(t, "/tasks/runs/"+id+"/log").Has(t, "of the vendor")
}

func TestCancel(t *testing.T) {
	b, said, _ := slow(t)
	id, err := b.Node.Tasks.Run(t.Context(), "slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	<-said
	b.Post(t, "/tasks/runs/"+id, form("do", "cancel")).Has(t, "told to end")
	if last := end(t, b.Node, id); last.State != tasks.Cancelled {
		t.Errorf("the run is %s", last.State)
	}
	b.Get(t, "/tasks/runs/"+id).Has(t, "cancelled")
	if again := b.Send(t, "/tasks/runs/"+id, form("do", "cancel")); again.Status >= http.StatusInternalServerError {
		t.Errorf("cancelling what ended answers %d", again.Status)
	}
}

func TestAViewerOnlyLooksAtTasks(t *testing.T) {
	b := start(t)
	b.Operator.Scope = identity.Viewer
	for _, address := range []string{"/tasks", "/tasks/housekeeping"} {
		page := b.Get(t, address)
		page.Has(t, "Housekeeping")
		for _, button := range []string{"Run now", "Switch off", "Save"} {
			if strings.Contains(pagetest.Main(page.Body), button) {
				t.Errorf("%s: a viewer sees %q", address, button)
			}
		}
	}
	for _, do := range []string{"run", "on", "off"} {
		if got := b.Send(t, "/tasks", form("do", do, "task", "housekeeping")); got.Status != http.StatusForbidden {
			t.Errorf("%s by a viewer answers %d", do, got.Status)
		}
	}
	b.Operator.Scope = identity.Operate
	b.Get(t, "/tasks").Has(t, "Run now")
	if got := b.Send(t, "/tasks/housekeeping", form("do", "save", "schedule", "@daily", "version", "1")); got.Status != http.StatusForbidden {
		t.Errorf("an operator's schedule answers %d", got.Status)
	}
	b.Get(t, "/tasks/nonsense").Has(t, "There is no task")
	b.Get(t, "/tasks/runs/nonsense").Has(t, "nonsense")
}

func TestScheduleOfATask(t *testing.T) {
	b := start(t)
	save := func(schedule, version string) pagetest.Answer {
		return b.Post(t, "/tasks/housekeeping", form("do", "save", "schedule", schedule, "enabled", "yes", "version", version))
	}
	wrong := save("every blue moon", "1")
	wrong.Has(t, `value="every blue moon"`, `role="alert"`)
	save("30 4 * * *", "1").Has(t, "The schedule is kept", "30 4 * * *")
	stale := save("31 5 * * *", "1")
	stale.Has(t, `role="alert"`, `value="31 5 * * *"`)
	if stale.Status != http.StatusConflict {
		t.Errorf("another version of the form answers %d", stale.Status)
	}
	b.Post(t, "/tasks", form("do", "off", "task", "housekeeping")).Has(t, "by hand alone now", "off")
	b.Post(t, "/tasks", form("do", "on", "task", "housekeeping")).Has(t, "follows its schedule now")
	b.Post(t, "/tasks", form("do", "on", "task", "none")).Has(t, "There is no task")
}
