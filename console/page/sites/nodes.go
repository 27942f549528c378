package sites

import (
	"net/http"
	"strconv"

	"thatch/console/api"
	"thatch/console/api/nodes"
	"thatch/console/page"
	"thatch/node/members"
)

// removeNode shuts a node out of the site for ever.
func removeNode(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[api.None](q, http.MethodDelete, page.To("site", "nodes", q.Form("node")), nil)
	return page.Outcome{Note: q.T("The node is shut out: it stops, and cannot come back.")}, err
}

// votesOfNode has a node vote, or not.
func votesOfNode(q *page.Request) (page.Outcome, error) {
	votes := q.Form("votes") == "yes"
	node, err := page.Send[members.Node](q, http.MethodPut, page.To("site", "nodes", q.Form("node")), nodes.Change{Votes: votes})
	if votes {
		return page.Outcome{Note: q.T("Node %s votes.", node.Name)}, err
	}
	return page.Outcome{Note: q.T("Node %s holds everything, and has no vote.", node.Name)}, err
}

// handOver hands the lead to a node.
func handOver(q *page.Request) (page.Outcome, error) {
	_, err := page.Send[nodes.Lead](q, http.MethodPut, "/site/leader", nodes.Lead{Node: q.Form("node")})
	return page.Outcome{Note: q.T("Another node leads the site now.")}, err
}

// changeGossip has the site change the key with which nodes encrypt what they tell each other of who lives.
func changeGossip(q *page.Request) (page.Outcome, error) {
	made, err := page.Send[nodes.GossipKey](q, http.MethodPost, "/site/gossip-keys", nil)
	return page.Outcome{Note: q.T("Key %d for what nodes tell each other is on its way to them.", made.Number)}, err
}

// inviteNode makes a token for one more node, and shows the line to give on its machine.
func inviteNode(q *page.Request) (page.Outcome, error) {
	hours, err := strconv.Atoi(q.Form("hours"))
	if err != nil || hours < 1 {
		return page.Outcome{}, page.Refuse(q.T("%q is no number of hours.", q.Form("hours")))
	}
	made, err := page.Send[nodes.Made](q, http.MethodPost, "/node-tokens", nodes.NewToken{Name: q.Form("name"), Hours: hours})
	return page.Outcome{Once: &page.View{
		Template: "sites-node-token.html", Title: q.T("Node token"), Crumbs: []page.Link{{Text: q.T("This site"), To: "/site"}}, Data: made,
	}}, err
}
