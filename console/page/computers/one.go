package computers

import (
	"net/http"
	"slices"

	"thatch/console/api"
	"thatch/console/api/prompts"
	"thatch/console/page"
	room "thatch/node/computers"
	"thatch/node/computers/compliance"
	asking "thatch/node/computers/prompts"
	"thatch/node/identity"
	"thatch/node/policies/windows"
)

func one() *page.Page {
	return &page.Page{
		Path: "/computers/{id}", Nav: "/computers", Title: "Computer",
		Help: page.Help{
			Text:    "Everything that this site knows of a computer: what it said of itself, how each update stands there and why, what was tried, and when it may install.",
			Command: []string{"thatch computers show pc-17", "thatch computers updates pc-17 --filter status=failed*", "thatch computers cycle pc-17", "thatch computers move pc-17 berlin"},
		},
		Show: showOne,
		Acts: with(prompting(), map[string]page.Act{
			"move":   {Scope: identity.Operate, Do: moveOne},
			"retire": {Scope: identity.Administrator, Do: retireOne},
		}),
	}
}

// Bounds of what the page shows of one computer: the lists behind have the rest.
const (
	shownUpdates  = 60
	shownAttempts = 20
	shownHotfixes = 60
)

// shown is one computer.
type shown struct {
	*compliance.Detail
	Windows  []windows.At
	Groups   []string
	Statuses []counted // how many updates are what
	Status   string    // the updates of this status are shown; "" all
	Listed   []*compliance.UpdateStatus
	More     int // updates that are not shown
	Tried    []compliance.Attempt
	Hotfixes []string
	Prompt   *prompts.Row // the latest; nil: none
	Unaware  bool         // the version of its agent does not know of prompts
	MayMove  bool
	MayEnd   bool
}

// counted is how many updates have a status.
type counted struct {
	Status room.Status
	Count  int
}

func showOne(q *page.Request) (*page.View, error) {
	d, err := page.Get[*compliance.Detail](q, page.To("computers", q.Var("id")))
	if err != nil {
		return nil, err
	}
	s := shown{Detail: d, Status: q.Arg("status"), MayMove: q.May(identity.Operate) && d.Retired.IsZero(), MayEnd: q.May(identity.Administrator) && d.Retired.IsZero()}
	if s.Windows, err = page.Get[[]windows.At](q, page.To("computers", d.ID, "windows")); err != nil {
		return nil, err
	}
	asked, err := page.Get[api.List[*prompts.Row]](q, "/computer-prompts", "id", d.ID)
	if err != nil {
		return nil, err
	}
	if len(asked.Items) > 0 {
		s.Prompt = asked.Items[0]
	}
	s.Unaware = d.Agent != "" && d.Protocol < asking.Protocol
	if s.MayMove {
		if s.Groups, err = groupNames(q); err != nil {
			return nil, err
		}
	}
	for _, u := range d.Updates {
		at := slices.IndexFunc(s.Statuses, func(c counted) bool { return c.Status == u.Status })
		if at < 0 {
			at, s.Statuses = len(s.Statuses), append(s.Statuses, counted{Status: u.Status})
		}
		s.Statuses[at].Count++
		if s.Status == "" && u.Status != room.Installed || string(u.Status) == s.Status {
			s.Listed = append(s.Listed, u)
		}
	}
	s.More = max(0, len(s.Listed)-shownUpdates)
	s.Listed = s.Listed[:len(s.Listed)-s.More]
	s.Tried = d.Attempts[:min(len(d.Attempts), shownAttempts)]
	if d.Facts != nil {
		s.Hotfixes = d.Facts.Hotfixes[:min(len(d.Facts.Hotfixes), shownHotfixes)]
	}
	return &page.View{
		Template: "computers-one.html", Title: d.ComputerRow.Computer, Data: s, Crumbs: []page.Link{{Text: q.T("Computers"), To: "/computers"}},
	}, nil
}

func moveOne(q *page.Request) (page.Outcome, error) {
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	_, err = page.Send[api.None](q, http.MethodPut, page.To("computers", q.Var("id")), api.ComputerChange{Group: q.Form("group"), Version: int64(version)})
	return page.Outcome{Note: q.Words.Count("1 computer was moved.", "%s computers were moved.", 1)}, err
}

func retireOne(q *page.Request) (page.Outcome, error) {
	version, err := q.Version()
	if err != nil {
		return page.Outcome{}, err
	}
	_, err = page.Send[api.None](q, http.MethodPost, page.To("computers", q.Var("id"), "retire"), api.Seen{Version: int64(version)})
	return page.Outcome{Note: q.Words.Count("1 computer was retired.", "%s computers were retired.", 1)}, err
}

// PromptOpen says whether the latest prompt is under way.
func (s shown) PromptOpen() bool {
	return s.Prompt != nil && (s.Prompt.State == asking.Asked || s.Prompt.State == asking.Told)
}

// Leads is the address of the page that says why an update stands as it does.
func (s shown) Leads(u *compliance.UpdateStatus) string {
	return page.To("computers", s.ID, "updates", u.ID)
}
