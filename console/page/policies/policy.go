package policies

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"thatch/console/api"
	ordered "thatch/console/api/policies"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/outlook"
)

const policyPath = "/policies/{id}"

// policyPages are the pages of one policy.
func policyPages() []*page.Page {
	return []*page.Page{policyPage(), policyUpdates(), policyComputers(), policyHistory(), policyChange(), policyRevise()}
}

// policyData is what the pages of a policy share.
type policyData struct {
	*policies.Detail
	Tab   string
	Own   bool // this site made it
	Left  bool // a former parent of this site made it: nothing but deleting is left
	Table *page.Table
}

// readPolicy reads the policy of a page.
func readPolicy(q *page.Request, tab string) (*policyData, error) {
	d, err := page.Get[*policies.Detail](q, page.To("policies", q.Var("id")))
	if err != nil {
		return nil, err
	}
	data := &policyData{Detail: d, Tab: tab, Own: !d.FromAbove}
	if d.FromAbove {
		_, err := q.Ask(http.MethodGet, "/parent", nil, nil)
		if err != nil && api.AsError(err).Status != http.StatusNotFound {
			return nil, err
		}
		data.Left = err != nil
	}
	return data, nil
}

// view shows a tab of a policy.
func (d *policyData) view(q *page.Request, template string, data any) *page.View {
	return &page.View{Template: template, Data: data, Title: d.Name, Crumbs: wizardCrumbs(q)}
}

// Switchable says whether this site may switch the policy for itself.
func (d *policyData) Switchable() bool { return !d.Left && (d.Own || d.Local) }

// Deletable says whether the policy may be deleted here.
func (d *policyData) Deletable() bool { return d.Own || d.Left }

// IsOn and IsHeld are what the switches of this site stand at.
func (d *policyData) IsOn() bool { return d.Here.Enabled }

// IsHeld says whether this site pauses it.
func (d *policyData) IsHeld() bool { return d.Here.Paused }

// Bar is how many twentieths are done; -1: there is nothing to do.
func (d *policyData) Bar() int {
	if d.Percent == nil {
		return -1
	}
	return int(*d.Percent / 5)
}

// Outdated counts updates of which the catalog holds another revision, or none.
func (d *policyData) Outdated() (n int) {
	for _, u := range d.UpdateList {
		if u.Outdated {
			n++
		}
	}
	return n
}

// TakenOut counts updates that are not to be installed.
func (d *policyData) TakenOut() (n int) {
	for _, u := range d.UpdateList {
		if !u.Enabled {
			n++
		}
	}
	return n
}

func policyPage() *page.Page {
	return &page.Page{
		Path: policyPath, Nav: "/policies", Title: "Policy",
		Help: page.Help{
			Text:    "What a policy orders, for whom, how far it is and what it waits for. Pausing holds installs and keeps what is downloaded; switching off takes the order back; deleting uninstalls nothing.",
			Command: []string{"thatch policies show February", "thatch policies pause February", "thatch policies sites February"},
		},
		Show: showPolicy,
		Acts: map[string]page.Act{
			"enable": policyVerb("enable", "%s is switched on."), "disable": policyVerb("disable", "%s is switched off."),
			"pause": policyVerb("pause", "%s is paused."), "resume": policyVerb("resume", "%s goes on."),
			"delete": {Do: deletePolicy},
		},
	}
}

// policyVerb makes what switches the policy of a page, from the version that was seen.
func policyVerb(verb, note string) page.Act {
	return page.Act{Do: func(q *page.Request) (page.Outcome, error) {
		version, err := seen(q)
		if err != nil {
			return page.Outcome{}, err
		}
		now, err := page.Send[*policies.Detail](q, http.MethodPost, page.To("policies", q.Var("id"), verb), api.Seen{Version: version})
		if err != nil {
			return page.Outcome{}, err
		}
		return page.Outcome{Note: q.T(note, now.Name)}, nil
	}}
}

// seen is the version that a form was filled in from; 0: it does not say.
func seen(q *page.Request) (int64, error) {
	if q.Form("version") == "" {
		return 0, nil
	}
	version, err := q.Version()
	return int64(version), err
}

func deletePolicy(q *page.Request) (page.Outcome, error) {
	query := url.Values{}
	if version := q.Form("version"); version != "" {
		query.Set("version", version)
	}
	if _, err := q.Ask(http.MethodDelete, page.To("policies", q.Var("id")), query, nil); err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{To: "/policies", Note: q.T("%s is deleted.", q.Form("called"))}, nil
}

// overview is what the first page of a policy shows.
type overview struct {
	*policyData
	Tree  *page.Table
	Below bool // other sites are known
	Acts  []*ordered.Event
}

func showPolicy(q *page.Request) (*page.View, error) {
	d, err := readPolicy(q, "")
	if err != nil {
		return nil, err
	}
	o := overview{policyData: d}
	tree, err := page.Get[api.List[*ordered.Site]](q, page.To("policies", d.ID, "sites"), "limit", "500")
	if err != nil {
		return nil, err
	}
	o.Below = len(tree.Items) > 1
	o.Tree = q.Grid(tree.Items,
		page.Column{Name: "site", Title: "Site", Link: "/sites/{id}", Wide: true},
		page.Column{Name: "computers", Title: "Computers", Kind: page.Number},
		page.Column{Name: "applicable", Title: "Need it", Kind: page.Number},
		page.Column{Name: "installed", Title: "Installed", Kind: page.Number},
		page.Column{Name: "missing", Title: "Missing", Kind: page.Number},
		page.Column{Name: "failed", Title: "Failed", Kind: page.Number},
		page.Column{Name: "as_of", Title: "As of", Kind: page.Ago})
	events, err := page.Get[api.List[*ordered.Event]](q, page.To("policies", d.ID, "history"), "limit", "5")
	if err != nil {
		return nil, err
	}
	o.Acts = events.Items
	return d.view(q, "policy.html", o), nil
}

// tab shows a list of the API below a policy.
func tab(name string, list *page.List, data func(d *policyData, list *page.List) *page.List) func(q *page.Request) (*page.View, error) {
	return func(q *page.Request) (*page.View, error) {
		d, err := readPolicy(q, name)
		if err != nil {
			return nil, err
		}
		shown := list
		if data != nil {
			shown = data(d, list)
		}
		if d.Table, err = q.Table(shown); err != nil {
			return nil, err
		}
		return d.view(q, "policy-tab.html", d), nil
	}
}

func policyUpdates() *page.Page {
	list := &page.List{
		Path: "/policies/{id}/updates", Key: "id",
		Columns: []page.Column{
			{Name: "update", Title: "Update", Link: "/updates/{id}", Wide: true},
			{Name: "product", Title: "Product", Groups: true},
			{Name: "enabled", Title: "Installed by it", Kind: page.Flag},
			{Name: "standing", Title: "In the catalog", Kind: page.State, Choices: []string{"current", "newer", "withdrawn", "gone"}, Groups: true},
			{Name: "languages", Title: "Languages"},
			{Name: "packages", Title: "Packages", Kind: page.Number, Hidden: true},
			{Name: "held", Title: "Held", Kind: page.Flag},
			{Name: "missing", Title: "Missing", Kind: page.Number},
			{Name: "failed", Title: "Failed", Kind: page.Number},
			{Name: "command_line", Title: "Command line"},
			{Name: "note", Title: "Note", Kind: page.Said},
			{Name: "outdated", Title: "Outdated", Kind: page.Flag, Hidden: true},
		},
		Views: []page.ListView{
			{Title: "All", Query: ""},
			{Title: "Outdated", Query: "outdated=true"},
			{Title: "Failed", Query: "failed=>0&sort=-failed"},
			{Title: "Left out", Query: "enabled=false"},
			{Title: "Not held", Query: "held=false"},
		},
		Actions: []page.Action{
			{Name: "include", Call: "PUT /policies/{id}", Title: "Install"},
			{Name: "exclude", Call: "PUT /policies/{id}", Title: "Do not install"},
			{Name: "command", Call: "PUT /policies/{id}", Title: "Set the command line", Fields: []page.Field{{Name: "command", Title: "Command line; empty: the vendor's"}}},
		},
		Empty: "It pins no updates.",
	}
	return &page.Page{
		Path: policyPath + "/updates", Nav: "/policies", Title: "Updates of a policy", List: list,
		Help: page.Help{
			Text:    "The updates that the policy pins, as they were when it was made or revised, and how the catalog stands to them now.",
			Command: []string{"thatch policies updates February --filter outdated=yes", "thatch policies change February --disable 17"},
		},
		Show: tab("updates", list, func(d *policyData, list *page.List) *page.List {
			if d.Own {
				return list
			}
			plain := *list
			plain.Actions = nil
			return &plain
		}),
		Acts: map[string]page.Act{
			"include": changeUpdates(func(_ *page.Request, ids []string) policies.Edit { return policies.Edit{Enable: ids} }),
			"exclude": changeUpdates(func(_ *page.Request, ids []string) policies.Edit { return policies.Edit{Disable: ids} }),
			"command": changeUpdates(func(q *page.Request, ids []string) policies.Edit {
				lines := make(map[string]string, len(ids))
				for _, id := range ids {
					lines[id] = q.Form("command")
				}
				return policies.Edit{Commands: lines}
			}),
		},
	}
}

// changeUpdates makes what changes the chosen updates of a policy.
func changeUpdates(edit func(q *page.Request, ids []string) policies.Edit) page.Act {
	return page.Act{Do: func(q *page.Request) (page.Outcome, error) {
		ids := q.Forms("key")
		if len(ids) == 0 {
			return page.Outcome{}, page.Refuse(q.T("Choose at least one update."))
		}
		_, err := page.Send[*policies.Detail](q, http.MethodPut, page.To("policies", q.Var("id")), ordered.PolicyChange{Edit: edit(q, ids)})
		return page.Outcome{Note: q.Words.Count("1 update is changed.", "%s updates are changed.", len(ids))}, err
	}}
}

func policyComputers() *page.Page {
	list := &page.List{
		Path: "/policies/{id}/computers", Key: "id",
		Columns: []page.Column{
			{Name: "computer", Title: "Computer", Link: "/computers/{id}", Wide: true},
			{Name: "state", Title: "State", Kind: page.State, Choices: []string{"done", "waiting", "failed"}, Groups: true},
			{Name: "missing", Title: "Missing", Kind: page.Number, Unsorted: true, Unfiltered: true},
			{Name: "group", Title: "Group", Groups: true},
			{Name: "platform", Title: "Platform", Groups: true},
			{Name: "language", Title: "Language", Groups: true},
		},
		Views: []page.ListView{
			{Title: "All", Query: ""}, {Title: "Waiting", Query: "state=waiting"}, {Title: "Failed", Query: "state=failed"}, {Title: "Done", Query: "state=done"},
		},
		Empty: "No computer of this site is meant now.",
	}
	return &page.Page{
		Path: policyPath + "/computers", Nav: "/policies", Title: "Computers of a policy", List: list, Show: tab("computers", list, nil),
		Help: page.Help{
			Text:    "The computers of this site that the policy is for, and how each stands with it.",
			Command: []string{"thatch policies computers February --filter state=failed"},
		},
	}
}

func policyHistory() *page.Page {
	list := &page.List{
		Path: "/policies/{id}/history", Key: "index",
		Columns: []page.Column{
			{Name: "at", Title: "When", Kind: page.Time},
			{Name: "by", Title: "Who", Kind: page.Said, Groups: true},
			{Name: "did", Title: "What", Kind: page.State, Groups: true},
			{Name: "action", Title: "In words", Kind: page.Said},
			{Name: "detail", Title: "Asked for", Wide: true},
		},
		Empty: "Nobody of this site did anything with it.",
	}
	return &page.Page{
		Path: policyPath + "/history", Nav: "/policies", Title: "History of a policy", List: list, Show: tab("history", list, nil),
		Help: page.Help{
			Text:    "What people of this site did with the policy, as the audit log has it, whatever it was called then.",
			Command: []string{"thatch policies history February"},
		},
	}
}

// reviseData is what revising would change.
type reviseData struct {
	*policyData
	R     *outlook.Revision
	Table *page.Table
}

func policyRevise() *page.Page {
	return &page.Page{
		Path: policyPath + "/revise", Nav: "/policies", Title: "Revise a policy", Scope: identity.Operate, Takes: "POST /policies/{id}/revise",
		Help: page.Help{
			Text:    "Revising pins the present revisions of what the policy was made from, and updates that its bulletins have since. What was set for single updates stays.",
			Command: []string{"thatch policies revise February --dry-run", "thatch policies revise February"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			d, err := readPolicy(q, "")
			if err != nil {
				return nil, err
			}
			r, err := page.Get[*outlook.Revision](q, page.To("policies", d.ID, "revision"))
			if err != nil {
				return nil, err
			}
			grid := q.Grid(r.Changes,
				page.Column{Name: "change", Title: "Change", Kind: page.State}, page.Column{Name: "update", Title: "Update", Link: "/updates/{id}", Wide: true},
				page.Column{Name: "product", Title: "Product"}, page.Column{Name: "were", Title: "Packages until now", Kind: page.Number},
				page.Column{Name: "packages", Title: "Packages", Kind: page.Number}, page.Column{Name: "added", Title: "New languages"})
			view := d.view(q, "policy-revise.html", reviseData{d, r, grid})
			view.Title = q.T("Revise %s", d.Name)
			view.Crumbs = append(view.Crumbs, page.Link{Text: d.Name, To: page.To("policies", d.ID)})
			return view, nil
		},
		Acts: map[string]page.Act{"revise": {Do: func(q *page.Request) (page.Outcome, error) {
			version, err := seen(q)
			if err != nil {
				return page.Outcome{}, err
			}
			made, err := page.Send[policies.Created](q, http.MethodPost, page.To("policies", q.Var("id"), "revise"), api.Seen{Version: version})
			return page.Outcome{
				To:   page.To("policies", q.Var("id")),
				Note: q.T("%s is revised.", made.Name) + " " + q.Words.Count("1 update is pinned otherwise.", "%s updates are pinned otherwise.", made.Changed),
			}, err
		}}},
	}
}

// changeFields are those of the form that changes a policy.
var changeFields = slices.Concat([]string{"name", "description", "attempts", "override", "local", "version"}, planFields, targetFields)

// changeData is what the form shows.
type changeData struct {
	*policyData
	F         fields
	Platforms []string
	Roles     []page.Option
}

func policyChange() *page.Page {
	return &page.Page{
		Path: policyPath + "/change", Nav: "/policies", Title: "Change a policy", Scope: identity.Operate, Takes: "PUT /policies/{id}",
		Help: page.Help{
			Text:    "Name, target and plan of a policy. Single updates are taken out, and given other command lines, on its page of updates; what it pins changes by revising alone.",
			Command: []string{"thatch policies change February --at 2026-12-01T22:00 --spread 30"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			d, err := readPolicy(q, "")
			if err != nil {
				return nil, err
			}
			f := asked(q, func(name string) bool { return slices.Contains(changeFields, name) })
			if !q.Sent() {
				f = fieldsOf(q, d.Detail)
			}
			view := d.view(q, "policy-change.html", changeData{d, f, platforms(f["platform"], nil), roles(q)})
			view.Title = q.T("Change %s", d.Name)
			view.Crumbs = append(view.Crumbs, page.Link{Text: d.Name, To: page.To("policies", d.ID)})
			return view, nil
		},
		Acts: map[string]page.Act{"change": {Do: changePolicy}},
	}
}

func fieldsOf(q *page.Request, d *policies.Detail) fields {
	f := fields{}
	f.set("name", d.Name)
	f.set("description", d.Description)
	f.set("version", strconv.FormatInt(d.Version, 10))
	f.setCount("attempts", d.Attempts)
	for name, on := range map[string]bool{"override": d.OverrideWindows, "local": d.Local} {
		if on {
			f.set(name, "yes")
		}
	}
	f.setPlan(q, d.Plan)
	f.setTarget(&d.Target, true)
	return f
}

func changePolicy(q *page.Request) (page.Outcome, error) {
	f := asked(q, func(name string) bool { return slices.Contains(changeFields, name) })
	former, err := page.Get[*policies.Detail](q, page.To("policies", q.Var("id")))
	if err != nil {
		return page.Outcome{}, err
	}
	version, err := seen(q)
	if err != nil {
		return page.Outcome{}, err
	}
	plan, err := f.plan(q)
	if err != nil {
		return page.Outcome{}, err
	}
	if before := fieldsOf(q, former); before.Get("at") == f.Get("at") && before.Get("clock") == f.Get("clock") && plan.When == former.Plan.When {
		plan.At = former.Plan.At // as it was written, also where it is past
	}
	attempts, err := f.count(q, "attempts")
	if err != nil {
		return page.Outcome{}, err
	}
	name, description, override, local := f.Get("name"), f.Get("description"), f.Get("override") != "", f.Get("local") != ""
	now, err := page.Send[*policies.Detail](q, http.MethodPut, page.To("policies", former.ID), ordered.PolicyChange{Version: version, Edit: policies.Edit{
		Name: &name, Description: &description, Target: f.target(true), Plan: plan, OverrideWindows: &override, Attempts: &attempts, Local: &local,
	}})
	if err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{To: page.To("policies", now.ID), Note: q.T("%s is changed.", now.Name)}, nil
}
