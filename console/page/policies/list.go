package policies

import (
	"net/http"
	"strings"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/policies"
)

// list is the page of all policies.
func list() *page.Page {
	return &page.Page{
		Path: "/policies", Title: "Policies",
		Help: page.Help{
			Text:    "A policy orders the updates of staged bulletins on the computers that need them. It pins them as they are now: a newer revision reaches computers only when the policy is revised.",
			Command: []string{"thatch policies list --filter state=failed", "thatch policies pause February"},
		},
		List: &page.List{
			Path: "/policies", Key: "id",
			Columns: []page.Column{
				{Name: "policy", Title: "Policy", Link: "/policies/{id}", Wide: true},
				{Name: "state", Title: "State", Kind: page.State, Choices: states, Groups: true},
				{Name: "enabled", Title: "Switched on", Kind: page.Flag},
				{Name: "paused", Title: "Paused", Kind: page.Flag},
				{Name: "percent", Title: "Done", Kind: page.Percent},
				{Name: "targeted", Title: "Computers", Kind: page.Number},
				{Name: "done", Title: "Computers done", Kind: page.Number, Hidden: true},
				{Name: "waiting", Title: "Waiting", Kind: page.Number},
				{Name: "failed", Title: "Failed", Kind: page.Number},
				{Name: "updates", Title: "Updates", Kind: page.Number},
				{Name: "site", Title: "Site", Groups: true},
				{Name: "waits_for", Title: "Waits for"},
				{Name: "bulletins", Title: "Bulletins", Hidden: true},
				{Name: "description", Title: "Description", Hidden: true},
				{Name: "from_above", Title: "From above", Kind: page.Flag, Hidden: true, Groups: true},
				{Name: "local", Title: "Sites below may switch it", Kind: page.Flag, Hidden: true},
				{Name: "awaited_documents", Title: "Awaited from above", Kind: page.Number, Hidden: true},
				{Name: "lacks", Title: "Lacks languages", Hidden: true},
				{Name: "unapproved", Title: "Awaits approval of", Hidden: true},
				{Name: "created", Title: "Made", Kind: page.Time, Hidden: true},
				{Name: "created_by", Title: "Made by", Hidden: true, Groups: true},
				{Name: "changed", Title: "Changed", Kind: page.Ago},
			},
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "Active", Query: "enabled=true&paused=false"},
				{Title: "Waiting", Query: "state=waiting,awaiting"},
				{Title: "Failed", Query: "failed=>0&sort=-failed"},
				{Title: "Off", Query: "enabled=false"},
				{Title: "Awaits approval", Query: "enabled=false&unapproved=*"},
				{Title: "From above", Query: "from_above=true"},
			},
			Actions: []page.Action{
				{Name: "enable", Call: "POST /policies/{key}/enable", Title: "Switch on"},
				{Name: "disable", Call: "POST /policies/{key}/disable", Title: "Switch off", Confirm: "Switch these policies off? Nothing more is installed by them."},
				{Name: "pause", Call: "POST /policies/{key}/pause", Title: "Pause"},
				{Name: "resume", Call: "POST /policies/{key}/resume", Title: "Let go on"},
			},
			Empty: "There is no policy yet. Stage a bulletin, then make a policy of it.",
			Head:  func(*page.Request) (string, any, error) { return "policy-list-head.html", nil, nil },
		},
		Acts: map[string]page.Act{
			"enable":  {Do: switchAll("enable", "1 policy is switched on.", "%s policies are switched on.")},
			"disable": {Do: switchAll("disable", "1 policy is switched off.", "%s policies are switched off.")},
			"pause":   {Do: switchAll("pause", "1 policy is paused.", "%s policies are paused.")},
			"resume":  {Do: switchAll("resume", "1 policy goes on.", "%s policies go on.")},
		},
	}
}

// states are those that a policy may be in.
var states = []string{
	policies.StateDone, policies.StateWaiting, policies.StateFailed, policies.StateAwaiting, policies.StatePaused, policies.StateOff, policies.StateNobody,
}

// switchAll makes what switches the chosen policies, one after the other. What could not be switched is told with why; the
// others are.
func switchAll(verb, one, many string) func(q *page.Request) (page.Outcome, error) {
	return func(q *page.Request) (page.Outcome, error) {
		chosen := q.Forms("key")
		if len(chosen) == 0 {
			return page.Outcome{}, page.Refuse(q.T("Choose at least one policy."))
		}
		var refused []error
		var why []string
		for _, id := range chosen {
			if _, err := page.Send[*policies.Detail](q, http.MethodPost, page.To("policies", id, verb), api.Seen{}); err != nil {
				refused, why = append(refused, err), append(why, q.Said(err.Error()))
			}
		}
		done := len(chosen) - len(refused)
		switch {
		case len(refused) == 0:
			return page.Outcome{Note: q.Words.Count(one, many, done)}, nil
		case done == 0:
			return page.Outcome{}, refused[0]
		}
		return page.Outcome{}, page.Refuse(q.Words.Count(one, many, done) + " " + strings.Join(why, "; "))
	}
}
