package sites

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"thatch/console/api"
	routes "thatch/console/api/hierarchy"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/rollups"
	"thatch/node/sites"
	"thatch/node/sites/hierarchy"
	"thatch/replication/round"
	"thatch/schedule"
)

// siteView is the page of one site.
type siteView struct {
	*branch
	Needed  []string // languages that sites below it manage
	Self    bool
	Parent  *hierarchy.Member
	Beneath []hierarchy.Member // directly
	Figures *rollups.SiteRow   // nil: none is known
	Child   *sites.Child       // nil: it is no child of this site
	Rules   []sites.Rule       // that reach it
	Runs    *page.Table
	Alarms  []alarmLine
	Windows string // of the link, one in a line
	Rate    string // of the link, kilobytes per second
}

// alarmLine is an alarm at a site, or here about it.
type alarmLine struct{ Kind, Text, Since, Advice string }

func oneSite() *page.Page {
	return &page.Page{
		Path: "/sites/{id}", Nav: "/hierarchy", Title: "Site",
		Help: page.Help{
			Text:    "Everything that is known here of one site: how it fares, what it manages, how its computers are patched, what passed over its link, and which rules reach it.",
			Command: []string{"thatch children show Berlin", "thatch compliance tree sites --of Berlin", "thatch children limit Berlin --rate 500k", "thatch replication verify --child Berlin"},
		},
		Show: showSite,
		Acts: map[string]page.Act{
			"rename": {Scope: identity.Administrator, Do: renameChild},
			"limit":  {Scope: identity.Administrator, Do: limitChild},
			"revoke": {Scope: identity.Administrator, Do: revokeChild},
			"remove": {Scope: identity.Administrator, Do: removeChild},
			"replicate": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) {
				return startRound(q, round.Params{Child: q.Var("id")})
			}},
			"verify": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) {
				return startRound(q, round.Params{Child: q.Var("id"), Verify: 100, Repair: q.Form("repair") != ""})
			}},
		},
	}
}

func showSite(q *page.Request) (*page.View, error) {
	h, err := page.Get[hierarchy.Hierarchy](q, "/hierarchy")
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(h.Sites, func(m hierarchy.Member) bool { return m.ID == q.Var("id") })
	if at < 0 {
		return nil, &api.Error{Status: http.StatusNotFound, Code: "not_found", Text: q.T("There is no site %q in the tree. It may have left.", q.Var("id"))}
	}
	m := &h.Sites[at]
	v := siteView{branch: branchOf(m), Needed: m.Below, Self: m.ID == h.Self}
	for i := range h.Sites {
		switch {
		case h.Sites[i].ID == m.Parent:
			v.Parent = &h.Sites[i]
		case h.Sites[i].Parent == m.ID:
			v.Beneath = append(v.Beneath, h.Sites[i])
		}
	}
	v.Alarms = alarmsOf(h, m)
	if err := v.read(q); err != nil {
		return nil, err
	}
	crumbs := []page.Link{{Text: q.T("Hierarchy"), To: "/hierarchy"}}
	if v.Parent != nil {
		crumbs = append(crumbs, page.Link{Text: v.Parent.Name, To: page.To("sites", v.Parent.ID)})
	}
	return &page.View{Template: "sites-site.html", Title: m.Name, Data: v, Crumbs: crumbs}, nil
}

// read asks for what the tree does not tell: figures, and of a neighbour its link.
func (v *siteView) read(q *page.Request) error {
	if v.Relation != "above" && v.Relation != "parent" {
		figures, err := page.Get[api.List[*rollups.SiteRow]](q, "/compliance/tree/sites", "of", v.ID, "limit", "1")
		if err != nil && api.AsError(err).Status != http.StatusNotFound {
			return err
		}
		if len(figures.Items) > 0 && figures.Items[0].ID == v.ID {
			v.Figures = figures.Items[0]
		}
	}
	if v.Link == nil {
		return nil
	}
	var err error
	if v.Runs, err = q.Table(&page.List{
		Path: "/replication/runs", Args: []string{"neighbour", v.ID}, Key: "id", Limit: 10, Columns: siteRunColumns(),
		Empty: "Nothing passed over this link yet.",
	}); err != nil {
		return err
	}
	if v.Relation != "child" {
		return nil
	}
	child, err := page.Get[sites.Child](q, page.To("children", v.ID))
	if err != nil {
		return err
	}
	v.Child = &child
	v.Rate = strconv.FormatInt(child.Limits.Rate/1000, 10)
	for _, w := range child.Limits.Windows {
		v.Windows += w.Name + "\n"
	}
	rules, err := page.Get[api.List[sites.Rule]](q, "/replication/rules", "limit", "500")
	for _, rule := range rules.Items {
		if rule.Children == nil || slices.Contains(rule.Children, v.ID) {
			v.Rules = append(v.Rules, rule)
		}
	}
	return err
}

// siteRunColumns are those of the runs with one neighbour.
func siteRunColumns() []page.Column {
	return slices.DeleteFunc(slices.Clone(runColumns), func(c page.Column) bool { return c.Name == "site" })
}

// alarmsOf are what a site told of itself, and what stands here about it.
func alarmsOf(h hierarchy.Hierarchy, m *hierarchy.Member) []alarmLine {
	var lines []alarmLine
	for _, a := range h.Alarms {
		subject, _, _ := strings.Cut(a.Subject, " ")
		if m.ID == h.Self || subject == m.ID {
			lines = append(lines, alarmLine{a.Kind, a.Text, a.Since.Format("2006-01-02T15:04:05Z07:00"), a.Advice})
		}
	}
	if m.Health != nil && m.ID != h.Self {
		for _, a := range m.Health.Alarms {
			lines = append(lines, alarmLine{Kind: a.Kind, Text: a.Text, Since: a.Since})
		}
	}
	return lines
}

func renameChild(q *page.Request) (page.Outcome, error) {
	child, err := page.Send[sites.Child](q, http.MethodPut, page.To("children", q.Var("id")), routes.ChildChange{Name: q.Form("name")})
	return page.Outcome{Note: q.T("It is called %s here now.", child.Name)}, err
}

func limitChild(q *page.Request) (page.Outcome, error) {
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	limits := sites.Limits{}
	if text := q.Form("rate"); text != "" {
		kilobytes, err := strconv.ParseInt(text, 10, 40)
		if err != nil || kilobytes < 0 {
			return page.Outcome{}, page.Refuse(q.T("%q is no number of kilobytes per second.", text))
		}
		limits.Rate = 1000 * kilobytes
	}
	for line := range strings.Lines(q.Form("windows")) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		w, err := schedule.ParseWindow(line)
		if err != nil {
			return page.Outcome{}, page.Refuse(err.Error())
		}
		limits.Windows = append(limits.Windows, w)
	}
	_, err = page.Send[sites.Child](q, http.MethodPut, page.To("children", q.Var("id")), routes.ChildChange{Limits: &limits, Version: &version})
	return page.Outcome{Note: q.T("The link is used within these limits from now on.")}, err
}

func revokeChild(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[sites.Child](q, http.MethodPost, page.To("children", q.Var("id"), "revoke"), routes.Revocation{Reason: q.Form("reason")})
	return page.Outcome{Note: q.T("The site is shut out. Remove it, so that it may join again with a new token.")}, err
}

func removeChild(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodDelete, page.To("children", q.Var("id")), nil)
	return page.Outcome{To: "/hierarchy", Note: q.T("The site is removed. It may join again with a new token.")}, err
}

// startRound replicates or verifies now, and shows the run.
func startRound(q *page.Request, p round.Params) (page.Outcome, error) {
	run, err := page.Send[api.Run](q, http.MethodPost, "/replication/rounds", p)
	return page.Outcome{To: page.To("tasks", "runs", run.Run)}, err
}
