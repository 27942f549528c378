package policies

import (
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/policies/outlook"
	"thatch/node/policies/pinned"
	"thatch/node/store"
	"thatch/node/store/rows"
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
	Percent   *float64 `json:"percent"`    // done, of those that are targeted; nil: there are none
	FromAbove bool     `json:"from_above"` // another site made it
	// WaitsFor says in words what keeps it from being done. In lists it leaves out what asks for each of its updates.
	WaitsFor []string `json:"waits_for"`
	measure  func()   // counts Progress, Percent and State, within the look that made the row; nil: they are counted
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
	{Name: "state", Value: func(p *PolicyRow) any { return p.measured().State }},
	{Name: "bulletins", Value: func(p *PolicyRow) any { return p.Bulletins }, Search: true},
	{Name: "updates", Kind: store.Number, Value: func(p *PolicyRow) any { return p.Updates }},
	{Name: "awaited_documents", Kind: store.Number, Value: func(p *PolicyRow) any { return p.AwaitedDocuments }},
	{Name: "lacks", Value: func(p *PolicyRow) any { return p.Lacks }},
	{Name: "targeted", Kind: store.Number, Value: func(p *PolicyRow) any { return p.measured().Targeted }},
	{Name: "done", Kind: store.Number, Value: func(p *PolicyRow) any { return p.measured().Done }},
	{Name: "waiting", Kind: store.Number, Value: func(p *PolicyRow) any { return p.measured().Waiting }},
	{Name: "failed", Kind: store.Number, Value: func(p *PolicyRow) any { return p.measured().Failed }},
	{Name: "percent", Kind: store.Number, Value: func(p *PolicyRow) any { return p.measured().share() }},
	{Name: "from_above", Kind: store.Flag, Value: func(p *PolicyRow) any { return p.FromAbove }},
	{Name: "waits_for", Value: func(p *PolicyRow) any { return p.WaitsFor }},
	{Name: "created", Kind: store.Time, Value: func(p *PolicyRow) any { return rows.Stamp(p.Created) }},
	{Name: "created_by", Value: func(p *PolicyRow) any { return p.By }},
	{Name: "unapproved", Value: func(p *PolicyRow) any { return p.Unapproved }},
	{Name: "changed", Kind: store.Time, Value: func(p *PolicyRow) any { return rows.Stamp(p.Changed) }},
}

// Columns names what the list of policies can be filtered and sorted by.
func Columns() []string { return store.ColumnNames(columns) }

// List returns a page of the policies, by name, and how many fit the query.
func (r *Room) List(ctx context.Context, q store.Query) (page []*PolicyRow, total int, err error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	all, plain := make([]*PolicyRow, len(o.policies)), make([]*Row, len(o.policies))
	for i, p := range o.policies {
		all[i] = &PolicyRow{Row: p.Row}
		plain[i] = &all[i].Row
	}
	if err := r.named(ctx, plain...); err != nil {
		return nil, 0, err
	}
	err = r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) (err error) {
		r.cfg.Computers.Look(func(memory computers.View) {
			for i, p := range o.policies {
				p.fill(all[i], v, memory, o.mark.managed())
			}
			page, total, err = store.Select(q, all, columns)
			for _, row := range page {
				row.measured()
			}
		})
		return err
	})
	return page, total, err
}

// fill makes a row of a policy whole, but for what the computers say of it: that is counted where somebody asks for it.
func (p *order) fill(row *PolicyRow, v *live.View, memory computers.View, managed []string) {
	row.Description, row.Updates, row.AwaitedDocuments = p.body.Description, len(p.body.Updates), len(p.pins.Missing)
	row.Lacks, row.FromAbove, row.WaitsFor = []string{}, p.Above != nil, p.holds()
	row.measure = func() {
		row.Progress = progress(p.measure(v, memory))
		if row.Targeted > 0 {
			percent := 100 * float64(row.Done) / float64(row.Targeted)
			row.Percent = &percent
		}
		row.State = p.stateOf(row)
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
}

// measured counts the policy's computers, once.
func (p *PolicyRow) measured() *PolicyRow {
	if measure := p.measure; measure != nil {
		p.measure = nil
		measure()
	}
	return p
}

// share is the percentage as lists sort it: those of nobody come last.
func (p *PolicyRow) share() float64 {
	if p.Percent == nil {
		return -1
	}
	return *p.Percent
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

func progress(c outlook.Counted) Progress {
	open, failed, targeted := int(c.Open.GetCardinality()), int(c.Failed.GetCardinality()), int(c.Targeted.GetCardinality())
	return Progress{Targeted: targeted, Failed: failed, Waiting: open - failed, Done: targeted - open}
}

// measure counts with bitmaps; only a target that asks for facts looks at the computers one by one. Of what agents judge
// by the pinned rules alone, what they say of the order counts in place of the sets.
func (p *order) measure(v *live.View, memory computers.View) (counted outlook.Counted) {
	var needing, unknown, failed []*roaring.Bitmap // no copies: there are as many as the policy has updates
	for i := range p.body.Updates {
		pin := &p.body.Updates[i]
		if !pin.Enabled || !p.pins.Here(pin) {
			continue
		}
		c := memory.Column(p.pins.Update(pin).Number)
		if c == nil {
			continue
		}
		lacks, installed, open := p.standing(pin, v, c)
		counted.Missing, unknown = append(counted.Missing, lacks), append(unknown, open)
		if needing = append(needing, installed); p.pins.Alone(pin, v) {
			needing = append(needing, lacks, open)
		} else {
			needing = append(needing, c.Applicable) // with what is missing
		}
		if !c.Failed.IsEmpty() {
			failed = append(failed, roaring.And(c.Failed, lacks))
		}
	}
	counted.Targeted = pinned.Targeted(&p.body.Target, memory, roaring.FastOr(needing...))
	counted.Open = roaring.And(roaring.FastOr(append(unknown, counted.Missing...)...), counted.Targeted)
	counted.Failed = roaring.And(roaring.FastOr(failed...), counted.Open)
	return counted
}

// standing are the computers on which a pinned update is missing, is installed, and cannot be told. They must not be
// changed.
func (p *order) standing(pin *policy.Update, v *live.View, c *computers.Column) (missing, installed, unknown *roaring.Bitmap) {
	switch {
	case !p.pins.Alone(pin, v):
		return c.Lacking(), c.Installed, c.Unknown
	case c.Said == nil:
		return roaring.New(), roaring.New(), roaring.New()
	}
	return c.Said.Open, c.Said.Installed, c.Said.Unknown
}

// CountByBulletin tells how many policies were made from some bulletins; from all where none is named.
func (r *Room) CountByBulletin(ctx context.Context, of ...string) (map[string]int, error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for _, p := range o.policies {
		for _, id := range p.Bulletins {
			if len(of) == 0 || slices.Contains(of, id) {
				counts[id]++
			}
		}
	}
	return counts, nil
}
