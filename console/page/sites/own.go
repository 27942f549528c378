package sites

import (
	"net/http"
	"slices"
	"strconv"

	"thatch/catalog/document"
	"thatch/console/api"
	"thatch/console/api/operators"
	"thatch/console/api/payloads"
	"thatch/console/page"
	"thatch/node"
	"thatch/node/bulletins/stock"
	"thatch/node/identity"
	"thatch/node/membership"
)

// ownView is the page of this site.
type ownView struct {
	node.Status
	Report  membership.Report
	Tokens  []identity.APIToken
	Scopes  []identity.Scope
	Content *page.Table
	Awaited payloads.Standing
}

func ownSite() *page.Page {
	return &page.Page{
		Path: "/site", Title: "This site",
		Help: page.Help{
			Text:    "This site and its nodes: what is wrong with them, role, disk, certificate, version; who joins, leads and goes; the languages that it manages; tokens with which tools call its API; the payload files that this node holds.",
			Command: []string{"thatch site show", "thatch site status", "thatch node token create --name n2", "thatch site remove n2", "thatch site transfer-leader --to n2", "thatch site gossip-keys rotate", "thatch site languages --add fr --remove de", "thatch tokens create --api --name ci --scope viewer", "thatch content verify"},
		},
		Show: showOwn,
		Acts: map[string]page.Act{
			"rename": {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) {
				_, err := page.Send[api.SiteName](q, http.MethodPut, "/site/name", api.SiteName{Name: q.Form("name")})
				return page.Outcome{Note: q.T("The site is called %s now. The sites above and below learn of it.", q.Form("name"))}, err
			}},
			"language": {Scope: identity.Administrator, Do: addLanguage},
			"drop":     {Scope: identity.Administrator, Do: dropLanguages},
			"token":    {Scope: identity.Administrator, Do: newAPIToken},
			"revoke": {Scope: identity.Administrator, Do: func(q *page.Request) (page.Outcome, error) {
				_, err := page.Send[api.None](q, http.MethodDelete, page.To("tokens", q.Form("id")), nil)
				return page.Outcome{Note: q.T("The token is revoked: it opens nothing any more.")}, err
			}},
			"remove-node": {Scope: identity.Administrator, Do: removeNode},
			"votes":       {Scope: identity.Administrator, Do: votesOfNode},
			"lead":        {Scope: identity.Administrator, Do: handOver},
			"invite":      {Scope: identity.Administrator, Do: inviteNode},
			"gossip":      {Scope: identity.Administrator, Do: changeGossip},
			"verify": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) {
				run, err := page.Send[api.Run](q, http.MethodPost, "/content/verify", nil)
				return page.Outcome{To: page.To("tasks", "runs", run.Run)}, err
			}},
		},
	}
}

// content is the list of the payload files of this node.
var content = &page.List{
	Path: "/content", Key: "sha256", Limit: 25, Empty: "This node holds no payload files yet. Stage bulletins, and it downloads them.",
	Columns: []page.Column{
		{Name: "name", Title: "Name", Wide: true, Called: orUnnamed},
		{Name: "state", Title: "State", Kind: page.State, Choices: []string{stock.Held, stock.Awaited, stock.Elsewhere}, Groups: true},
		{Name: "copies", Title: "Copies", Kind: page.Number},
		{Name: "copies_of", Title: "Copies wanted", Kind: page.Number},
		{Name: "nodes", Title: "Nodes", Hidden: true},
		{Name: "size", Title: "Size", Kind: page.Bytes},
		{Name: "bytes", Title: "Here", Kind: page.Bytes},
		{Name: "needed", Title: "Needed", Kind: page.Flag},
		{Name: "at", Title: "Since", Kind: page.Time},
		{Name: "package", Title: "Package", Link: "/packages/{package}", Hidden: true},
		{Name: "from", Title: "Comes from", Hidden: true},
		{Name: "why", Title: "Waits for", Kind: page.Said},
		{Name: "sha256", Title: "SHA-256", Hidden: true},
	},
	Views: []page.ListView{{Title: "All", Query: ""}, {Title: "Awaited", Query: "state=awaited"}, {Title: "Too few copies", Query: "short=true"}, {Title: "Not needed", Query: "needed=false"}},
}

// orUnnamed is a payload's name; one that nothing names is told apart by its size and age.
func orUnnamed(q *page.Request, name string) string {
	if name == "" {
		return q.T("no package names it")
	}
	return name
}

func showOwn(q *page.Request) (*page.View, error) {
	status, err := page.Get[node.Status](q, "/site")
	if err != nil {
		return nil, err
	}
	v := ownView{Status: status, Scopes: identity.Scopes()}
	if v.Report, err = page.Get[membership.Report](q, "/site/status"); err != nil {
		return nil, err
	}
	if q.Allows("GET /tokens/api") {
		tokens, err := page.Get[api.List[identity.APIToken]](q, "/tokens/api", "revoked", "no", "limit", "500")
		if err != nil {
			return nil, err
		}
		v.Tokens = tokens.Items
	}
	if v.Awaited, err = page.Get[payloads.Standing](q, "/content/awaited"); err != nil {
		return nil, err
	}
	v.Content, err = q.Table(content)
	return &page.View{Template: "sites-own.html", Data: v}, err
}

// dropLanguages has the site manage some languages no more; those that sites below need only where the form insists.
func dropLanguages(q *page.Request) (page.Outcome, error) {
	chosen := q.Forms("tag")
	if len(chosen) == 0 {
		return page.Outcome{}, page.Refuse(q.T("Choose the languages to drop."))
	}
	tags, err := document.NormalLanguages(slices.Clone(chosen))
	if err != nil {
		return page.Outcome{}, page.Refuse(err.Error())
	}
	_, err = page.Send[api.Languages](q, http.MethodPost, "/site/languages", api.LanguagesChange{Remove: tags, Force: q.Form("force") != ""})
	return page.Outcome{Note: q.Words.Count("1 language is managed no more.", "%s languages are managed no more.", len(tags))}, err
}

func newAPIToken(q *page.Request) (page.Outcome, error) {
	days, err := strconv.Atoi(q.Form("days"))
	if err != nil || days < 1 {
		return page.Outcome{}, page.Refuse(q.T("%q is no number of days.", q.Form("days")))
	}
	token, err := page.Send[identity.APIToken](q, http.MethodPost, "/tokens/api",
		operators.NewAPI{Name: q.Form("name"), Scope: identity.Scope(q.Form("scope")), Hours: 24 * days})
	if err != nil {
		return page.Outcome{}, err
	}
	status, err := page.Get[node.Status](q, "/site")
	return page.Outcome{Once: &page.View{
		Template: "sites-api-token.html", Title: q.T("API token"), Crumbs: []page.Link{{Text: q.T("This site"), To: "/site"}},
		Data: struct {
			identity.APIToken
			Address, Fingerprint string
		}{token, reachable(q, status.Address), status.Fingerprint},
	}}, err
}
