package sites

import (
	"net/http"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/console/api"
	routes "thatch/console/api/hierarchy"
	"thatch/console/page"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/sites"
	"thatch/node/sites/hierarchy"
)

// treeView is the page of the hierarchy.
type treeView struct {
	Self    hierarchy.Member
	Roots   []*branch
	Count   int
	Alarms  []sites.Alarm
	Matrix  matrix
	Tokens  []sites.Token
	Parent  *hierarchy.Member // the site above; nil: this one is the highest
	Address string            // at which others reach this node
	Health  healthSum
}

// healthSum counts what calls for attention in the tree.
type healthSum struct{ Silent, Behind, Different, Alarms int }

// branch is a site of the tree with those below it.
type branch struct {
	hierarchy.Member
	Heard     time.Time // last contact, or when it last told how it fares
	Direct    bool      // there is a link with it
	Alarming  int
	Digest    string // equal, different, "" not compared
	Compared  time.Time
	Machines  int // computers
	Failing   string
	HasHealth bool
	Below     []*branch
}

// silentAfter is how long a child may be silent before the tree marks it.
const silentAfter = 15 * time.Minute

func tree() *page.Page {
	return &page.Page{
		Path: "/hierarchy", Title: "Hierarchy",
		Help: page.Help{
			Text:    "The tree of sites: who stands above and below, which languages each manages and needs, when it was last heard of, how far behind it is, and whether both sides of its link hold the same. A site becomes a child with a token of its parent's administrator.",
			Command: []string{"thatch hierarchy", "thatch children tokens create --name Berlin", "thatch child join --parent https://central.example:8743 --token tc1-...", "thatch site languages --add fr"},
		},
		Show: showTree,
		Acts: map[string]page.Act{
			"token":    {Scope: identity.Administrator, Do: newChildToken},
			"revoke":   {Scope: identity.Administrator, Do: revokeChildToken},
			"language": {Scope: identity.Administrator, Do: addLanguage},
			"join":     {Scope: identity.Administrator, Do: join},
			"leave":    {Scope: identity.Administrator, Do: leave},
		},
	}
}

func showTree(q *page.Request) (*page.View, error) {
	h, err := page.Get[hierarchy.Hierarchy](q, "/hierarchy")
	if err != nil {
		return nil, err
	}
	v := treeView{Count: len(h.Sites), Alarms: h.Alarms}
	v.Roots = grow(q, h, &v)
	v.Matrix = languages(q, h)
	if q.Allows("GET /child-tokens") {
		tokens, err := page.Get[api.List[sites.Token]](q, "/child-tokens")
		if err != nil {
			return nil, err
		}
		v.Tokens = slices.DeleteFunc(tokens.Items, func(t sites.Token) bool {
			return t.Revoked || !t.Used.IsZero() || !t.Expires.After(q.Now())
		})
	}
	return &page.View{Template: "sites-hierarchy.html", Data: v}, nil
}

// grow makes branches of the members, which come in the order of the tree, and sums up what calls for attention.
func grow(q *page.Request, h hierarchy.Hierarchy, v *treeView) []*branch {
	var roots []*branch
	var path []*branch // to the last one
	for i := range h.Sites {
		m := &h.Sites[i]
		b := branchOf(m)
		if m.ID == h.Self {
			v.Self, b.Alarming = *m, len(h.Alarms)
		}
		if m.Relation == "parent" {
			v.Parent = m
		}
		v.Health.Alarms += b.Alarming
		if m.Relation == "child" && q.Now().Sub(b.Heard) > silentAfter {
			v.Health.Silent++
		}
		if m.Link != nil && m.Link.Behind > 0 {
			v.Health.Behind++
		}
		if b.Digest == "different" {
			v.Health.Different++
		}
		path = path[:min(m.Depth, len(path))]
		if len(path) == 0 {
			roots = append(roots, b)
		} else {
			above := path[len(path)-1]
			above.Below = append(above.Below, b)
		}
		path = append(path, b)
	}
	return roots
}

func branchOf(m *hierarchy.Member) *branch {
	b := &branch{Member: *m}
	if m.Health != nil {
		b.HasHealth, b.Machines, b.Alarming = true, m.Health.Computers, m.Health.AlarmCount
		b.Heard, _ = time.Parse(time.RFC3339, m.Health.At)
	}
	if m.Link == nil {
		return b
	}
	b.Direct, b.Heard = true, m.Link.Seen
	for _, run := range m.Link.Runs {
		if run.State == "failed" {
			b.Failing = run.Error
		}
		if run.Equal == nil {
			continue
		}
		if run.Ended.After(b.Compared) {
			b.Compared = run.Ended
		}
		switch {
		case !*run.Equal:
			b.Digest = "different"
		case b.Digest == "":
			b.Digest = "equal"
		}
	}
	return b
}

func newChildToken(q *page.Request) (page.Outcome, error) {
	days, err := q.Number("days")
	if err != nil {
		return page.Outcome{}, err
	}
	token, err := page.Send[sites.Token](q, http.MethodPost, "/child-tokens", routes.NewToken{Name: q.Form("name"), Hours: 24 * days})
	if err != nil {
		return page.Outcome{}, err
	}
	status, err := page.Get[node.Status](q, "/site")
	if err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{Once: &page.View{
		Template: "sites-token.html", Title: q.T("Token for a child"), Crumbs: []page.Link{{Text: q.T("Hierarchy"), To: "/hierarchy"}},
		Data: struct {
			sites.Token
			Address string
		}{token, reachable(q, status.Address)},
	}}, nil
}

func revokeChildToken(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodDelete, page.To("child-tokens", q.Form("id")), nil)
	return page.Outcome{Note: q.T("The token lets nobody in any more.")}, err
}

func addLanguage(q *page.Request) (page.Outcome, error) {
	tags, err := document.NormalLanguages([]string{q.Form("tag")})
	if err != nil || q.Form("tag") == "" {
		return page.Outcome{}, page.Refuse(q.T("%q is no language tag, such as de or pt-br.", q.Form("tag")))
	}
	_, err = page.Send[api.Languages](q, http.MethodPost, "/site/languages", api.LanguagesChange{Add: tags})
	return page.Outcome{Note: q.T("This site manages %s now. The next imports and staging bring what there is in it.", tags[0])}, err
}

func join(q *page.Request) (page.Outcome, error) {
	p, err := page.Send[sites.Parent](q, http.MethodPost, "/parent",
		routes.Join{Parent: q.Form("parent"), Token: q.Form("child-token"), Move: q.Form("move") != ""})
	return page.Outcome{Note: q.T("This site is a child of %s now.", p.Name)}, err
}

func leave(q *page.Request) (page.Outcome, error) {
	path := "/parent"
	answer, err := q.Ask(http.MethodDelete, path, map[string][]string{"force": {yes(q.Form("force") != "")}}, nil)
	_ = answer // nothing
	return page.Outcome{Note: q.T("This site stands alone now. What it was sent stays.")}, err
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
