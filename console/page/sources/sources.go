// Package sources is the console's pages of where catalogs come from: the sources and their settings, imports by hand,
// what imports brought, and what of staged bulletins calls for a person.
package sources

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"thatch/catalog/importer"
	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/bulletins/staging"
	"thatch/node/imports"
	"thatch/node/tasks"
	"thatch/node/uploads"
)

//go:embed templates/*.html
var files embed.FS

// Area is the pages of this room.
func Area() page.Area {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // embedded
	}
	return page.Area{Templates: templates, Pages: []*page.Page{catalogPage(), importPage()}}
}

const (
	importsShown  = 20  // of a page of the history
	warningsShown = 100 // of one import
	alarmsShown   = 100
)

func catalogPage() *page.Page {
	return &page.Page{
		Path: "/catalog", Title: "Catalog",
		Help: page.Help{
			Text:    "Where the vendors' catalogs come from. A source is imported by a schedule or by hand; importing again changes nothing that did not change. Below is what the imports brought, and what of staged bulletins calls for a person.",
			Command: []string{"thatch catalog sources", "thatch catalog import --source msrc --from ./cvrf", "thatch catalog import --source sdp --upload ./catalog.cab", "thatch catalog runs", "thatch bulletins alarms"},
		},
		Show: showCatalog, Files: uploads.MaxBytes,
		Acts: map[string]page.Act{
			"import": {Do: importNow},
			"send":   {Do: send},
			"on":     {Do: func(q *page.Request) (page.Outcome, error) { return turn(q, true) }},
			"off":    {Do: func(q *page.Request) (page.Outcome, error) { return turn(q, false) }},
			"change": {Do: change},
		},
	}
}

// catalogShown is what the page shows.
type catalogShown struct {
	Sources []sourceShown
	Imports *page.Table
	Total   int // imports
	Busy    bool
	Prev    string
	Next    string
	Alarms  *page.Table
	More    int // alarms that are not shown
}

// sourceShown is a source with what its form says.
type sourceShown struct {
	imports.Source
	Title string
	Text  string
}

// known says what the sources are that this program knows.
var known = map[string][2]string{
	"msrc": {"Microsoft Security Response Center", "Bulletins, vulnerabilities and supersedence of Microsoft's products (CVRF). It names no payloads."},
	"sdp":  {"Software Distribution Packages", "Catalogs of Dell, HP, Lenovo, Adobe and others for WSUS and Configuration Manager, with rules and payloads."},
}

func showCatalog(q *page.Request) (*page.View, error) {
	list, err := page.Get[api.List[imports.Source]](q, "/catalog/sources")
	if err != nil {
		return nil, err
	}
	at, _ := strconv.Atoi(q.Arg("page"))
	at = max(at, 1)
	runs, err := page.Get[api.List[tasks.Run]](q, "/catalog/runs", "limit", strconv.Itoa(importsShown), "page", strconv.Itoa(at))
	if err != nil {
		return nil, err
	}
	alarms, err := page.Get[api.List[staging.Alarm]](q, "/staging/alarms")
	if err != nil {
		return nil, err
	}
	shown := &catalogShown{Total: runs.Total}
	for _, s := range list.Items {
		text := known[s.Name]
		shown.Sources = append(shown.Sources, sourceShown{s, q.T(text[0]), q.T(text[1])})
	}
	rows := make([]importShown, 0, len(runs.Items))
	for i := range runs.Items {
		rows = append(rows, importOf(&runs.Items[i]))
		shown.Busy = shown.Busy || runs.Items[i].State == tasks.Running
	}
	shown.Imports = q.Grid(rows, importColumns()...)
	if at > 1 {
		shown.Prev = "/catalog?page=" + strconv.Itoa(at-1)
	}
	if at*importsShown < runs.Total {
		shown.Next = "/catalog?page=" + strconv.Itoa(at+1)
	}
	few := alarms.Items[:min(len(alarms.Items), alarmsShown)]
	shown.Alarms, shown.More = q.Grid(few, alarmColumns()...), len(alarms.Items)-len(few)
	return &page.View{Template: "sources-catalog.html", Data: shown}, nil
}

// importShown is a run of an import with what it brought.
type importShown struct {
	ID       string      `json:"id"`
	Source   string      `json:"source"`
	State    tasks.State `json:"state"`
	Started  time.Time   `json:"started"`
	Actor    string      `json:"actor"`
	Read     int         `json:"read"`
	Skipped  int         `json:"skipped"`
	Changed  int         `json:"changed"`
	Failed   int         `json:"failed"`
	Warnings int         `json:"warnings"`
	Bytes    int64       `json:"bytes"`
	Text     string      `json:"text"` // the error, or how far it is
	result   imports.Imported
}

func importOf(run *tasks.Run) importShown {
	row := importShown{ID: run.ID, State: run.State, Started: run.Started, Actor: run.Actor, Text: run.Error}
	var what imports.Import
	if json.Unmarshal(run.Params, &what) == nil {
		row.Source = what.Source
	}
	if json.Unmarshal(run.Result, &row.result) == nil { // one that did not end has none
		r := &row.result
		row.Read, row.Skipped, row.Changed, row.Failed, row.Bytes = r.Files, r.Skipped, r.Changed, r.Failed, r.Bytes
		for _, times := range r.Counts {
			row.Warnings += times
		}
	}
	if run.State == tasks.Running {
		row.Text = run.Progress.Text
	}
	return row
}

func importColumns() []page.Column {
	return []page.Column{
		{Name: "started", Title: "Started", Kind: page.Time, Link: "/catalog/imports/{id}"},
		{Name: "source", Title: "Source"},
		{Name: "state", Title: "State", Kind: page.State, Link: "/tasks/runs/{id}"},
		{Name: "read", Title: "Files read", Kind: page.Number},
		{Name: "skipped", Title: "Unchanged", Kind: page.Number},
		{Name: "changed", Title: "Documents changed", Kind: page.Number},
		{Name: "warnings", Title: "Warnings", Kind: page.Number, Link: "/catalog/imports/{id}"},
		{Name: "failed", Title: "Errors", Kind: page.Number, Link: "/catalog/imports/{id}"},
		{Name: "actor", Title: "By", Kind: page.Said},
		{Name: "text", Title: "Why", Kind: page.Said, Wide: true},
	}
}

func alarmColumns() []page.Column {
	return []page.Column{
		{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{bulletin}"},
		{Name: "update", Title: "Update", Link: "/updates/{id}"},
		{Name: "product", Title: "Product"},
		{Name: "status", Title: "Staging", Kind: page.State},
		{Name: "text", Title: "Why", Kind: page.Said, Wide: true},
	}
}

// importNow starts an import and shows its run.
func importNow(q *page.Request) (page.Outcome, error) {
	run, err := page.Send[api.Run](q, http.MethodPost, "/catalog/imports", imports.Import{Source: q.Form("source"), From: q.Form("from")})
	if err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{To: page.To("tasks", "runs", run.Run), Note: q.T("The import has begun.")}, nil
}

// send imports a file that the operator has.
func send(q *page.Request) (page.Outcome, error) {
	if err := q.Refused("POST /catalog/uploads"); err != nil {
		return page.Outcome{}, err
	}
	name, content, err := q.File("file", q.T("Choose a file."))
	if err != nil {
		return page.Outcome{}, err
	}
	defer content.Close()
	answer, err := q.Ask(http.MethodPost, "/catalog/uploads", url.Values{"source": {q.Form("source")}, "name": {name}}, content)
	if err != nil {
		return page.Outcome{}, err
	}
	run, ok := answer.(api.Run)
	if !ok {
		return page.Outcome{}, fmt.Errorf("sending a file answers %T", answer)
	}
	return page.Outcome{To: page.To("tasks", "runs", run.Run), Note: q.T("The import has begun.")}, nil
}

// turn switches the schedule of a source on or off.
func turn(q *page.Request, on bool) (page.Outcome, error) {
	note := q.T("%s is not imported by schedule any more.", q.Form("source"))
	if on {
		note = q.T("%s is imported by schedule.", q.Form("source"))
	}
	return set(q, imports.Change{Enabled: &on}, note)
}

// change sets where and when a source is imported, and what is left out.
func change(q *page.Request) (page.Outcome, error) {
	schedule := q.Form("schedule")
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	to := imports.Change{Schedule: &schedule, From: lines(q.Form("from")), Exclude: lines(q.Form("exclude")), Version: version}
	if len(to.From) == 0 {
		to.From, to.Own = nil, true
	}
	if q.Form("inherit") != "" {
		to.Exclude, to.Inherit = nil, true
	}
	return set(q, to, q.T("The settings of %s are saved.", q.Form("source")))
}

func set(q *page.Request, to imports.Change, note string) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodPut, page.To("catalog", "sources", q.Form("source")), to)
	return page.Outcome{Note: note}, err
}

// lines are those of a text that say something; never nil.
func lines(text string) []string {
	all := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func importPage() *page.Page {
	return &page.Page{
		Path: "/catalog/imports/{id}", Nav: "/catalog", Title: "Import",
		Help: page.Help{
			Text:    "What one import brought, and what of the vendor's files it could not take or had to mend. Nothing else is lost by that.",
			Command: []string{"thatch tasks history RUN"},
		},
		Show: showImport,
	}
}

// oneImport is what the page of an import shows.
type oneImport struct {
	importShown
	From     []string
	Holds    imports.Imported
	Warnings *page.Table
	More     int
}

// warningShown is a warning with how often its kind was met: an import keeps the first of each kind.
type warningShown struct {
	importer.Warning
	Met int `json:"met"`
}

func showImport(q *page.Request) (*page.View, error) {
	run, err := page.Get[tasks.Run](q, page.To("runs", q.Var("id")))
	if err != nil {
		return nil, err
	}
	if run.Kind != imports.Kind {
		return nil, &api.Error{Status: http.StatusNotFound, Code: "not_found", Text: q.T("This run is no import.")}
	}
	shown := &oneImport{importShown: importOf(&run)}
	shown.Holds = shown.result
	var what imports.Import
	if json.Unmarshal(run.Params, &what) == nil {
		shown.From = what.All
		if what.From != "" {
			shown.From = []string{what.From}
		}
	}
	var warnings []warningShown
	for _, w := range shown.result.Warnings {
		row := warningShown{Warning: w, Met: max(shown.result.Counts[w.Kind], 1)}
		if w.Failed {
			row.Met = 1 // each is named
		}
		warnings = append(warnings, row)
	}
	slices.SortStableFunc(warnings, func(a, b warningShown) int { return rank(b) - rank(a) })
	few := warnings[:min(len(warnings), warningsShown)]
	shown.More = len(warnings) - len(few)
	shown.Warnings = q.Grid(few, page.Column{Name: "failed", Title: "Lost something", Kind: page.Flag},
		page.Column{Name: "kind", Title: "Kind"}, page.Column{Name: "met", Title: "Times", Kind: page.Number},
		page.Column{Name: "file", Title: "File"},
		page.Column{Name: "element", Title: "Where"}, page.Column{Name: "text", Title: "What", Wide: true})
	return &page.View{
		Template: "sources-import.html", Data: shown, Title: q.T("Import of %s", shown.Source),
		Crumbs: []page.Link{{Text: q.T("Catalog"), To: "/catalog"}},
	}, nil
}

// rank puts what lost something first.
func rank(w warningShown) int {
	if w.Failed {
		return 1
	}
	return 0
}
