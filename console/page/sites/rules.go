package sites

import (
	"net/http"
	"slices"

	"thatch/console/api"
	routes "thatch/console/api/hierarchy"
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/sites"
)

// ruleView is the page of a rule, or of one that is to be.
type ruleView struct {
	sites.Rule
	New       bool
	Types     []string
	Children  []choice
	Documents []choice // of which it may select some
	Own       string   // schedule of its own, "" it follows another
	Follows   string   // at-once, differential, complete, own
	AllKids   bool
	AllDocs   bool
}

// choice is a check box.
type choice struct {
	Value, Text string
	On          bool
}

var ruleHelp = page.Help{
	Text:    "A replication rule: what is sent to which children, when, how much is compared, and how much each run verifies. Differential sends what is new or changed since the last run; complete compares everything. A rule that is off sends nothing and removes nothing.",
	Command: []string{`thatch replication rules create --name "Data at night" --type data --children Berlin --schedule "0 1 * * *" --verify 20`, "thatch replication rules change RULE --verify 100"},
}

func newRule() *page.Page {
	return &page.Page{
		Path: "/replication/rules/new", Nav: "/replication", Title: "New rule", Scope: identity.Administrator, Takes: "POST /replication/rules", Help: ruleHelp,
		Show: func(q *page.Request) (*page.View, error) {
			rule := sites.Rule{Type: q.Value("type", q.Arg("type")), Enabled: true, Mode: sites.Differential, Verify: 10}
			if !slices.Contains(ruleTypes, rule.Type) {
				rule.Type = "data"
			}
			return showRule(q, rule, true)
		},
		Acts: map[string]page.Act{"create": {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) {
			rule, err := formRule(q)
			if err != nil {
				return page.Outcome{}, err
			}
			made, err := page.Send[sites.Rule](q, http.MethodPost, "/replication/rules", rule)
			return page.Outcome{To: page.To("replication", "rules", made.ID), Note: q.T("The rule is made.")}, err
		}}},
	}
}

func oneRule() *page.Page {
	return &page.Page{
		Path: "/replication/rules/{id}", Nav: "/replication", Title: "Rule", Help: ruleHelp,
		Show: func(q *page.Request) (*page.View, error) {
			rule, err := page.Get[sites.Rule](q, page.To("replication", "rules", q.Var("id")))
			if err != nil {
				return nil, err
			}
			return showRule(q, rule, false)
		},
		Acts: map[string]page.Act{
			"save": {Scope: identity.Administrator, Do: saveRule},
			"delete": {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) {
				_, err := page.Send[api.None](q, http.MethodDelete, page.To("replication", "rules", q.Var("id")), nil)
				return page.Outcome{To: "/replication", Note: q.T("The rule is deleted. What no other rule sends is removed from the children.")}, err
			}},
		},
	}
}

func showRule(q *page.Request, rule sites.Rule, isNew bool) (*page.View, error) {
	v := ruleView{Rule: rule, New: isNew, Types: ruleTypes, AllKids: rule.Children == nil, AllDocs: rule.Documents == nil}
	v.Follows = "own"
	switch rule.Schedule {
	case sites.StandardDifferential, sites.StandardComplete:
		v.Follows = rule.Schedule
	case "":
		v.Follows = "at-once"
	default:
		v.Own = rule.Schedule
	}
	if q.Sent() { // as it was written
		v.AllKids, v.AllDocs, v.Follows = q.Form("who") != "some", q.Form("what") != "some", q.Form("follows")
		rule.Children, rule.Documents, v.Enabled = q.Forms("child"), q.Forms("document"), q.Form("enabled") != ""
	}
	children, err := page.Get[api.List[sites.Child]](q, "/children", "limit", "500")
	if err != nil {
		return nil, err
	}
	for i := range children.Items {
		c := &children.Items[i]
		v.Children = append(v.Children, choice{c.ID, c.Name, slices.Contains(rule.Children, c.ID)})
	}
	if v.Documents, err = selectable(q, rule); err != nil {
		return nil, err
	}
	title := q.T("New rule")
	if !isNew {
		title = rule.Name
	}
	return &page.View{
		Template: "sites-rule.html", Data: v, Title: title, Crumbs: []page.Link{{Text: q.T("Replication"), To: "/replication"}},
	}, nil
}

// selectable are the documents of which a rule may select some: policies, or settings that are documents.
func selectable(q *page.Request, rule sites.Rule) ([]choice, error) {
	var found []choice
	add := func(kind, id, text string) {
		value := kind + "/" + id
		found = append(found, choice{value, text, slices.Contains(rule.Documents, value)})
	}
	switch rule.Type {
	case "policies":
		all, err := page.Get[api.List[*policies.PolicyRow]](q, "/policies", "limit", "500")
		if err != nil {
			return nil, err
		}
		for _, p := range all.Items {
			add("policy", p.ID, p.Name)
		}
	case "settings":
		severities, err := page.Get[api.List[*bulletins.SeverityRow]](q, "/severities", "limit", "500")
		if err != nil {
			return nil, err
		}
		for _, s := range severities.Items {
			add("severity", s.ID, q.T("Custom severity")+": "+s.Name)
		}
		all, err := page.Get[api.List[*windows.Row]](q, "/windows", "limit", "500")
		if err != nil {
			return nil, err
		}
		for _, w := range all.Items {
			add("window", w.ID, q.T("Maintenance window")+": "+w.Name)
		}
	}
	return found, nil
}

// formRule reads a rule from its form.
func formRule(q *page.Request) (sites.Rule, error) {
	rule := sites.Rule{
		Name: q.Form("name"), Type: q.Form("type"), Enabled: q.Form("enabled") != "", Mode: sites.Mode(q.Form("mode")),
	}
	if q.Form("who") == "some" {
		if rule.Children = q.Forms("child"); len(rule.Children) == 0 {
			return rule, page.Refuse(q.T("Choose the children that the rule is for, or all of them."))
		}
	}
	if q.Form("what") == "some" {
		if rule.Documents = q.Forms("document"); len(rule.Documents) == 0 {
			return rule, page.Refuse(q.T("Choose what the rule sends, or everything."))
		}
	}
	switch follows := q.Form("follows"); follows {
	case "at-once":
	case "own":
		if rule.Schedule = q.Form("schedule"); rule.Schedule == "" {
			return rule, page.Refuse(q.T("Write the rule's own schedule, or have it follow a standard one."))
		}
	default:
		rule.Schedule = follows
	}
	var err error
	rule.Verify, err = q.Number("verify")
	return rule, err
}

func saveRule(q *page.Request) (page.Outcome, error) {
	rule, err := formRule(q)
	if err != nil {
		return page.Outcome{}, err
	}
	from, err := q.Number("from")
	if err != nil {
		return page.Outcome{}, err
	}
	_, err = page.Send[sites.Rule](q, http.MethodPut, page.To("replication", "rules", q.Var("id")), routes.RuleChange{Rule: rule, From: &from})
	return page.Outcome{Note: q.T("The rule is kept.")}, err
}
