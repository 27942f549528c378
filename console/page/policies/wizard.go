package policies

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"thatch/console/api"
	ordered "thatch/console/api/policies"
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/policies"
	"thatch/node/policies/outlook"
)

const wizardPath = "/policies/new"

// wizard makes a policy in two pages. What was chosen stands in the address of both, and goes from one to the other with the
// form.
func wizard() *page.Page {
	act := func(do func(q *page.Request, f fields) (page.Outcome, error)) page.Act {
		return page.Act{Do: func(q *page.Request) (page.Outcome, error) { return do(q, asked(q, wizardField)) }}
	}
	turn := func(to string, by int) page.Act {
		return act(func(_ *page.Request, f fields) (page.Outcome, error) {
			f.set("step", to)
			from, err := strconv.Atoi(f.Get("from"))
			if err != nil {
				from = 0
			}
			delete(f, "from")
			f.setCount("from", max(from+by, 0))
			return page.Outcome{To: f.at(wizardPath)}, nil
		})
	}
	return &page.Page{
		Path: wizardPath, Nav: "/policies", Title: "Make a policy", Takes: "POST /policies",
		Help: page.Help{
			Text:    "First what is to be installed and when, then which updates of it on which computers. The second page counts the computers and says what each would get; nothing is written before the last click.",
			Command: []string{"thatch policies create --name February --bulletin KB5000001 --dry-run", "thatch policies create --name February --bulletin KB5000001"},
		},
		Show: showWizard,
		Acts: map[string]page.Act{
			"next": act(next), "add": act(addBulletin), "create": act(create),
			"back": turn("1", 0), "count": turn("2", 0), "further": turn("2", wizardUpdates), "earlier": turn("2", -wizardUpdates),
		},
	}
}

// wizardFields are those of both pages; command-N is the command line of the update with the number N.
var wizardFields = slices.Concat([]string{
	"step", "from", "name", "description", "bulletin", "attempts", "override", "local", "on", "off",
}, planFields, targetFields)

const commandField = "command-"

func wizardField(name string) bool {
	return slices.Contains(wizardFields, name) || strings.HasPrefix(name, commandField)
}

// draft is the policy that the wizard's fields say.
func (f fields) draft(q *page.Request) (policies.Draft, error) {
	d := policies.Draft{
		Name: f.Get("name"), Description: f.Get("description"), Bulletins: f["bulletin"], Disable: f["off"], Target: f.target(true),
		OverrideWindows: f.Get("override") != "", Local: f.Get("local") != "", Off: f.Get("on") == "later", Commands: map[string]string{},
	}
	for name, values := range f {
		if number, is := strings.CutPrefix(name, commandField); is {
			d.Commands[number] = values[0]
		}
	}
	var err error
	if d.Plan, err = f.plan(q); err != nil {
		return d, err
	}
	d.Attempts, err = f.count(q, "attempts")
	return d, err
}

func addBulletin(q *page.Request, f fields) (page.Outcome, error) {
	name := q.Form("add")
	if name == "" {
		return page.Outcome{}, page.Refuse(q.T("Name the bulletin that is to be added."))
	}
	found, err := page.Get[bulletins.Detail](q, page.To("bulletins", name))
	if err != nil {
		return page.Outcome{}, err
	}
	if found.Staged == nil {
		return page.Outcome{}, page.Refuse(q.T("%s is not staged. Stage it first, then make a policy of it.", found.Name))
	}
	if !f.Has("bulletin", found.ID) {
		f["bulletin"] = append(f["bulletin"], found.ID)
	}
	f.set("step", "1")
	return page.Outcome{To: f.at(wizardPath)}, nil
}

// next goes to the second page when the first is right.
func next(q *page.Request, f fields) (page.Outcome, error) {
	if len(f["bulletin"]) == 0 {
		return page.Outcome{}, page.Refuse(q.T("Choose at least one staged bulletin."))
	}
	d, err := f.draft(q)
	if err != nil {
		return page.Outcome{}, err
	}
	if d.Name == "" {
		return page.Outcome{}, page.Refuse(q.T("Give the policy a name."))
	}
	d.Target = nil
	if _, err := preview(q, d, 1); err != nil {
		return page.Outcome{}, err
	}
	f.set("step", "2")
	return page.Outcome{To: f.at(wizardPath)}, nil
}

func create(q *page.Request, f fields) (page.Outcome, error) {
	d, err := f.draft(q)
	if err != nil {
		return page.Outcome{}, err
	}
	made, err := page.Send[policies.Created](q, http.MethodPost, "/policies", d)
	if err != nil {
		return page.Outcome{}, err
	}
	note := q.T("%s is made, with %s.", made.Name, q.Words.Count("1 update", "%s updates", made.Updates))
	if len(made.LeftOut) > 0 {
		note += " " + q.Words.Count("1 update was left out.", "%s updates were left out.", len(made.LeftOut))
	}
	if made.Awaits {
		note += " " + q.T("It stays off until an approver switches it on.")
	}
	return page.Outcome{To: page.To("policies", made.ID), Note: note}, nil
}

// preview asks what a draft would do, with a page of the computers.
func preview(q *page.Request, d policies.Draft, limit int) (ordered.Preview, error) {
	answer, err := q.Ask(http.MethodPost, "/policies/preview", map[string][]string{"limit": {strconv.Itoa(limit)}}, d)
	if err != nil {
		return ordered.Preview{}, err
	}
	p, ok := answer.(ordered.Preview)
	if !ok {
		return p, errors.New("the preview of a policy is none")
	}
	return p, nil
}

func showWizard(q *page.Request) (*page.View, error) {
	f := asked(q, wizardField)
	if f.Get("step") == "2" && len(f["bulletin"]) > 0 {
		view, err := secondPage(q, f)
		if view != nil || err != nil {
			return view, err
		}
	}
	return firstPage(q, f)
}

// first is what the wizard's first page shows.
type firstData struct {
	F      fields
	Hidden []page.Option // what the second page said
	Chosen []chosenBulletin
	Staged []*bulletins.Row // others that may be added
}

type chosenBulletin struct {
	*bulletins.Row
	Asked string // as the address names it
}

const maxStaged = 500 // offered

func firstPage(q *page.Request, f fields) (*page.View, error) {
	staged, err := page.Get[api.List[*bulletins.Row]](q, "/bulletins", "staged", "true", "sort", "-released", "limit", strconv.Itoa(maxStaged))
	if err != nil {
		return nil, err
	}
	d := firstData{F: f, Staged: staged.Items}
	for _, name := range f["bulletin"] {
		chosen := chosenBulletin{Asked: name}
		if i := slices.IndexFunc(d.Staged, func(b *bulletins.Row) bool { return b.ID == name || b.Name == name }); i >= 0 {
			chosen.Row, chosen.Asked = d.Staged[i], d.Staged[i].ID
			d.Staged = slices.Delete(d.Staged, i, i+1)
		} else if found, err := page.Get[bulletins.Detail](q, page.To("bulletins", name)); err == nil {
			chosen.Row = &found.Row
		}
		d.Chosen = append(d.Chosen, chosen)
	}
	if !q.Sent() && f.Get("step") == "" && len(d.Chosen) > 0 {
		d.suggest()
	}
	d.Hidden = f.rest(append([]string{"step", "from", "off"}, targetFields...))
	return &page.View{Template: "policy-wizard-1.html", Data: d, Crumbs: wizardCrumbs(q)}, nil
}

// suggest gives a new policy the name and the description of what it is made of.
func (d *firstData) suggest() {
	var names, titles []string
	for _, b := range d.Chosen {
		if b.Row != nil {
			names, titles = append(names, b.Name), append(titles, cmp.Or(b.Title, b.Description))
		}
	}
	d.F.set("name", cmp.Or(d.F.Get("name"), cut(strings.Join(names, ", "), 200)))
	d.F.set("description", cmp.Or(d.F.Get("description"), cut(strings.Join(titles, "; "), 400)))
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}

// rest are the fields of the other page, which this one carries along: those named, and command lines.
func (f fields) rest(names []string) (kept []page.Option) {
	for name, values := range f {
		if !slices.Contains(names, name) && !strings.HasPrefix(name, commandField) || name == "step" || name == "from" {
			continue
		}
		for _, value := range values {
			kept = append(kept, page.Option{Value: name, Text: value})
		}
	}
	slices.SortFunc(kept, func(a, b page.Option) int { return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Text, b.Text)) })
	return kept
}

func wizardCrumbs(q *page.Request) []page.Link {
	return []page.Link{{Text: q.T("Policies"), To: "/policies"}}
}

const (
	wizardUpdates   = 100 // on a page
	wizardComputers = 25  // listed
)

// secondData is what the wizard's second page shows.
type secondData struct {
	F             fields
	Hidden        []page.Option // what the first page said, and what was said of updates that are not shown
	Updates       []outlook.Update
	From, To, Of  int // of the updates
	Wrong         string
	P             *ordered.Preview
	Platforms     []string
	Roles         []page.Option
	Below         bool // sites below are known
	Name          string
	Further, Back bool
}

// secondPage is nil where not even the updates can be told: then the first page says why.
func secondPage(q *page.Request, f fields) (*page.View, error) {
	d := secondData{F: f, Name: f.Get("name"), Roles: roles(q)}
	draft, err := f.draft(q)
	var found ordered.Preview
	if err == nil {
		found, err = preview(q, draft, wizardComputers)
	}
	if err != nil { // what is wrong with the target must not take the page away on which it can be mended
		e := api.AsError(err)
		if e.Status >= http.StatusInternalServerError {
			return nil, err
		}
		d.Wrong = e.Text
		draft.Target, draft.Plan, draft.Disable, draft.Commands = nil, nil, nil, nil
		if found, err = preview(q, draft, 1); err != nil {
			return nil, nil
		}
		found.List, found.Total = nil, 0
	} else {
		d.P = &found
	}
	d.fill(&found)
	return &page.View{Template: "policy-wizard-2.html", Data: d, Title: q.T("Make the policy %s", d.Name), Crumbs: wizardCrumbs(q)}, nil
}

// fill cuts out the updates that are shown, and carries along what was said of the others.
func (d *secondData) fill(p *ordered.Preview) {
	from, err := strconv.Atoi(d.F.Get("from"))
	if err != nil || from < 0 || from >= len(p.Updates) {
		from = 0
	}
	to := min(from+wizardUpdates, len(p.Updates))
	d.Updates, d.From, d.To, d.Of = p.Updates[from:to], from+1, to, len(p.Updates)
	d.Back, d.Further = from > 0, to < d.Of
	shown := map[string]bool{}
	for _, u := range d.Updates {
		shown[strconv.FormatUint(uint64(u.Number), 10)] = true
	}
	here := append([]string{}, targetFields...)
	for _, o := range d.F.rest(wizardFields) {
		number, isCommand := strings.CutPrefix(o.Value, commandField)
		ofUpdate := isCommand && shown[number] || o.Value == "off" && shown[o.Text]
		if !ofUpdate && !slices.Contains(here, o.Value) {
			d.Hidden = append(d.Hidden, o)
		}
	}
	d.Platforms = platforms(d.F["platform"], p.Platforms)
	d.Below = len(p.Sites) > 1
}

// platforms are those to choose from: what the product knows, what computers are, and what was chosen.
func platforms(chosen []string, counted []outlook.Count) []string {
	all := append([]string{"windows", "debian"}, chosen...)
	for _, c := range counted {
		if c.Value != "" {
			all = append(all, c.Value)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// roles are the kinds of computers that a target may mean.
func roles(q *page.Request) []page.Option {
	return []page.Option{
		{Value: "workstation", Text: q.T("Workstations")},
		{Value: "server", Text: q.T("Servers")},
		{Value: "domaincontroller", Text: q.T("Domain controllers")},
	}
}
