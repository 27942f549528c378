package rollups

import (
	"context"
	"time"

	"thatch/catalog/federation"
	"thatch/node/store"
)

// Within restricts the counts of a report by site; the zero value is everything.
type Within struct {
	Bulletin string // id
	Update   string // id
}

// Sites returns a page of the report by site: of a site and all below it, in the order of the tree, each with those below it
// or, where own figures are asked for, alone.
func (r *Room) Sites(ctx context.Context, of Of, within Within, q store.Query) (page []*SiteRow, total int, err error) {
	rows, err := r.SiteRows(ctx, of, within)
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, OfSites)
}

// SiteRows are all rows of Sites.
func (r *Room) SiteRows(ctx context.Context, of Of, within Within) (rows []*SiteRow, err error) {
	t, err := r.tree(ctx, of.Site)
	if err != nil {
		return nil, err
	}
	err = r.look(ctx, func(told map[string]*told) {
		t.moved = map[string]int{}
		for _, move := range unanswered(told, t.Self) {
			t.moved[move.From]++
		}
		rows = (&summing{t, of.Own, within, told, map[string]bool{}}).rows(t.root, 0)
	})
	return rows, err
}

// unanswered are the moves that a site found out and of which the site where the machine was has not heard yet.
func unanswered(told map[string]*told, by string) (moves []federation.Move) {
	if told[by] == nil {
		return nil
	}
	for _, move := range told[by].moves {
		if from := told[move.From]; from != nil {
			if gone, both := from.answers(move.Machine); gone || both {
				continue
			}
		}
		moves = append(moves, move)
	}
	return moves
}

// summing is a report by site under way.
type summing struct {
	*tree
	own    bool
	within Within
	told   map[string]*told
	seen   map[string]bool // sites that have a row
}

// rows are a site and those below it, each after the one above it.
func (t *summing) rows(site string, depth int) []*SiteRow {
	if t.seen[site] { // a ring, which must not be
		return nil
	}
	t.seen[site] = true
	row := t.row(site, t.told[site], t.within)
	row.Depth = depth
	rows := []*SiteRow{row}
	sum := *row
	for _, child := range t.Children(site) {
		below := t.rows(child, depth+1)
		if len(below) == 0 {
			continue
		}
		rows = append(rows, below...)
		row.Below += 1 + below[0].Below
		sum.take(below[0])
	}
	if !t.own {
		sum.Below = row.Below
		*row = sum
	}
	row.finish()
	if row.Untold == 0 {
		age := int(t.now.Sub(row.AsOf) / time.Second)
		row.Age = &age
	} else {
		row.AsOf = time.Time{}
	}
	return rows
}

// row is a site alone.
func (t *tree) row(site string, of *told, within Within) *SiteRow {
	row := &SiteRow{ID: site, Site: t.called(site), Parent: t.Parent(site), Version: t.Tree.Sites[site].Version, Heard: t.heard[t.via[site]]}
	at := t.asOf(site, of)
	if of == nil || of.health == nil {
		row.Untold = 1
	} else {
		row.Told = moment(of.health.At)
		row.Computers, row.NotReporting, row.Alarms = of.health.Computers, of.health.NotReporting, of.health.AlarmCount
		row.Version = of.health.Version
		row.Moved = min(t.moved[site], row.Computers)
		row.Computers -= row.Moved
	}
	if of != nil {
		row.Listed = len(of.computers)
	}
	var counts federation.Counts
	if of != nil {
		counts = of.counts(within)
	}
	row.add(counts, at)
	row.Figures.Sites = 1 - row.Untold
	return row
}

// counts adds up what a site told.
func (of *told) counts(within Within) (sum federation.Counts) {
	add := func(roll *federation.RollUp) {
		if roll == nil {
			return
		}
		if within.Update == "" {
			sum.Add(roll.Counts)
			return
		}
		for i := range roll.Updates {
			if roll.Updates[i].Update == within.Update {
				sum.Add(roll.Updates[i].Counts)
			}
		}
	}
	if within.Bulletin != "" {
		add(of.rollUps[within.Bulletin])
		return sum
	}
	for _, roll := range of.rollUps {
		add(roll)
	}
	return sum
}

// take adds the row of a site below, with all below that.
func (row *SiteRow) take(below *SiteRow) {
	row.Computers += below.Computers
	row.Moved += below.Moved
	row.Listed += below.Listed
	row.NotReporting += below.NotReporting
	row.Alarms += below.Alarms
	row.Untold += below.Untold
	row.Sites += below.Sites
	if below.AsOf.Before(row.AsOf) {
		row.AsOf = below.AsOf
	}
	row.Applicable += below.Applicable
	row.Installed += below.Installed
	row.Missing += below.Missing
	row.Failed += below.Failed
	row.Scheduled += below.Scheduled
	row.Unknown += below.Unknown
}
