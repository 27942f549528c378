// Package prompts holds the routes of /api/v1 by which operators ask computers to scan, or to make a cycle, now.
package prompts

import (
	"context"
	"slices"
	"time"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/computers/prompts"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// maxNamed is how many computers one request may name.
const maxNamed = 1000

// Wanted are computers: those that are named by id or name, those of a group, or all.
type Wanted struct {
	Computers []string `json:"computers,omitempty"`
	Group     string   `json:"group,omitempty"`
	All       bool     `json:"all,omitempty"`
}

// Ask asks computers for something.
type Ask struct {
	Kind string `json:"kind"` // scan, cycle
	Wanted
	Hours int `json:"hours,omitempty"` // after which it is wanted no more; 0: 24
}

// Asked is what became of it.
type Asked struct {
	ID      string `json:"id"`
	Asked   int    `json:"asked"`   // computers
	Already int    `json:"already"` // were asked before and have not done it yet, which stands
	Unaware int    `json:"unaware"` // of those asked: the version of the agent does not know of prompts
}

// Cancelled is how many computers are asked no more.
type Cancelled struct {
	Cancelled int `json:"cancelled"`
}

// Row is the latest that was asked of a computer.
type Row struct {
	ID          string        `json:"id"` // of the computer
	Computer    string        `json:"computer"`
	Group       string        `json:"group"`
	Kind        prompts.Kind  `json:"kind"`
	State       prompts.State `json:"state"`
	Asked       time.Time     `json:"asked"`
	By          string        `json:"by"`
	Expires     time.Time     `json:"expires"`
	Told        time.Time     `json:"told,omitzero"` // when its agent heard of it
	Done        time.Time     `json:"done,omitzero"`
	Cancelled   time.Time     `json:"cancelled,omitzero"`
	CancelledBy string        `json:"cancelled_by,omitempty"`
	Text        string        `json:"text,omitempty"` // what the agent said of it
	Agent       string        `json:"agent,omitempty"`
	Unaware     bool          `json:"unaware"` // the version of the agent does not know of prompts
}

var columns = []store.Column[*Row]{
	{Name: "id", Value: func(r *Row) any { return r.ID }},
	{Name: "computer", Value: func(r *Row) any { return r.Computer }, Search: true},
	{Name: "group", Value: func(r *Row) any { return r.Group }, Search: true},
	{Name: "kind", Value: func(r *Row) any { return string(r.Kind) }},
	{Name: "state", Value: func(r *Row) any { return string(r.State) }},
	{Name: "asked", Kind: store.Time, Value: func(r *Row) any { return rows.Stamp(r.Asked) }},
	{Name: "by", Value: func(r *Row) any { return r.By }, Search: true},
	{Name: "expires", Kind: store.Time, Value: func(r *Row) any { return rows.Stamp(r.Expires) }},
	{Name: "told", Kind: store.Time, Value: func(r *Row) any { return rows.Stamp(r.Told) }},
	{Name: "done", Kind: store.Time, Value: func(r *Row) any { return rows.Stamp(r.Done) }},
	{Name: "agent", Value: func(r *Row) any { return r.Agent }},
	{Name: "unaware", Kind: store.Flag, Value: func(r *Row) any { return r.Unaware }},
}

// Columns names what prompts can be filtered and sorted by.
var Columns = store.ColumnNames(columns)

// alters is what asking changes: the prompts of the computers that are named, of the group, or all.
const alters = "/computer-prompts?of={computers} /computer-prompts?group={group} /computer-prompts" +
	"#computer,kind,state,asked,by,expires,cancelled,cancelled_by"

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/computer-prompts", Scope: identity.Viewer, Columns: Columns, Reach: api.Reach{Group: "group"},
			Summary: "The latest that operators asked of each computer, and how far it is",
			Query:   []api.Param{{Name: "of", Type: "string", Text: "id or name of a computer; may be given several times"}},
			Do: api.Get(func(c *api.Call) (api.List[*Row], error) {
				return api.Listing(c, func(_ context.Context, q store.Query) ([]*Row, int, error) {
					return store.Select(q, of(n, c.Args("of"), list(n)), columns)
				})
			}),
		},
		{
			Method: "POST", Path: "/computer-prompts", Alters: alters, Scope: identity.Operate, Reach: api.Reach{Free: true}, Do: api.Do(ask),
			Summary: "Ask computers to scan now, or to make a cycle: scan, then download and install what is ordered, as far as windows and policies allow",
		},
		{
			Method: "POST", Path: "/computer-prompts/cancel", Alters: alters, Scope: identity.Operate, Reach: api.Reach{Free: true}, Do: api.Do(cancel),
			Summary: "Take back what computers were asked and have not done yet",
		},
	}
}

// of are the prompts of named computers, all where none is named.
func of(n *node.Node, names []string, all []*Row) []*Row {
	if len(names) == 0 {
		return all
	}
	wanted := map[string]bool{}
	for _, name := range names {
		if id, err := n.Compliance.Find(name); err == nil {
			wanted[id] = true
		}
	}
	return slices.DeleteFunc(all, func(r *Row) bool { return !wanted[r.ID] })
}

// unaware says whether the version of a computer's agent does not know of prompts. One that never reported may.
func unaware(m *computers.Member) bool {
	return m.Facts.Agent != "" && m.Facts.Protocol < prompts.Protocol
}

func list(n *node.Node) []*Row {
	now, all := n.Now(), []*Row{}
	held := n.Computers.Prompts.All()
	n.Computers.Look(func(v computers.View) {
		for i := range held {
			p := &held[i]
			m := v.Members()[p.Number]
			if m == nil || !m.Retired.IsZero() {
				continue
			}
			all = append(all, &Row{
				ID: m.ID, Computer: m.Name, Group: m.Group, Kind: p.Kind, State: p.State(now), Asked: p.Asked, By: p.By, Expires: p.Expires, Told: p.Told,
				Done: p.Done, Cancelled: p.Cancelled, CancelledBy: p.CancelledBy, Text: p.Text, Agent: m.Facts.Agent, Unaware: unaware(m),
			})
		}
	})
	return all
}

func ask(c *api.Call, in Ask) (Asked, error) {
	if in.Hours < 0 || time.Duration(in.Hours) > prompts.LongestFor/time.Hour {
		return Asked{}, store.Invalid("hours: a computer is asked for 1 to %d hours, not %d", prompts.LongestFor/time.Hour, in.Hours)
	}
	lasts := prompts.Lasts
	if in.Hours > 0 {
		lasts = time.Duration(in.Hours) * time.Hour
	}
	chosen, err := in.choose(c)
	if err != nil {
		return Asked{}, err
	}
	answer := Asked{}
	numbers := make([]uint32, 0, len(chosen))
	for _, m := range chosen {
		numbers = append(numbers, m.Number)
		if unaware(m) {
			answer.Unaware++
		}
	}
	asking, err := c.Node.Computers.Prompts.Ask(c.Context(), c.Who.Name, prompts.Kind(in.Kind), c.Node.Now().Add(lasts), numbers)
	answer.ID, answer.Asked, answer.Already = asking.ID, asking.Made, asking.Already
	return answer, err
}

func cancel(c *api.Call, in Wanted) (Cancelled, error) {
	chosen, err := in.choose(c)
	if err != nil {
		return Cancelled{}, err
	}
	var numbers []uint32
	for _, m := range chosen {
		numbers = append(numbers, m.Number)
	}
	count, err := c.Node.Computers.Prompts.Cancel(c.Context(), c.Who.Name, numbers)
	return Cancelled{count}, err
}

// choose finds the computers that are meant, of those in the caller's part of the site.
func (w Wanted) choose(c *api.Call) (chosen []*computers.Member, err error) {
	ways := 0
	for _, given := range []bool{len(w.Computers) > 0, w.Group != "", w.All} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return nil, store.Invalid("say which computers: name some, or a group, or say all")
	case len(w.Computers) > maxNamed:
		return nil, store.Invalid("name 1 to %d computers; the request names %d: ask a group, or all", maxNamed, len(w.Computers))
	case w.Group != "" && !mine(c, w.Group):
		return nil, c.Outside("the group %q is not in it", w.Group)
	}
	for _, name := range w.Computers {
		id, err := c.Node.Compliance.Find(name)
		if err != nil {
			return nil, err
		}
		m := c.Node.Computers.Member(id)
		switch {
		case m == nil:
			return nil, store.NotFound("computer", name)
		case !mine(c, m.Group):
			return nil, c.Outside("computer %s is in the group %q", m.Name, m.Group)
		case !m.Retired.IsZero():
			return nil, store.Conflicting("computer %s is retired: it is asked for nothing", m.Name)
		}
		chosen = append(chosen, m)
	}
	if len(w.Computers) > 0 {
		return chosen, nil
	}
	c.Node.Computers.Look(func(v computers.View) {
		for _, m := range v.Members() {
			if m.Retired.IsZero() && (w.All && mine(c, m.Group) || !w.All && m.Group == w.Group) {
				chosen = append(chosen, m)
			}
		}
	})
	if len(chosen) == 0 {
		return nil, store.Invalid("there is no computer to ask: none is in the group, or in your part of the site")
	}
	return chosen, nil
}

// mine says whether computers of a group are in the caller's part of the site.
func mine(c *api.Call, group string) bool {
	return c.OwnSite() || slices.Contains(c.Who.Part.Groups, group)
}
