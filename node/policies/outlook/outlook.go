// Package outlook tells what a policy would do before it is made: which computers it would concern and with which updates,
// which maintenance windows apply to them, and what is not there yet. Of one that is made it tells how each computer stands,
// and what revising it would change. Nothing here writes.
package outlook

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/policies/contents"
	"thatch/node/policies/pinned"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// Outlook is what a policy would do at this site, if everything of it were here.
type Outlook struct {
	Policy   string   `json:"policy"`
	Problems []string `json:"problems"` // why it could not be made now; empty: it could
	Updates  []Update `json:"updates"`
	// LeftOut are updates of its bulletins that it would not hold.
	LeftOut   []contents.LeftOut `json:"left_out"`
	Computers Figures            `json:"computers"`
	Platforms []Count            `json:"platforms"` // of the computers that it would be for; the largest first
	Languages []Count            `json:"languages"` // by the first that a computer runs
	Groups    []Count            `json:"groups"`
	// Windows counts the computers that it would be for by the maintenance windows that apply to them, by id; Free are those
	// without any. Where the policy overrides windows, all are free.
	Windows map[string]int `json:"-"`
	Free    int            `json:"free"`
	List    []Computer     `json:"list"` // a page of the computers that miss something
	Total   int            `json:"total"`
}

// Update is one update as a policy would pin it.
type Update struct {
	ID          string   `json:"id"`
	Number      uint32   `json:"number"`
	Name        string   `json:"update"`
	Product     string   `json:"product,omitempty"`
	Bulletin    string   `json:"bulletin"` // id
	Enabled     bool     `json:"enabled"`
	CommandLine string   `json:"command_line,omitempty"`
	Arguments   string   `json:"arguments,omitempty"` // of its packages' installers
	Packages    int      `json:"packages"`
	Languages   []string `json:"languages"` // of its packages; empty: neutral
	// Waits says why no policy can pin it now, "" where one can.
	Waits      string `json:"waits,omitempty"`
	Missing    int    `json:"missing"`   // computers of the site, whatever the target says
	Installed  int    `json:"installed"` // likewise
	Untold     bool   `json:"untold"`    // it has no rule: computers say nothing of it before it is ordered
	Superseded bool   `json:"superseded"`
}

// Figures are computers that a policy is for. Each is one that misses something, one that cannot tell, or done.
type Figures struct {
	All      int `json:"all"` // of the site
	Targeted int `json:"targeted"`
	Missing  int `json:"missing"`
	Unknown  int `json:"unknown"`
	Done     int `json:"done"`
}

// Count is how many computers have a value in common.
type Count struct {
	Value    string `json:"value"`
	Targeted int    `json:"targeted"`
	Missing  int    `json:"missing"`
}

// Computer is one that misses something.
type Computer struct {
	ID       string   `json:"id"`
	Name     string   `json:"computer"`
	Group    string   `json:"group,omitempty"`
	Platform string   `json:"platform,omitempty"`
	Language string   `json:"language,omitempty"`
	Updates  []string `json:"updates"` // names of those that it would be given
	// Starts is when its installs could begin, as plan and windows say; absent: its windows never open again, or the schedule
	// of its agent decides.
	Starts *time.Time `json:"starts,omitempty"`
}

// Asked is a policy that is not made yet.
type Asked struct {
	Policy   *policy.Policy
	Contents *contents.Contents
	Windows  windows.Set
	Now      time.Time
}

// sets are what computers say of the enabled updates.
type sets struct {
	updates                  []*live.Update
	missing                  []*roaring.Bitmap // by update
	targeted, todo, cantTell *roaring.Bitmap
}

// Make tells what a policy would do. Query chooses the page of the list by Search, Offset and Limit.
func Make(v *live.View, memory computers.View, a Asked, q store.Query) *Outlook {
	o := &Outlook{Policy: a.Policy.Name, Problems: a.Contents.Problems, LeftOut: a.Contents.Left, Windows: map[string]int{}}
	for i := range a.Policy.Updates {
		o.Updates = append(o.Updates, update(v, memory, a.Contents, &a.Policy.Updates[i]))
	}
	s := read(v, memory, a.Policy)
	o.count(memory, s, a)
	o.list(memory, s, a, q)
	return o
}

func update(v *live.View, memory computers.View, c *contents.Contents, pin *policy.Update) Update {
	row := Update{ID: pin.Update, Name: pin.Update, Enabled: pin.Enabled, CommandLine: pin.CommandLine, Packages: len(pin.Packages), Languages: []string{}}
	if left, waits := c.Waits[pin.Update]; waits {
		row.Waits = cmp.Or(left.Text, string(left.Status))
	}
	u := v.UpdateByID(pin.Update)
	if u == nil {
		return row
	}
	row.Number, row.Name, row.Product, row.Bulletin = u.Number, cmp.Or(u.Name, u.ID), u.Product.Name, u.Bulletin
	row.Untold, row.Superseded = !u.Evaluable, v.Superseded(u.ID)
	for _, k := range pin.Packages {
		if pack := v.Package(k.ID); pack != nil {
			row.Arguments = cmp.Or(row.Arguments, pack.Installer.Arguments)
			row.Languages = append(row.Languages, pack.Languages...)
		}
	}
	slices.Sort(row.Languages)
	row.Languages = slices.Compact(row.Languages)
	if column := memory.Column(u.Number); column != nil && u.Evaluable {
		row.Missing, row.Installed = int(column.Lacking().GetCardinality()), int(column.Installed.GetCardinality())
	}
	return row
}

func read(v *live.View, memory computers.View, p *policy.Policy) *sets {
	s := &sets{todo: roaring.New(), cantTell: roaring.New()}
	needing := roaring.New()
	for i := range p.Updates {
		u := v.UpdateByID(p.Updates[i].Update)
		if !p.Updates[i].Enabled || u == nil || !u.Evaluable {
			continue
		}
		column := memory.Column(u.Number)
		if column == nil {
			continue
		}
		missing := column.Lacking()
		needing.Or(column.Applicable)
		needing.Or(column.Installed)
		s.updates, s.missing = append(s.updates, u), append(s.missing, missing)
		s.todo.Or(missing)
		s.cantTell.Or(column.Unknown)
	}
	s.targeted = pinned.Targeted(&p.Target, memory, needing)
	s.todo.And(s.targeted)
	s.cantTell.And(s.targeted)
	s.cantTell.AndNot(s.todo)
	return s
}

func (o *Outlook) count(memory computers.View, s *sets, a Asked) {
	o.Computers = Figures{
		Targeted: int(s.targeted.GetCardinality()), Missing: int(s.todo.GetCardinality()), Unknown: int(s.cantTell.GetCardinality()),
	}
	o.Computers.Done = o.Computers.Targeted - o.Computers.Missing - o.Computers.Unknown
	platforms, languages, groups := tally{}, tally{}, tally{}
	for _, counts := range memory.Cursors() { // of all that are not retired
		for _, n := range counts {
			o.Computers.All += n
		}
	}
	members := memory.Members()
	for it := s.targeted.Iterator(); it.HasNext(); {
		m := members[it.Next()]
		if m == nil {
			continue
		}
		c, todo := pinned.Computer(m, true), s.todo.Contains(m.Number)
		platforms.add(c.System.Platform, todo)
		languages.add(language(c), todo)
		groups.add(m.Group, todo)
		free := true
		for _, w := range a.Windows {
			if !a.Policy.OverrideWindows && w.For(c) {
				o.Windows[w.Doc.ID]++
				free = false
			}
		}
		if free {
			o.Free++
		}
	}
	o.Platforms, o.Languages, o.Groups = platforms.sorted(), languages.sorted(), groups.sorted()
}

func language(c policy.Computer) string {
	if len(c.System.Languages) == 0 {
		return ""
	}
	return strings.ToLower(c.System.Languages[0])
}

type tally map[string]*Count

func (t tally) add(value string, todo bool) {
	c := t[value]
	if c == nil {
		c = &Count{Value: value}
		t[value] = c
	}
	c.Targeted++
	if todo {
		c.Missing++
	}
}

func (t tally) sorted() []Count {
	list := make([]Count, 0, len(t))
	for _, c := range t {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Targeted, a.Targeted), cmp.Compare(a.Value, b.Value))
	})
	return list
}

// list makes a page of the computers that miss something, in the order in which they enrolled.
func (o *Outlook) list(memory computers.View, s *sets, a Asked, q store.Query) {
	o.List = []Computer{}
	search := strings.ToLower(q.Search)
	members := memory.Members()
	for it := s.todo.Iterator(); it.HasNext(); {
		m := members[it.Next()]
		if m == nil || search != "" && !strings.Contains(strings.ToLower(m.Name), search) {
			continue
		}
		if o.Total++; o.Total > q.Offset && len(o.List) < q.Rows() {
			o.List = append(o.List, row(m, s, a))
		}
	}
}

func row(m *computers.Member, s *sets, a Asked) Computer {
	is := pinned.Computer(m, true)
	c := Computer{ID: m.ID, Name: m.Name, Group: m.Group, Platform: is.System.Platform, Language: language(is), Updates: []string{}}
	for i, u := range s.updates {
		if s.missing[i].Contains(m.Number) {
			c.Updates = append(c.Updates, cmp.Or(u.Name, u.ID))
		}
	}
	if at := starts(m, is, a); !at.IsZero() {
		c.Starts = &at
	}
	return c
}

// starts is when installs of a policy could begin on a computer; zero: nobody can say.
func starts(m *computers.Member, is policy.Computer, a Asked) time.Time {
	zone := pinned.Zone(m)
	plan := a.Policy.Plan
	if plan.When == policy.StartDefault {
		return time.Time{}
	}
	from, err := schedule.Plan{When: schedule.When(plan.When), At: plan.At}.Start(a.Now, schedule.Recurrence{}, zone, "")
	if err != nil {
		return time.Time{}
	}
	if from.Before(a.Now) {
		from = a.Now
	}
	mine := a.Windows.For(is)
	if a.Policy.OverrideWindows || len(mine) == 0 {
		return from
	}
	times := make(schedule.Windows, 0, len(mine))
	for _, w := range mine {
		times = append(times, w.Body.Window)
	}
	if _, open := times.Open(from, zone); open {
		return from
	}
	next, _ := times.Next(from, zone)
	return next
}
