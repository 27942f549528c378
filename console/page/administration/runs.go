package administration

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/tasks"
)

var runColumns = []page.Column{
	{Name: "task", Title: "Task", Link: "/tasks/runs/{id}", Groups: true, Called: called},
	{Name: "started", Title: "Started", Kind: page.Time, Link: "/tasks/runs/{id}"},
	{Name: "ended", Title: "Ended", Kind: page.Time},
	{Name: "state", Title: "State", Kind: page.State, Choices: []string{"running", "done", "failed", "cancelled", "interrupted"}, Groups: true},
	{Name: "actor", Title: "By", Kind: page.Said, Groups: true},
	{Name: "kind", Title: "Kind", Hidden: true, Called: called, Groups: true},
	{Name: "error", Title: "Reason", Kind: page.Said, Wide: true, Unsorted: true, Unfiltered: true},
}

func runs() *page.Page {
	return &page.Page{
		Path: "/tasks/runs", Nav: "/tasks", Title: "Runs",
		Help: page.Help{
			Text:    "Every run of every task, newest first: who or what started it, how it ended, and why it failed where it did.",
			Command: []string{"thatch tasks history", "thatch tasks history --filter state=failed"},
		},
		List: &page.List{
			Path: "/runs", Key: "id", Columns: runColumns,
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "Running", Query: "state=running"},
				{Title: "Failed", Query: "state=failed"},
				{Title: "By task", Query: "grouped=task"},
			},
			Empty: "No task ran yet. Start one on the page Tasks.",
		},
	}
}

// Limits of what the page of a run shows of its log.
const (
	shownLines = 200
	shownLine  = 300 // characters
)

// runView is the page of a run.
type runView struct {
	tasks.Run
	Name    string
	Running bool
	Share   int // of 100; -1 not known
	Done    string
	Took    string
	Params  []item
	Result  []item
	Log     []tasks.Line // the last of them
	Left    int          // lines that are not shown
	IsTask  bool         // it is of a task that can be opened
}

func run() *page.Page {
	return &page.Page{
		Path: "/tasks/runs/{id}", Nav: "/tasks", Title: "Run",
		Help: page.Help{
			Text:    "One run as it goes on: how far it is, what it is at, its log, and what came of it. It goes on when this page is closed.",
			Command: []string{"thatch tasks follow RUN", "thatch tasks history RUN", "thatch tasks cancel RUN"},
		},
		Show: showRun,
		Acts: map[string]page.Act{
			"cancel": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) { return cancelRun(q, q.Var("id")) }},
			"again": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) {
				r, err := page.Get[tasks.Run](q, page.To("runs", q.Var("id")))
				if err != nil {
					return page.Outcome{}, err
				}
				return runTask(q, r.Task)
			}},
		},
	}
}

func cancelRun(q *page.Request, id string) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodPost, page.To("runs", id, "cancel"), nil)
	return page.Outcome{Note: q.T("The run is told to end.")}, err
}

func showRun(q *page.Request) (*page.View, error) {
	r, err := page.Get[tasks.Run](q, page.To("runs", q.Var("id")))
	if err != nil {
		return nil, err
	}
	v := runView{
		Run: r, Name: titleOf(q, r.Kind, r.Task), Running: r.State == tasks.Running, Share: -1, Took: took(q, r),
		Params: readable(q, r.Params), Result: readable(q, r.Result),
	}
	all, err := page.Get[api.List[tasks.Task]](q, "/tasks")
	if err != nil {
		return nil, err
	}
	v.IsTask = slices.ContainsFunc(all.Items, func(t tasks.Task) bool { return t.Name == r.Task })
	if p := r.Progress; p.Total > 0 {
		v.Share = int(100 * min(p.Done, p.Total) / p.Total)
		v.Done = q.T("%s of %s", amount(q, p.Done, p.Unit), amount(q, p.Total, p.Unit))
	} else if p.Done > 0 {
		v.Done = amount(q, p.Done, p.Unit)
	}
	v.Left = max(0, len(r.Lines)-shownLines)
	for _, line := range r.Lines[v.Left:] {
		if long := []rune(line.Text); len(long) > shownLine {
			line.Text = string(long[:shownLine]) + "…"
		}
		v.Log = append(v.Log, line)
	}
	return &page.View{
		Template: "administration-run.html", Data: v, Title: v.Name,
		Crumbs: []page.Link{{Text: q.T("Tasks"), To: "/tasks"}, {Text: q.T("Runs"), To: "/tasks/runs"}},
	}, nil
}

// amount is a number of things in the unit of a progress.
func amount(q *page.Request, n int64, unit string) string {
	switch unit {
	case "bytes":
		return q.Words.Bytes(n)
	case "":
		return q.Words.Number(n)
	}
	return q.Words.Number(n) + " " + q.T(unit)
}

// took says how long a run took, or takes already.
func took(q *page.Request, r tasks.Run) string {
	end := q.Now()
	if r.Ended != nil {
		end = *r.Ended
	}
	d := end.Sub(r.Started)
	switch {
	case d < time.Second:
		return q.T("less than a second")
	case d < 2*time.Minute:
		return q.Words.Count("1 second", "%s seconds", int(d/time.Second))
	case d < 2*time.Hour:
		return q.Words.Count("1 minute", "%s minutes", int(d/time.Minute))
	}
	return q.Words.Count("1 hour", "%s hours", int(d/time.Hour))
}

// runEvents hands the events of a run to the browser.
func runEvents() *page.Page {
	return &page.Page{Path: "/tasks/runs/{id}/events", Nav: "/tasks", Raw: func(q *page.Request, w http.ResponseWriter) error {
		q.ServeAPI(page.To("runs", q.Var("id"), "events"), w)
		return nil
	}}
}

// runLog is the whole log of a run as text.
func runLog() *page.Page {
	return &page.Page{Path: "/tasks/runs/{id}/log", Nav: "/tasks", Raw: func(q *page.Request, w http.ResponseWriter) error {
		r, err := page.Get[tasks.Run](q, page.To("runs", q.Var("id")))
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="run.log"`)
		for _, line := range r.Lines {
			if _, err := fmt.Fprintf(w, "%s %s\n", line.At.UTC().Format(time.RFC3339), line.Text); err != nil {
				return nil // the browser went away
			}
		}
		return nil
	}}
}
