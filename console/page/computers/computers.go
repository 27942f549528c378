// Package computers is the console's pages of what the site manages: the list with its groups, one computer, why an update
// stands on it as it does, and how further computers come in.
package computers

import (
	"embed"
	"io/fs"
	"maps"
	"net/http"

	"thatch/console/api"
	"thatch/console/api/prompts"
	"thatch/console/api/reports"
	"thatch/console/page"
	"thatch/node/identity"
)

//go:embed templates/*.html
var files embed.FS

// Area is the pages of this room.
func Area() page.Area {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // embedded
	}
	return page.Area{Templates: templates, Pages: []*page.Page{list(), add(), prompted(), one(), because()}}
}

// columns are those of computers wherever they are listed.
func columns() []page.Column {
	return []page.Column{
		{Name: "computer", Title: "Computer", Link: "/computers/{id}"},
		{Name: "group", Title: "Group", Groups: true},
		{Name: "platform", Title: "Platform", Groups: true, Hidden: true},
		{Name: "product", Title: "Product", Groups: true},
		{Name: "languages", Title: "Languages", Hidden: true},
		{Name: "last_seen", Title: "Last seen", Kind: page.Ago},
		{Name: "node", Title: "At the node", Hidden: true, Unsorted: true, Unfiltered: true},
		{Name: "percent", Title: "Complete", Kind: page.Percent},
		{Name: "missing", Title: "Missing", Kind: page.Number, Link: "/computers/{id}"},
		{Name: "critical", Title: "Critical missing", Kind: page.Number},
		{Name: "exploited", Title: "Exploited", Kind: page.Number},
		{Name: "failed", Title: "Failed", Kind: page.Number},
		{Name: "unknown", Title: "Cannot tell", Kind: page.Number},
		{Name: "pending", Title: "Pending", Kind: page.Number},
		{Name: "superseded", Title: "Superseded", Kind: page.Number, Hidden: true},
		{Name: "installed", Title: "Installed", Kind: page.Number, Hidden: true},
		{Name: "build", Title: "Build", Hidden: true, Groups: true},
		{Name: "architecture", Title: "Architecture", Hidden: true, Groups: true},
		{Name: "domain", Title: "Domain", Hidden: true, Groups: true},
		{Name: "addresses", Title: "Addresses", Hidden: true},
		{Name: "manufacturer", Title: "Manufacturer", Hidden: true, Groups: true},
		{Name: "model", Title: "Model", Hidden: true, Groups: true},
		{Name: "serial", Title: "Serial number", Hidden: true},
		{Name: "agent", Title: "Agent", Hidden: true, Groups: true},
		{Name: "reported", Title: "Reported", Kind: page.Ago, Hidden: true},
		{Name: "doubt", Title: "Doubtful", Hidden: true, Choices: []string{"yes", "no"}},
		{Name: "silent", Title: "Not reporting", Kind: page.Flag, Hidden: true},
		{Name: "attention", Title: "Needs attention", Kind: page.Flag, Hidden: true},
		{Name: "retired", Title: "Retired", Kind: page.Time, Hidden: true, Choices: []string{"yes", "no"}},
		{Name: "simulated", Title: "Simulated", Kind: page.Flag, Hidden: true},
		{Name: "id", Title: "Id", Hidden: true},
	}
}

func list() *page.Page {
	return &page.Page{
		Path: "/computers", Title: "Computers",
		Help: page.Help{
			Text:    "Every computer that this site manages, with what it misses. Search by name, address or serial number, filter by any fact, and put computers into groups: windows, operators and reports can be limited to them.",
			Command: []string{"thatch computers list --filter 'missing=>0' --sort -critical", "thatch computers move pc-17 berlin", "thatch computers scan --group berlin"},
		},
		List: &page.List{
			Path: "/computers", Key: "id", Sort: "computer", Limit: 75, Columns: columns(),
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Needs attention", Query: "attention=true&sort=-exploited"},
				{Title: "Exploited and open", Query: "exploited=>0&sort=-exploited"},
				{Title: "Not reporting", Query: "silent=true&sort=last_seen"},
				{Title: "Cannot tell", Query: "unknown=>0&sort=-unknown"},
				{Title: "Doubtful", Query: "doubt=yes&columns=computer,group,product,last_seen,doubt"},
				{Title: "Retired", Query: "retired=yes&columns=computer,group,product,last_seen,retired"},
			},
			Actions: []page.Action{
				scanNow, cycle,
				{Name: "move", Call: "PUT /computers/{key}", Title: "Move computers", Fields: []page.Field{{Name: "group", Title: "to group"}}},
				{
					Name: "retire", Title: "Retire", Scope: identity.Administrator, Call: "POST /computers/{key}/retire", Danger: true,
					Confirm: "Retire the chosen computers? Their certificates are revoked at once, and they are counted no more. To come back, an agent must enrol anew.",
				},
			},
			Empty: "No computer is managed yet. Make a token on the page Add computers, and run the lines shown there on a computer.",
			Head:  head,
		},
		Acts: with(prompting(), map[string]page.Act{
			"move":   {Scope: identity.Operate, Do: move},
			"retire": {Scope: identity.Administrator, Do: retire},
		}),
	}
}

func with(acts, more map[string]page.Act) map[string]page.Act {
	maps.Copy(acts, more)
	return acts
}

// maxGroups is how many groups are shown at once; the others are behind a click.
const maxGroups = 12

// heading is what stands above the list.
type heading struct {
	All         reports.Group
	Groups, Few []*reports.Group // all, and the first of them
	Group       string           // the list is of this one
	MayAdd      bool
	Prompted    int // computers that were asked for something and have not done it yet
}

func head(q *page.Request) (string, any, error) {
	groups, err := page.Get[api.List[*reports.Group]](q, "/computer-groups", "sort", "-computers", "limit", "500")
	if err != nil {
		return "", nil, err
	}
	h := heading{Groups: groups.Items, Group: q.Arg("group"), MayAdd: q.Allows("POST /tokens/enrolment")}
	for _, g := range groups.Items {
		h.All.Computers += g.Computers
		h.All.Attention += g.Attention
		h.All.Exploited += g.Exploited
		h.All.Silent += g.Silent
		h.All.Unknown += g.Unknown
		h.All.Complete += g.Complete
	}
	under, err := page.Get[api.List[*prompts.Row]](q, "/computer-prompts", "state", "asked,told", "limit", "1")
	if err != nil {
		return "", nil, err
	}
	h.Prompted = under.Total
	h.Few = h.Groups[:min(len(h.Groups), maxGroups)]
	h.Groups = h.Groups[len(h.Few):]
	return "computers-head.html", h, nil
}

// each does something to every chosen computer, and stops at the first error.
func each(q *page.Request, act func(id string) error) (int, error) {
	chosen, err := q.Chosen(q.T("Choose at least one computer."))
	if err != nil {
		return 0, err
	}
	for _, id := range chosen {
		if err := act(id); err != nil {
			return 0, err
		}
	}
	return len(chosen), nil
}

func move(q *page.Request) (page.Outcome, error) {
	n, err := each(q, func(id string) error {
		_, err := page.Send[api.None](q, http.MethodPut, page.To("computers", id), api.ComputerChange{Group: q.Form("group")})
		return err
	})
	return page.Outcome{Note: q.Words.Count("1 computer was moved.", "%s computers were moved.", n)}, err
}

func retire(q *page.Request) (page.Outcome, error) {
	n, err := each(q, func(id string) error {
		_, err := page.Send[api.None](q, http.MethodPost, page.To("computers", id, "retire"), api.Seen{})
		return err
	})
	return page.Outcome{Note: q.Words.Count("1 computer was retired.", "%s computers were retired.", n)}, err
}
