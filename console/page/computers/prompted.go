package computers

import (
	"net/http"

	"thatch/console/api/prompts"
	"thatch/console/page"
	room "thatch/node/computers/prompts"
	"thatch/node/identity"
)

// What the buttons say and do, wherever they stand.
var (
	scanNow = page.Action{Name: "scan", Title: "Scan now"}
	cycle   = page.Action{
		Name: "cycle", Title: "Start cycle",
		Confirm: "Start a cycle on the chosen computers? They scan, then download and install what is ordered. Maintenance windows, plans and pauses hold as ever: nothing is installed outside of them.",
	}
	askNoMore = page.Action{Name: "cancel", Title: "Ask no more"}
)

// prompting are the acts of those buttons on chosen rows.
func prompting() map[string]page.Act {
	acts := map[string]page.Act{"cancel": {Scope: identity.Operate, Do: cancelled}}
	for _, kind := range []room.Kind{room.Scan, room.Cycle} {
		acts[string(kind)] = page.Act{Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) {
			in, err := wanted(q)
			if err != nil {
				return page.Outcome{}, err
			}
			answer, err := page.Send[prompts.Asked](q, http.MethodPost, "/computer-prompts", prompts.Ask{Kind: string(kind), Wanted: in})
			return page.Outcome{Note: said(q, answer)}, err
		}}
	}
	return acts
}

// wanted are the computers that a form means: rows, a group, all, or the one whose page it is.
func wanted(q *page.Request) (prompts.Wanted, error) {
	in := prompts.Wanted{Computers: q.Forms("key"), Group: q.Form("of"), All: q.Form("all") != ""}
	if id := q.Var("id"); id != "" {
		in = prompts.Wanted{Computers: []string{id}}
	}
	if len(in.Computers) == 0 && in.Group == "" && !in.All {
		return in, page.Refuse(q.T("Choose at least one computer."))
	}
	return in, nil
}

func said(q *page.Request, a prompts.Asked) string {
	note := q.Words.Count("1 computer is asked.", "%s computers are asked.", a.Asked)
	if a.Already > 0 {
		note += " " + q.Words.Count("1 was asked before, which stands.", "%s were asked before, which stands.", a.Already)
	}
	if a.Unaware > 0 {
		note += " " + q.Words.Count("The agent of 1 is of a version that does not know of this: it comes at its next check-in.",
			"The agents of %s are of a version that does not know of this: they come at their next check-in.", a.Unaware)
	}
	return note
}

func cancelled(q *page.Request) (page.Outcome, error) {
	in, err := wanted(q)
	if err != nil {
		return page.Outcome{}, err
	}
	answer, err := page.Send[prompts.Cancelled](q, http.MethodPost, "/computer-prompts/cancel", in)
	return page.Outcome{Note: q.Words.Count("1 computer is asked no more.", "%s computers are asked no more.", answer.Cancelled)}, err
}

// states are those of prompts.
func states() (names []string) {
	for _, state := range room.States {
		names = append(names, string(state))
	}
	return names
}

// prompted lists what computers were asked.
func prompted() *page.Page {
	return &page.Page{
		Path: "/computers/prompts", Nav: "/computers", Title: "Asked now",
		Help: page.Help{
			Text:    "What operators asked of computers outside of their turns, the latest of each, and how far it is. A scan reads what the computer is and reports; a cycle also downloads and installs what is ordered, never outside of maintenance windows, plans and pauses. Agents that wait at a node hear of it at once, the others within minutes; a computer that is off does it when it comes back, if that is in time.",
			Command: []string{"thatch computers scan --group berlin", "thatch computers cycle pc-17", "thatch computers prompts --filter state=asked,told", "thatch computers cancel --all"},
		},
		List: &page.List{
			Path: "/computer-prompts", Key: "id", Sort: "-asked", Limit: 75,
			Columns: []page.Column{
				{Name: "computer", Title: "Computer", Link: "/computers/{id}"},
				{Name: "group", Title: "Group", Groups: true},
				{Name: "kind", Title: "Asked for", Kind: page.Word, Groups: true, Choices: []string{string(room.Scan), string(room.Cycle)}},
				{Name: "state", Title: "State", Kind: page.State, Groups: true, Choices: states()},
				{Name: "asked", Title: "Asked", Kind: page.Time},
				{Name: "by", Title: "By", Groups: true},
				{Name: "told", Title: "Told", Kind: page.Time},
				{Name: "done", Title: "Done", Kind: page.Time},
				{Name: "text", Title: "What the agent said", Wide: true, Unsorted: true, Unfiltered: true},
				{Name: "expires", Title: "Expires", Kind: page.Time, Hidden: true},
				{Name: "agent", Title: "Agent", Hidden: true, Groups: true},
				{Name: "unaware", Title: "Agent does not know of it", Kind: page.Flag},
				{Name: "id", Title: "Id", Hidden: true},
			},
			Views: []page.ListView{
				{Title: "All"},
				{Title: "Under way", Query: "state=asked,told"},
				{Title: "Failed or expired", Query: "state=failed,expired"},
				{Title: "Agent does not know of it", Query: "unaware=true"},
			},
			Actions: []page.Action{askNoMore, scanNow, cycle},
			Empty:   "Nothing has been asked yet: choose computers in the list of computers, or ask a group here.",
			Head: func(q *page.Request) (string, any, error) {
				if !q.May(identity.Operate) {
					return "computers-prompt.html", nil, nil
				}
				groups, err := groupNames(q)
				return "computers-prompt.html", groups, err
			},
		},
		Acts: prompting(),
	}
}
