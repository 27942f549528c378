package sites

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"thatch/console/api"
	"thatch/console/api/links"
	"thatch/console/api/payloads"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/settings"
	"thatch/node/sites"
	"thatch/replication"
	"thatch/replication/round"
)

// ruleTypes are what rules are about.
var ruleTypes = []string{"languages", "data", "policies", "settings"}

// runColumns are those of the history of links.
var runColumns = []page.Column{
	{Name: "started", Title: "Started", Kind: page.Time, Link: "/replication/runs/{id}"},
	{Name: "site", Title: "Site", Link: "/sites/{neighbour}", Unsorted: true, Unfiltered: true},
	{Name: "direction", Title: "Direction", Kind: page.Word, Choices: []string{"down", "up"}, Groups: true},
	{Name: "type", Title: "Type", Kind: page.Word, Choices: ruleTypes, Groups: true},
	{Name: "mode", Title: "Mode", Kind: page.Word, Choices: []string{"differential", "complete"}, Groups: true},
	{Name: "state", Title: "State", Kind: page.State, Choices: []string{"done", "failed", "cancelled"}, Groups: true},
	{Name: "documents", Title: "Documents", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "removed", Title: "Removed", Kind: page.Number, Unsorted: true, Unfiltered: true, Hidden: true},
	{Name: "bytes", Title: "Bytes", Kind: page.Bytes, Unsorted: true, Unfiltered: true},
	{Name: "seconds", Title: "Seconds", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "verified", Title: "Verified", Kind: page.State, Unsorted: true, Unfiltered: true},
	{Name: "repaired", Title: "Repaired", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "refused", Title: "Refused", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "error", Title: "Reason", Kind: page.Said, Unsorted: true, Unfiltered: true},
}

// replicationView is the page of replication.
type replicationView struct {
	Link        *replication.State // with the parent; nil: there is none
	Rules       []ruleGroup        // of this site
	Children    []sites.Child
	Standards   []standard
	Runs        []links.Ran
	Quarantined int
	Awaited     payloads.Standing
	Types       []string
}

// ruleGroup is the rules of one type.
type ruleGroup struct {
	Type  string
	Rules []ruleRow
}

// ruleRow is a rule, and the names of those that it is for.
type ruleRow struct {
	sites.Rule
	For string
}

// standard is one of the two standard schedules.
type standard struct {
	settings.Entry
	Line string
}

func overview() *page.Page {
	return &page.Page{
		Path: "/replication", Title: "Replication",
		Help: page.Help{
			Text:    "What passes between this site and those above and below: the rules of what is sent and when, the runs with what they moved, and verification, which compares what both sides really hold. Run language alerting before data and policies: children receive only what is in their languages.",
			Command: []string{"thatch replication rules list", "thatch replication run --children", "thatch replication verify --children", "thatch replication runs"},
		},
		Show: showReplication,
		Acts: map[string]page.Act{
			"run":      {Scope: identity.Operate, Do: replicate},
			"on":       {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) { return switchRule(q, true) }},
			"off":      {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) { return switchRule(q, false) }},
			"standard": {Scope: identity.Administrator, Do: setStandard},
		},
	}
}

func showReplication(q *page.Request) (*page.View, error) {
	v := replicationView{Types: ruleTypes}
	link, err := page.Get[replication.State](q, "/replication/link")
	if err != nil {
		return nil, err
	}
	if link.Parent != "" {
		v.Link = &link
	}
	if err := v.readRules(q); err != nil {
		return nil, err
	}
	all, err := page.Get[api.List[settings.Entry]](q, "/settings")
	if err != nil {
		return nil, err
	}
	for _, e := range all.Items {
		if e.Name == settings.DifferentialSchedule.Name || e.Name == settings.CompleteSchedule.Name {
			line := standard{Entry: e}
			if err := json.Unmarshal(e.Value, &line.Line); err != nil {
				return nil, err
			}
			v.Standards = append(v.Standards, line)
		}
	}
	slices.Reverse(v.Standards) // differential first
	runs, err := page.Get[api.List[links.Ran]](q, "/replication/runs", "limit", "10")
	if err != nil {
		return nil, err
	}
	v.Runs = runs.Items
	aside, err := page.Get[api.List[replicas.Quarantined]](q, "/replication/quarantine", "limit", "1")
	if err != nil {
		return nil, err
	}
	v.Quarantined = aside.Total
	v.Awaited, err = page.Get[payloads.Standing](q, "/content/awaited")
	return &page.View{Template: "sites-replication.html", Data: v}, err
}

func (v *replicationView) readRules(q *page.Request) error {
	children, err := page.Get[api.List[sites.Child]](q, "/children", "limit", "500")
	if err != nil {
		return err
	}
	v.Children = children.Items
	names := map[string]string{}
	for i := range children.Items {
		names[children.Items[i].ID] = children.Items[i].Name
	}
	rules, err := page.Get[api.List[sites.Rule]](q, "/replication/rules", "limit", "500")
	if err != nil {
		return err
	}
	for _, name := range ruleTypes {
		group := ruleGroup{Type: name}
		for _, rule := range rules.Items {
			if rule.Type == name {
				group.Rules = append(group.Rules, ruleRow{rule, audience(q, rule, names)})
			}
		}
		if group.Rules != nil {
			v.Rules = append(v.Rules, group)
		}
	}
	return nil
}

// audience names the children that a rule is for.
func audience(q *page.Request, rule sites.Rule, names map[string]string) string {
	if rule.Children == nil {
		return q.T("all children")
	}
	if len(rule.Children) == 0 {
		return q.T("nobody")
	}
	list := make([]string, 0, len(rule.Children))
	for _, id := range rule.Children {
		if names[id] != "" {
			id = names[id]
		}
		list = append(list, id)
	}
	return strings.Join(list, ", ")
}

// replicate starts a round as the form says, and shows the run.
func replicate(q *page.Request) (page.Outcome, error) {
	p := round.Params{Complete: q.Form("complete") != "", Repair: q.Form("repair") != ""}
	switch with := q.Form("with"); with {
	case "parent":
	case "children":
		p.Children = true
	default:
		p.Child = with
	}
	for _, name := range q.Forms("type") {
		p.Types = append(p.Types, dataset.Type(name))
	}
	var err error
	if p.Verify, err = q.Number("verify"); err != nil {
		return page.Outcome{}, err
	}
	return startRound(q, p)
}

func switchRule(q *page.Request, on bool) (page.Outcome, error) {
	verb, note := "disable", "%s sends nothing from now on, and removes nothing."
	if on {
		verb, note = "enable", "%s is on."
	}
	rule, err := page.Send[sites.Rule](q, http.MethodPost, page.To("replication", "rules", q.Form("rule"), verb), nil)
	return page.Outcome{Note: q.T(note, rule.Name)}, err
}

// setStandard changes one of the two standard schedules.
func setStandard(q *page.Request) (page.Outcome, error) {
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	name := q.Form("setting")
	if name != settings.DifferentialSchedule.Name && name != settings.CompleteSchedule.Name {
		return page.Outcome{}, page.Refuse(q.T("%q is no standard schedule.", name))
	}
	value, err := json.Marshal(q.Form("schedule"))
	if err != nil {
		return page.Outcome{}, err
	}
	_, err = page.Send[settings.Entry](q, http.MethodPut, page.To("settings", name), api.SettingChange{Value: value, Version: &version})
	return page.Outcome{Note: q.T("The standard schedule is kept. Rules that follow it follow it from now on.")}, err
}

func linkRuns() *page.Page {
	return &page.Page{
		Path: "/replication/runs", Nav: "/replication", Title: "Runs of replication",
		Help: page.Help{
			Text:    "What went over the links with parent and children, newest first: documents and bytes, how long it took, what a verification found and repaired, what was refused.",
			Command: []string{"thatch replication runs", "thatch replication runs --filter state=failed"},
		},
		List: &page.List{
			Path: "/replication/runs", Key: "id", Columns: runColumns,
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "Failed", Query: "state=failed"},
				{Title: "Complete", Query: "mode=complete"},
				{Title: "By type", Query: "grouped=type"},
			},
			Empty: "Nothing passed over a link yet.",
		},
	}
}

func linkRun() *page.Page {
	return &page.Page{
		Path: "/replication/runs/{id}", Nav: "/replication", Title: "Run of replication",
		Help: page.Help{
			Text:    "One run over a link: what it moved, and where it verified, the digest of what each side holds. Equal digests prove that both hold the same.",
			Command: []string{"thatch replication runs --filter id=RUN --json", "thatch replication digest --help"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			run, err := page.Get[links.Ran](q, page.To("replication", "runs", q.Var("id")))
			return &page.View{
				Template: "sites-run.html", Data: run, Title: q.T(run.Type) + " · " + run.Site,
				Crumbs: []page.Link{{Text: q.T("Replication"), To: "/replication"}, {Text: q.T("Runs"), To: "/replication/runs"}},
			}, err
		},
	}
}

func quarantine() *page.Page {
	return &page.Page{
		Path: "/replication/quarantine", Nav: "/replication", Title: "Quarantine",
		Help: page.Help{
			Text:    "Documents that this site did not accept from a neighbour, with the reason: a wrong digest or signature, an unknown key, a size or content that its rules refuse. They harm nothing here. When the reason is seen to, have them tried again.",
			Command: []string{"thatch replication quarantine list", "thatch replication quarantine retry"},
		},
		List: &page.List{
			Path: "/replication/quarantine", Key: "id",
			Columns: []page.Column{
				{Name: "id", Title: "Document", Wide: true},
				{Name: "kind", Title: "Kind", Groups: true},
				{Name: "type", Title: "Type", Kind: page.Word, Groups: true},
				{Name: "direction", Title: "Direction", Kind: page.Word, Choices: []string{"down", "up"}},
				{Name: "reason", Title: "Reason", Kind: page.Word, Groups: true},
				{Name: "detail", Title: "Detail", Kind: page.Said, Wide: true},
				{Name: "neighbour", Title: "Site", Link: "/sites/{neighbour}", Hidden: true, Groups: true},
				{Name: "origin", Title: "Made by", Hidden: true, Link: "/sites/{origin}"},
				{Name: "since", Title: "Since", Kind: page.Time, Unsorted: true, Unfiltered: true},
			},
			Views:   []page.ListView{{Title: "All", Query: ""}, {Title: "By reason", Query: "grouped=reason"}, {Title: "By kind", Query: "grouped=kind"}},
			Actions: []page.Action{{Name: "retry", Title: "Try again", Call: "POST /replication/quarantine/retry"}},
			Empty:   "Nothing is in quarantine: everything that neighbours sent was accepted.",
		},
		Acts: map[string]page.Act{"retry": {Scope: identity.Operate, Do: retry}},
	}
}

// retry has the chosen documents tried again with the next run.
func retry(q *page.Request) (page.Outcome, error) {
	chosen := q.Forms("key")
	if len(chosen) == 0 {
		return page.Outcome{}, page.Refuse(q.T("Choose documents first."))
	}
	all, err := page.Get[api.List[replicas.Quarantined]](q, "/replication/quarantine", "limit", strconv.Itoa(500))
	if err != nil {
		return page.Outcome{}, err
	}
	var again links.Again
	for _, aside := range all.Items {
		if slices.Contains(chosen, aside.ID) {
			again.Documents = append(again.Documents, aside.Key)
		}
	}
	if len(again.Documents) == 0 {
		return page.Outcome{}, page.Refuse(q.T("None of these is in quarantine any more."))
	}
	_, err = page.Send[api.None](q, http.MethodPost, "/replication/quarantine/retry", again)
	return page.Outcome{Note: q.Words.Count("1 document is tried again with the next run.", "%s documents are tried again with the next run.", len(again.Documents))}, err
}
