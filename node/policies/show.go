package policies

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/computers"
	"thatch/node/policies/outlook"
	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// Detail is everything of one policy.
type Detail struct {
	PolicyRow
	Target          policy.Target  `json:"target"`
	Plan            policy.Plan    `json:"plan"`
	OverrideWindows bool           `json:"override_windows"`
	Attempts        int            `json:"attempts,omitempty"`
	Languages       []string       `json:"languages"` // of the packages it pins; empty: neutral
	Statuses        map[string]int `json:"statuses"`  // what agents say of ordered updates, counted
	UpdateList      []PinnedUpdate `json:"update_list"`
	Digest          string         `json:"digest"`
	Awaited         Awaited        `json:"awaited"`
}

// PinnedUpdate is one update of a policy.
type PinnedUpdate = outlook.Pinned

// PinnedColumns names what the list of a policy's updates can be filtered and sorted by.
func PinnedColumns() []string { return store.ColumnNames(outlook.PinnedColumns) }

// Show returns the policy with an id, or with a name that it alone bears.
func (r *Room) Show(ctx context.Context, name string) (*Detail, error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	p, err := o.find(name)
	if err != nil {
		return nil, err
	}
	state, err := r.cfg.Bulletins.Staging(ctx)
	if err != nil {
		return nil, err
	}
	states, err := r.cfg.Computers.StatesOf(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	taken, err := r.turns().Count(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	var d *Detail
	err = r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		r.cfg.Computers.Look(func(memory computers.View) { d = p.detail(v, memory, state, o.mark.managed()) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, updates := range states {
		for _, status := range updates {
			d.Statuses[string(status)]++
		}
	}
	if err := r.named(ctx, &d.Row); err != nil {
		return nil, err
	}
	d.WaitsFor = p.waitsFor(d, taken)
	return d, r.notes(ctx, d)
}

// Standings returns a page of the computers that a policy means, and how each stands with it.
func (r *Room) Standings(ctx context.Context, name string, q store.Query) (page []*outlook.Standing, total int, err error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	p, err := o.find(name)
	if err != nil {
		return nil, 0, err
	}
	err = r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) (err error) {
		r.cfg.Computers.Look(func(memory computers.View) {
			page, total, err = outlook.Standings(memory, p.measure(v, memory), q)
		})
		return err
	})
	return page, total, err
}

// Updates returns a page of what a policy pins.
func (r *Room) Updates(ctx context.Context, name string, q store.Query) ([]*PinnedUpdate, int, error) {
	d, err := r.Show(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	rows := make([]*PinnedUpdate, len(d.UpdateList))
	for i := range d.UpdateList {
		rows[i] = &d.UpdateList[i]
	}
	return store.Select(q, rows, outlook.PinnedColumns)
}

func (p *order) detail(v *live.View, memory computers.View, state *staging.State, managed []string) *Detail {
	row := &PolicyRow{Row: p.Row}
	p.fill(row, v, memory, managed)
	d := &Detail{
		PolicyRow: *row.measured(), Target: p.body.Target, Plan: p.body.Plan, OverrideWindows: p.body.OverrideWindows,
		Attempts: p.body.Attempts, Languages: orEmpty(p.document.Languages), Statuses: map[string]int{},
		Digest: p.document.Digest.String(), Awaited: p.awaited(state),
	}
	for i := range p.body.Updates {
		pin := &p.body.Updates[i]
		row := p.pinnedUpdate(pin, v, memory, state)
		if row.Lacks = []string{}; p.Above == nil {
			row.Lacks = append(row.Lacks, p.pins.Lacks(pin, v, managed)...)
		}
		d.UpdateList = append(d.UpdateList, row)
	}
	return d
}

func (p *order) pinnedUpdate(pin *policy.Update, v *live.View, memory computers.View, state *staging.State) PinnedUpdate {
	row := PinnedUpdate{
		Update: pin.Update, Name: pin.Update, Enabled: pin.Enabled, CommandLine: pin.CommandLine, Packages: len(pin.Packages),
		Languages: []string{}, Arrived: p.pins.Here(pin), Standing: pinned.Current,
	}
	u := p.pins.Update(pin)
	if u != nil {
		row.Name, row.Product = cmp.Or(u.Name, pin.Update), u.Product.Name
		row.Standing = p.pins.Standing(pin, v)
	}
	row.Held, row.Outdated = row.Arrived, row.Standing != pinned.Current
	for _, k := range pin.Packages {
		pack := p.pins.Package(k)
		if pack == nil {
			row.Languages = append(row.Languages, k.Languages...)
			continue
		}
		row.Languages = append(row.Languages, pack.Languages...)
		for _, file := range pack.Files {
			row.Held = row.Held && state.Held(file)
		}
	}
	slices.Sort(row.Languages)
	row.Languages = slices.Compact(row.Languages)
	if u == nil {
		return row
	}
	if c := memory.Column(u.Number); c != nil {
		missing, _, _ := p.standing(pin, v, c)
		row.Missing, row.Failed = int(missing.GetCardinality()), int(missing.AndCardinality(c.Failed))
	}
	return row
}

// notes fills in the notes of a policy's updates.
func (r *Room) notes(ctx context.Context, d *Detail) error {
	for i := range d.UpdateList {
		row := &d.UpdateList[i]
		imported := ""
		if row.Standing == pinned.Withdrawn {
			var err error
			if imported, err = r.cfg.Bulletins.Catalog().Imported(ctx, document.Update, row.Update); err != nil {
				return err
			}
		}
		row.Noted(d.Enabled, imported)
	}
	return nil
}

// waitsFor says in words what keeps a policy from being done.
func (p *order) waitsFor(d *Detail, taken int) []string {
	why := p.holds()
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if d.Awaited.Coming != nil && p.Above != nil {
		add("payloads are %s", d.Awaited.Coming.Sentence())
	}
	for _, u := range d.UpdateList {
		if u.Enabled && !u.Held && u.Arrived {
			add("payloads of %s are not held by the site", u.Name)
		}
	}
	if limit := p.body.Plan.Simultaneous; limit > 0 && d.Waiting > 0 {
		add("at most %d computers install at once, %d do now", limit, taken)
	}
	if p.body.Plan.When == policy.StartAt && d.Waiting > 0 {
		add("it starts at %s", p.body.Plan.At)
	}
	if d.Waiting > 0 && len(why) == 0 {
		add("%d computers have not installed everything yet", d.Waiting)
	}
	return why
}

// holds says in words what keeps a policy as a whole from being done.
func (p *order) holds() []string {
	why := append([]string{}, p.switches()...)
	for _, reason := range []string{p.broken, p.unsettled} {
		if reason != "" {
			why = append(why, reason)
		}
	}
	if n := len(p.pins.Missing); n > 0 {
		why = append(why, fmt.Sprintf("%d documents that it pins have not arrived from above, the first is %s %s",
			n, p.pins.Missing[0].Kind, p.pins.Missing[0].ID))
	}
	if unknown := p.body.Target.Unknown; len(unknown) > 0 {
		why = append(why, fmt.Sprintf("its target has parts that are not known here (%s) and matches nobody", strings.Join(unknown, ", ")))
	}
	return why
}

// switches says which site switched the policy off, or paused it.
func (p *order) switches() (why []string) {
	if p.Above == nil {
		if !p.Enabled {
			why = append(why, "it is switched off")
		}
		if p.Paused {
			why = append(why, "it is paused")
		}
		return why
	}
	above, here := *p.Above, p.Here
	if !p.Local {
		here = Switch{Enabled: true}
	}
	for _, s := range []struct {
		is   bool
		text string
	}{
		{!above.Enabled, "the site that made it has switched it off, or not switched it on yet"},
		{!here.Enabled, "it is switched off for this site"},
		{above.Paused, "the site that made it has paused it"},
		{here.Paused, "it is paused for this site"},
	} {
		if s.is {
			why = append(why, s.text)
		}
	}
	return why
}
