package computers

import (
	"net/http"
	"strconv"
	"strings"

	"thatch/console/api"
	"thatch/console/api/operators"
	"thatch/console/api/reports"
	"thatch/console/page"
	"thatch/node/identity"
)

// tokens lists the enrolment tokens.
var tokens = &page.List{
	Path: "/tokens/enrolment", Key: "id", Sort: "-created",
	Columns: []page.Column{
		{Name: "name", Title: "Name", Wide: true},
		{Name: "group", Title: "Group", Groups: true},
		{Name: "used", Title: "Used", Kind: page.Number},
		{Name: "limit", Title: "Use limit", Kind: page.Number, Unsorted: true, Unfiltered: true},
		{Name: "expires", Title: "Expires", Kind: page.Time},
		{Name: "revoked", Title: "Revoked", Kind: page.Flag},
		{Name: "created", Title: "Made", Kind: page.Time},
		{Name: "by", Title: "By", Kind: page.Said},
	},
	Views: []page.ListView{{Title: "In force", Query: "revoked=false"}, {Title: "All"}},
	Actions: []page.Action{{
		Name: "revoke", Title: "Revoke", Scope: identity.Administrator, Danger: true,
		Confirm: "Revoke the chosen tokens? Computers that have enrolled with them stay.",
	}},
	Empty: "No token has been made yet.",
}

func add() *page.Page {
	return &page.Page{
		Path: "/computers/add", Nav: "/computers", Title: "Add computers", Scope: identity.Administrator, Takes: "POST /tokens/enrolment",
		Help: page.Help{
			Text:    "A computer becomes one of this site's with an enrolment token. Make one, install the agent on the computer, and run the lines that are shown. The token says which site it is: an agent refuses a node of another one.",
			Command: []string{"thatch tokens create --name office --limit 50 --group berlin --for 72h", "thatch tokens list", "thatch tokens revoke ID"},
		},
		Show: func(q *page.Request) (*page.View, error) { return adding(q, nil) },
		Acts: map[string]page.Act{
			"make":   {Scope: identity.Administrator, Do: makeToken},
			"revoke": {Scope: identity.Administrator, Do: revoke},
		},
	}
}

// addition is the page with a token that was just made, or without.
type addition struct {
	Token  *identity.EnrolmentToken
	Node   string // address of the node for agents
	Tokens *page.Table
	Groups []string
	Spans  []page.Option // how long a token may be good, in hours
}

func adding(q *page.Request, made *identity.EnrolmentToken) (*page.View, error) {
	groups, err := groupNames(q)
	if err != nil {
		return nil, err
	}
	table, err := q.Table(tokens)
	if err != nil {
		return nil, err
	}
	return &page.View{
		Template: "computers-add.html", Crumbs: []page.Link{{Text: q.T("Computers"), To: "/computers"}},
		Data: addition{Token: made, Node: "https://" + q.R.Host, Tokens: table, Groups: groups, Spans: spans(q)},
	}, nil
}

func makeToken(q *page.Request) (page.Outcome, error) {
	in := operators.NewEnrolment{Name: q.Form("name"), Group: q.Form("group")}
	for field, into := range map[string]*int{"limit": &in.Limit, "hours": &in.Hours} {
		text := q.Form(field)
		n, err := strconv.Atoi(text)
		if text != "" && (err != nil || n < 0) {
			return page.Outcome{}, page.Refuse(q.T("%q is no number of uses or hours.", text))
		}
		*into = n
	}
	made, err := page.Send[identity.EnrolmentToken](q, http.MethodPost, "/tokens/enrolment", in)
	if err != nil {
		return page.Outcome{}, err
	}
	view, err := adding(q, &made)
	return page.Outcome{Once: view, Note: q.T("The token was made. It is shown here once and kept nowhere.")}, err
}

func revoke(q *page.Request) (page.Outcome, error) {
	for _, id := range q.Forms("key") {
		if _, err := page.Send[api.None](q, http.MethodDelete, page.To("tokens", id), nil); err != nil {
			return page.Outcome{}, err
		}
	}
	return page.Outcome{Note: q.Words.Count("1 token was revoked.", "%s tokens were revoked.", len(q.Forms("key")))}, nil
}

func spans(q *page.Request) []page.Option {
	day := func(n int) page.Option {
		return page.Option{Value: strconv.Itoa(24 * n), Text: q.Words.Count("1 day", "%s days", n)}
	}
	return []page.Option{{Value: "1", Text: q.Words.Count("1 hour", "%s hours", 1)}, day(1), day(3), day(30), day(365)}
}

// groupNames are the groups that there are.
func groupNames(q *page.Request) (names []string, err error) {
	groups, err := page.Get[api.List[*reports.Group]](q, "/computer-groups", "limit", "500")
	for _, g := range groups.Items {
		if g.Group != "" {
			names = append(names, g.Group)
		}
	}
	return names, err
}

// Command is the line that enrols, for a shell that is named by how it calls the program.
func (a addition) Command(program string) string {
	return strings.Join([]string{program, "enrol", "--node", a.Node, "--token", a.Token.Token}, " ")
}
