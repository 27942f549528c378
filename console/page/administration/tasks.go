package administration

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/tasks"
)

// titles are what people call the kinds of tasks.
var titles = map[string]string{
	"catalog-import": "Catalog import", "staging": "Staging", "housekeeping": "Housekeeping", "replication": "Replication",
	"replication-round": "Replication by hand", "content-verify": "Check of the payloads", "content-import": "Payloads from a folder",
	"content-export": "Payloads to a folder", "backup": "Backup", "backup-verify": "Check of a backup",
}

// titleOf is what people call a task, or a run of it.
func titleOf(q *page.Request, kind, task string) string {
	title, known := titles[kind]
	switch {
	case !known:
		return task
	case task == kind:
		return q.T(title)
	}
	return q.T(title) + " · " + strings.TrimPrefix(task, kind+"-")
}

// called is what people call a task by its name alone, which begins with that of its kind.
func called(q *page.Request, name string) string {
	for kind := name; kind != ""; kind = kind[:max(strings.LastIndexByte(kind, '-'), 0)] {
		if titles[kind] != "" {
			return titleOf(q, kind, name)
		}
	}
	return name
}

// taskRow is a task as the list shows it.
type taskRow struct {
	tasks.Task
	Title   string
	Running bool
}

// taskView is the page of all tasks.
type taskView struct {
	Rows   []taskRow
	Recent []runRow
}

type runRow struct {
	tasks.Run
	Title string
}

const recentRuns = 10

func taskList() *page.Page {
	return &page.Page{
		Path: "/tasks", Title: "Tasks",
		Help: page.Help{
			Text:    "What the site does by itself or for long: when, when next, and what came of it last time. Run a task now, or open it to change its schedule. Every run keeps its progress, its log and its result.",
			Command: []string{"thatch tasks list", "thatch tasks run housekeeping", "thatch tasks schedule housekeeping '17 * * * *'"},
		},
		Show: showTasks,
		Acts: map[string]page.Act{
			"run":    {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) { return runTask(q, q.Form("task")) }},
			"on":     {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) { return switchTask(q, q.Form("task"), true) }},
			"off":    {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) { return switchTask(q, q.Form("task"), false) }},
			"cancel": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) { return cancelRun(q, q.Form("run")) }},
		},
	}
}

func showTasks(q *page.Request) (*page.View, error) {
	all, err := page.Get[api.List[tasks.Task]](q, "/tasks")
	if err != nil {
		return nil, err
	}
	history, err := page.Get[api.List[tasks.Run]](q, "/runs", "limit", strconv.Itoa(recentRuns))
	if err != nil {
		return nil, err
	}
	view := taskView{}
	for _, t := range all.Items {
		view.Rows = append(view.Rows, taskRow{t, titleOf(q, t.Kind, t.Name), t.Last != nil && t.Last.State == tasks.Running})
	}
	for _, r := range history.Items {
		view.Recent = append(view.Recent, runRow{r, titleOf(q, r.Kind, r.Task)})
	}
	return &page.View{Template: "administration-tasks.html", Data: view}, nil
}

// runTask starts a task and shows the run.
func runTask(q *page.Request, name string) (page.Outcome, error) {
	run, err := page.Send[api.Run](q, http.MethodPost, page.To("tasks", name, "runs"), nil)
	return page.Outcome{To: page.To("tasks", "runs", run.Run)}, err
}

// switchTask has a task follow its schedule, or not.
func switchTask(q *page.Request, name string, on bool) (page.Outcome, error) {
	t, err := findTask(q, name)
	if err != nil {
		return page.Outcome{}, err
	}
	_, err = page.Send[tasks.Task](q, http.MethodPut, page.To("tasks", name), api.TaskChange{Schedule: t.Schedule, Enabled: on, Version: t.Version})
	note := q.T("%s follows its schedule now.", titleOf(q, t.Kind, t.Name))
	if !on {
		note = q.T("%s runs by hand alone now.", titleOf(q, t.Kind, t.Name))
	}
	return page.Outcome{Note: note}, err
}

func findTask(q *page.Request, name string) (tasks.Task, error) {
	all, err := page.Get[api.List[tasks.Task]](q, "/tasks")
	if err != nil {
		return tasks.Task{}, err
	}
	at := slices.IndexFunc(all.Items, func(t tasks.Task) bool { return t.Name == name })
	if at < 0 {
		return tasks.Task{}, &api.Error{Status: http.StatusNotFound, Code: "not_found", Text: q.T("There is no task %q.", name)}
	}
	return all.Items[at], nil
}

// oneTask is the page of a task.
type oneTask struct {
	tasks.Task
	Params  []item
	Runs    *page.Table
	Running bool
	Presets []preset
}

// preset is a schedule to choose.
type preset struct{ Line, Text string }

var presets = []preset{
	{"", "by hand alone"},
	{"*/15 * * * *", "every 15 minutes"},
	{"17 * * * *", "every hour"},
	{"30 4 * * *", "every night at 4:30"},
	{"0 3 * * 0", "Sundays at 3:00"},
}

func task() *page.Page {
	return &page.Page{
		Path: "/tasks/{name}", Nav: "/tasks", Title: "Task",
		Help: page.Help{
			Text:    "One task: its schedule, whether the schedule is in force, and its runs. A schedule is a crontab line (minute, hour, day, month, weekday) in the time zone of the node, or @hourly, @daily, @weekly.",
			Command: []string{"thatch tasks schedule housekeeping '17 * * * *'"},
		},
		Show: showTask,
		Acts: map[string]page.Act{
			"run":  {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) { return runTask(q, q.Var("name")) }},
			"save": {Scope: identity.Administrator, Do: saveTask},
		},
	}
}

func showTask(q *page.Request) (*page.View, error) {
	t, err := findTask(q, q.Var("name"))
	if err != nil {
		return nil, err
	}
	table, err := q.Table(&page.List{
		Path: "/runs", Args: []string{"task", t.Name}, Key: "id", Limit: 25, Columns: runColumns[1:],
		Empty: "This task did not run yet.",
	})
	return &page.View{
		Template: "administration-task.html", Title: titleOf(q, t.Kind, t.Name), Crumbs: []page.Link{{Text: q.T("Tasks"), To: "/tasks"}},
		Data: oneTask{t, readable(q, t.Params), table, t.Last != nil && t.Last.State == tasks.Running, presets},
	}, err
}

func saveTask(q *page.Request) (page.Outcome, error) {
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	_, err = page.Send[tasks.Task](q, http.MethodPut, page.To("tasks", q.Var("name")),
		api.TaskChange{Schedule: q.Form("schedule"), Enabled: q.Form("enabled") != "", Version: version})
	return page.Outcome{Note: q.T("The schedule is kept.")}, err
}
