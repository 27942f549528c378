package policies

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/computers"
	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// Progress is how far a policy is. Targeted computers are done, failed, or waiting.
type Progress struct {
	Targeted int `json:"targeted"`
	Done     int `json:"done"`    // nothing that is ordered there is missing
	Waiting  int `json:"waiting"` // something is missing, or cannot be told
	Failed   int `json:"failed"`  // something is missing whose install failed
}

// PolicyRow is one policy of a list.
type PolicyRow struct {
	Row
	Description string `json:"description,omitempty"`
	Updates     int    `json:"updates"`
	State       string `json:"state"` // off, paused, awaiting, done, waiting, failed, nobody
	// AwaitedDocuments counts what a policy from above pins and has not arrived; Lacks are managed languages in which the
	// catalog has packages and none is pinned: Revise pins them.
	AwaitedDocuments int      `json:"awaited_documents"`
	Lacks            []string `json:"lacks"`
	Progress
}

// States of a policy.
const (
	StateOff    = "off"
	StatePaused = "paused"
	// StateAwaiting is that of a policy from above before everything has arrived: documents, maintenance windows.
	StateAwaiting = "awaiting"
	StateDone     = "done"
	StateWaiting  = "waiting"
	StateFailed   = "failed"
	StateNobody   = "nobody" // no computer is targeted
)

var columns = []store.Column[*PolicyRow]{
	{Name: "id", Value: func(p *PolicyRow) any { return p.ID }},
	{Name: "policy", Value: func(p *PolicyRow) any { return p.Name }, Search: true},
	{Name: "description", Value: func(p *PolicyRow) any { return p.Description }, Search: true},
	{Name: "enabled", Kind: store.Flag, Value: func(p *PolicyRow) any { return p.Enabled }},
	{Name: "paused", Kind: store.Flag, Value: func(p *PolicyRow) any { return p.Paused }},
	{Name: "origin", Value: func(p *PolicyRow) any { return p.Origin }},
	{Name: "site", Value: func(p *PolicyRow) any { return p.Site }, Search: true},
	{Name: "local", Kind: store.Flag, Value: func(p *PolicyRow) any { return p.Local }},
	{Name: "state", Value: func(p *PolicyRow) any { return p.State }},
	{Name: "bulletins", Value: func(p *PolicyRow) any { return p.Bulletins }, Search: true},
	{Name: "updates", Kind: store.Number, Value: func(p *PolicyRow) any { return p.Updates }},
	{Name: "awaited_documents", Kind: store.Number, Value: func(p *PolicyRow) any { return p.AwaitedDocuments }},
	{Name: "lacks", Value: func(p *PolicyRow) any { return p.Lacks }},
	{Name: "targeted", Kind: store.Number, Value: func(p *PolicyRow) any { return p.Targeted }},
	{Name: "done", Kind: store.Number, Value: func(p *PolicyRow) any { return p.Done }},
	{Name: "waiting", Kind: store.Number, Value: func(p *PolicyRow) any { return p.Waiting }},
	{Name: "failed", Kind: store.Number, Value: func(p *PolicyRow) any { return p.Failed }},
	{Name: "created", Kind: store.Time, Value: func(p *PolicyRow) any { return stamp(p.Created) }},
	{Name: "created_by", Value: func(p *PolicyRow) any { return p.By }},
	{Name: "changed", Kind: store.Time, Value: func(p *PolicyRow) any { return stamp(p.Changed) }},
}

// Columns names what the list of policies can be filtered and sorted by.
func Columns() []string { return store.ColumnNames(columns) }

// List returns a page of the policies, by name, and how many fit the query.
func (r *Room) List(ctx context.Context, q store.Query) (page []*PolicyRow, total int, err error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	rows := make([]*PolicyRow, 0, len(o.policies))
	err = r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		r.cfg.Computers.Look(func(memory computers.View) {
			for _, p := range o.policies {
				rows = append(rows, p.row(v, memory, o.mark.managed()))
			}
		})
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	plain := make([]*Row, 0, len(rows))
	for _, row := range rows {
		plain = append(plain, &row.Row)
	}
	if err := r.named(ctx, plain...); err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, columns)
}

func (p *order) row(v *live.View, memory computers.View, managed []string) *PolicyRow {
	row := &PolicyRow{
		Row: p.Row, Description: p.body.Description, Updates: len(p.body.Updates), Progress: p.measure(v, memory).progress(),
		AwaitedDocuments: len(p.pins.Missing), Lacks: []string{},
	}
	row.Bulletins = make([]string, 0, len(p.Bulletins))
	for _, id := range p.Bulletins {
		name := id
		if b := v.Bulletin(id); b != nil {
			name = b.Name
		}
		row.Bulletins = append(row.Bulletins, name)
	}
	if p.Above == nil {
		for i := range p.body.Updates {
			row.Lacks = append(row.Lacks, p.pins.Lacks(&p.body.Updates[i], v, managed)...)
		}
		slices.Sort(row.Lacks)
		row.Lacks = slices.Compact(row.Lacks)
	}
	row.State = p.stateOf(row)
	return row
}

func (p *order) stateOf(row *PolicyRow) string {
	switch {
	case !row.Enabled:
		return StateOff
	case row.Paused:
		return StatePaused
	case p.broken != "" || p.unsettled != "" || row.AwaitedDocuments > 0:
		return StateAwaiting
	case row.Targeted == 0:
		return StateNobody
	case row.Waiting > 0:
		return StateWaiting
	case row.Failed > 0:
		return StateFailed
	}
	return StateDone
}

// measured are the computers of a policy, as sets.
type measured struct {
	targeted, missing, unknown, failed *roaring.Bitmap
}

func (m measured) progress() Progress {
	open := roaring.Or(m.missing, m.unknown)
	open.And(m.targeted)
	failed := roaring.And(m.failed, open)
	return Progress{
		Targeted: int(m.targeted.GetCardinality()), Failed: int(failed.GetCardinality()),
		Waiting: int(open.GetCardinality() - failed.GetCardinality()),
		Done:    int(m.targeted.GetCardinality() - open.GetCardinality()),
	}
}

// measure counts with bitmaps; only a target that asks for facts looks at the computers one by one. Of what agents judge
// by the pinned rules alone, what they say of the order counts in place of the sets.
func (p *order) measure(v *live.View, memory computers.View) measured {
	m := measured{roaring.New(), roaring.New(), roaring.New(), roaring.New()}
	needing := roaring.New()
	for i := range p.body.Updates {
		pin := &p.body.Updates[i]
		if !pin.Enabled || !p.pins.Here(pin) {
			continue
		}
		c := memory.Column(p.pins.Update(pin).Number)
		if c == nil {
			continue
		}
		missing, installed, unknown := p.standing(pin, v, c)
		needing.Or(missing)
		needing.Or(installed)
		if p.pins.Alone(pin, v) {
			needing.Or(unknown)
		} else {
			needing.Or(c.Applicable)
		}
		m.missing.Or(missing)
		m.unknown.Or(unknown)
		m.failed.Or(roaring.And(c.Failed, missing))
	}
	m.targeted = p.targeted(memory, needing)
	return m
}

// standing are the computers on which a pinned update is missing, is installed, and cannot be told. They must not be
// changed.
func (p *order) standing(pin *policy.Update, v *live.View, c *computers.Column) (missing, installed, unknown *roaring.Bitmap) {
	switch {
	case !p.pins.Alone(pin, v):
		return c.Missing(), c.Installed, c.Unknown
	case c.Said == nil:
		return roaring.New(), roaring.New(), roaring.New()
	}
	return c.Said.Open, c.Said.Installed, c.Said.Unknown
}

// targeted are the computers that a policy means. A computer to which none of its updates is applicable has nothing
// to install, and is targeted only where the target does not ask.
func (p *order) targeted(memory computers.View, needing *roaring.Bitmap) *roaring.Bitmap {
	target := p.body.Target
	asks := target
	asks.NeedsIt, asks.Unknown = false, nil
	if target.NeedsIt && len(target.Unknown) == 0 && matchesAll(asks) {
		return needing
	}
	found := roaring.New()
	for number, m := range memory.Members() {
		if m.Retired.IsZero() && target.Match(pinned.Computer(m, needing.Contains(number))) {
			found.Add(number)
		}
	}
	return found
}

func matchesAll(t policy.Target) bool {
	return len(t.Platforms)+len(t.Languages)+len(t.ProductTypes)+len(t.Names)+len(t.ExceptNames) == 0
}

// Detail is everything of one policy.
type Detail struct {
	PolicyRow
	Target          policy.Target  `json:"target"`
	Plan            policy.Plan    `json:"plan"`
	OverrideWindows bool           `json:"override_windows"`
	Attempts        int            `json:"attempts,omitempty"`
	Languages       []string       `json:"languages"` // of the packages it pins; empty: neutral
	WaitsFor        []string       `json:"waits_for"` // in words
	Statuses        map[string]int `json:"statuses"`  // what agents say of ordered updates, counted
	UpdateList      []PinnedUpdate `json:"update_list"`
	Digest          string         `json:"digest"`
	Awaited         Awaited        `json:"awaited"`
}

// PinnedUpdate is one update of a policy.
type PinnedUpdate struct {
	Update      string   `json:"id"`
	Name        string   `json:"update"`
	Product     string   `json:"product,omitempty"`
	Enabled     bool     `json:"enabled"`
	CommandLine string   `json:"command_line,omitempty"`
	Packages    int      `json:"packages"`
	Languages   []string `json:"languages"` // of its packages; empty: neutral
	Held        bool     `json:"held"`
	Outdated    bool     `json:"outdated"` // the catalog holds another revision, or none; Revise follows it
	Arrived     bool     `json:"arrived"`  // everything pinned of it that matters to the site is here
	Lacks       []string `json:"lacks"`    // managed languages in which a package is there and none pinned
	Missing     int      `json:"missing"`
	Failed      int      `json:"failed"`
	// Standing is how the catalog stands to what is pinned: current, newer, withdrawn, gone; Note says it to people.
	Standing pinned.Standing `json:"standing"`
	Note     string          `json:"note,omitempty"`
}

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

func (p *order) detail(v *live.View, memory computers.View, state *staging.State, managed []string) *Detail {
	d := &Detail{
		PolicyRow: *p.row(v, memory, managed), Target: p.body.Target, Plan: p.body.Plan, OverrideWindows: p.body.OverrideWindows,
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

// note says to people what the catalog makes of a pinned update. Withdrawals are told with the day on which the vendor
// file that says so was imported, where that is known.
func (row *PinnedUpdate) note(ordered bool, imported string) {
	switch row.Standing {
	case pinned.Newer:
		row.Note = "a newer revision exists: revise"
		return
	case pinned.Withdrawn:
		row.Note = "withdrawn by the vendor"
		if day, _, dated := strings.Cut(imported, "T"); dated {
			row.Note += ", as imported on " + day
		}
	case pinned.Gone:
		row.Note = "left the catalog"
	default:
		return
	}
	if ordered && row.Enabled {
		row.Note += "; still ordered"
	}
}

func (row *PinnedUpdate) add(note string) {
	if row.Note != "" {
		note = row.Note + "; " + note
	}
	row.Note = note
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
		row.note(d.Enabled, imported)
		if len(row.Lacks) > 0 {
			row.add("the catalog has packages in " + strings.Join(row.Lacks, ", ") + " that are not pinned: stage the bulletin, then revise")
		}
		if !row.Arrived {
			row.add("not everything of it has arrived from above")
		}
	}
	return nil
}

// waitsFor says in words what keeps a policy from being done.
func (p *order) waitsFor(d *Detail, taken int) []string {
	why := []string{}
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	why = append(why, p.switches()...)
	for _, reason := range []string{p.broken, p.unsettled} {
		if reason != "" {
			why = append(why, reason)
		}
	}
	if n := d.Awaited.Documents; n > 0 {
		add("%d documents that it pins have not arrived from above, the first is %s %s", n, p.pins.Missing[0].Kind, p.pins.Missing[0].ID)
	}
	if d.Awaited.Coming != nil && p.Above != nil {
		add("payloads are %s", d.Awaited.Coming.Sentence())
	}
	if len(p.body.Target.Unknown) > 0 {
		add("its target has parts that are not known here (%s) and matches nobody", strings.Join(p.body.Target.Unknown, ", "))
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

// CountByBulletin tells how many policies were made from each bulletin.
func (r *Room) CountByBulletin(ctx context.Context) (map[string]int, error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for _, p := range o.policies {
		for _, id := range p.Bulletins {
			counts[id]++
		}
	}
	return counts, nil
}
