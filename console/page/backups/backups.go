// Package backups is the console's page of how the site would come back: the recovery key, the schedule, and the backups
// there are.
package backups

import (
	"embed"
	"io/fs"
	"net/http"
	"strconv"

	"thatch/console/api"
	routes "thatch/console/api/backups"
	"thatch/console/page"
	"thatch/node/backup"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
)

//go:embed templates/*.html
var files embed.FS

// Area is the page of this room.
func Area() page.Area {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // embedded
	}
	return page.Area{Templates: templates, Pages: []*page.Page{backupsPage()}}
}

func backupsPage() *page.Page {
	return &page.Page{
		Path: "/backups", Title: "Backups",
		Help: page.Help{
			Text:    "A backup is one file with the site's database, its private keys and the list of its payloads. It is made while the site runs. The recovery key, which is kept off the site, opens it: with both, a lost site is made anew on an empty machine, from the command line there.",
			Command: []string{"thatch backup", "thatch backup recovery-key", "thatch backup schedule --keep 14", "thatch backup status", "thatch restore FILE --data DIR"},
		},
		Show: show,
		Acts: map[string]page.Act{
			"make":     {Scope: identity.Administrator, Do: take},
			"verify":   {Scope: identity.Operate, Do: verify},
			"schedule": {Scope: identity.Administrator, Do: plan},
			"key":      {Scope: identity.Administrator, Do: newKey},
		},
	}
}

// list is the backups on record.
var list = &page.List{
	Path: "/backups", Key: "name", Limit: 25, Empty: "There is no backup yet. Make one above.",
	Columns: []page.Column{
		{Name: "name", Title: "File", Wide: true},
		{Name: "made", Title: "Made", Kind: page.Time},
		{Name: "state", Title: "State", Kind: page.State, Unsorted: true, Unfiltered: true},
		{Name: "size", Title: "Size", Kind: page.Bytes},
		{Name: "index", Title: "Index", Kind: page.Number, Unsorted: true, Unfiltered: true},
		{Name: "recovery_key", Title: "Recovery key"},
		{Name: "folder", Title: "Folder"},
		{Name: "node", Title: "Node", Hidden: true},
		{Name: "sha256", Title: "SHA-256", Hidden: true, Unsorted: true, Unfiltered: true},
	},
	Actions: []page.Action{{Name: "verify", Title: "Check", Scope: identity.Operate, Call: "POST /backups/{name}/verify"}},
}

// view is what the page shows.
type view struct {
	backup.Standing
	Line string // of the schedule, also while it is switched off
	List *page.Table
}

func show(q *page.Request) (*page.View, error) {
	standing, err := page.Get[backup.Standing](q, "/backups/standing")
	if err != nil {
		return nil, err
	}
	v := view{Standing: standing, Line: standing.Schedule}
	if v.Line == "" {
		v.Line = backup.Daily
	}
	v.List, err = q.Table(list)
	return &page.View{Template: "backups.html", Data: v}, err
}

func take(q *page.Request) (page.Outcome, error) {
	run, err := page.Send[api.Run](q, http.MethodPost, "/backups", routes.Wanted{})
	return page.Outcome{To: page.To("tasks", "runs", run.Run)}, err
}

func verify(q *page.Request) (page.Outcome, error) {
	chosen := q.Forms("key")
	if len(chosen) != 1 {
		return page.Outcome{}, invalid(q, "Choose one backup.")
	}
	run, err := page.Send[api.Run](q, http.MethodPost, page.To("backups", chosen[0], "verify"), nil)
	return page.Outcome{To: page.To("tasks", "runs", run.Run)}, err
}

func plan(q *page.Request) (page.Outcome, error) {
	kept, err := strconv.Atoi(q.Form("keep"))
	if err != nil {
		return page.Outcome{}, invalid(q, "%q is no number of backups.", q.Form("keep"))
	}
	in := routes.Schedule{Schedule: q.Form("schedule"), Enabled: q.Form("enabled") != "", Folder: q.Form("folder"), Keep: kept}
	_, err = page.Send[backup.Standing](q, http.MethodPut, "/backups/schedule", in)
	return page.Outcome{Note: q.T("The schedule is kept.")}, err
}

// newKey makes a recovery key, of which the API gets the public half, and tells it once.
func newKey(q *page.Request) (page.Outcome, error) {
	text, key, err := sealed.NewRecovery()
	if err != nil {
		return page.Outcome{}, err
	}
	told, err := page.Send[identity.RecoveryKey](q, http.MethodPut, "/backups/recovery-key", routes.PublicKey{Public: key.Public()})
	if err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{Once: &page.View{
		Template: "backups-key.html", Title: q.T("Recovery key"), Crumbs: []page.Link{{Text: q.T("Backups"), To: "/backups"}},
		Data: struct{ Name, Text string }{told.Name, text},
	}}, nil
}

func invalid(q *page.Request, text string, args ...any) error {
	return &api.Error{Status: http.StatusBadRequest, Code: "invalid", Text: q.T(text, args...)}
}
