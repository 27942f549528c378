package compliance

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

// Room counts. It keeps what it counted and counts again only what changed. It is safe for use by several goroutines.
type Room struct {
	computers *computers.Room
	catalog   *live.Catalog

	turn     chan struct{} // held by whoever counts or reads; waiting for it can be cancelled
	snapshot *snapshot     // nil: nothing is counted
	queue    *waiting
	queued   uint64          // stamp of memory for which queue was made
	told     snapshotMark    // of the catalog of which RollUps said all
	aside    *roaring.Bitmap // computers that RollUps left out
}

// New makes the room.
func New(c *computers.Room, catalog *live.Catalog) *Room {
	return &Room{computers: c, catalog: catalog, turn: make(chan struct{}, 1), aside: roaring.New()}
}

// look runs read with the catalog as compliance counts it and the memory of computers, both held still.
func (r *Room) look(ctx context.Context, read func(s *snapshot, v computers.View) error) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turn }()
	whole := false
	defer func() {
		if !whole { // a panic on the way: what is half counted goes
			r.snapshot, r.queue = nil, nil
		}
	}()
	err := r.catalog.Read(ctx, func(v *live.View) error {
		if r.snapshot == nil || r.snapshot.at != v.Changed || r.snapshot.epoch != v.Epoch {
			r.snapshot = newSnapshot(v, r.snapshot)
		}
		return nil
	})
	if err == nil {
		r.computers.Look(func(memory computers.View) {
			if r.queue == nil || r.queued != memory.Stamp() {
				r.queue, r.queued = newWaiting(memory), memory.Stamp()
			}
			err = read(r.snapshot, memory)
		})
	}
	whole = true
	return err
}

// counted runs read when the groups that of names are counted. Much work is done in slices, between which others have
// their turn, and after which nobody waits for one who went away; whoever asks meanwhile goes on where others came to.
func (r *Room) counted(ctx context.Context, of func(s *snapshot) iter.Seq[*group], read func(s *snapshot, v computers.View) error) error {
	for {
		done := false
		err := r.look(ctx, func(s *snapshot, v computers.View) error {
			s.groups.follow(v)
			if settle(v, of(s)) {
				return ctx.Err()
			}
			done = true
			return read(s, v)
		})
		if err != nil || done {
			return err
		}
	}
}

// selected picks the page of rows that a query asks for, and copies it: the rows themselves change with the next count.
func selected[R any](q store.Query, rows []*R, columns []store.Column[*R]) (page []*R, total int, err error) {
	picked, total, err := store.Select(q, rows, columns)
	for _, row := range picked {
		same := *row
		page = append(page, &same)
	}
	return page, total, err
}

// Bulletins returns a page of the report by bulletin, newest month first. All says that superseded updates count as
// missing too.
func (r *Room) Bulletins(ctx context.Context, q store.Query, all bool) (page []*report.BulletinRow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofBulletins, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*report.BulletinRow, 0, len(s.bulletins))
		for _, i := range s.bulletins {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, report.OfBulletins)
		return err
	})
	return page, total, err
}

// Needed tells how many computers miss an update of some bulletins, by document id; of all where none is named.
func (r *Room) Needed(ctx context.Context, of ...string) (map[string]int, error) {
	needed := map[string]int{}
	err := r.counted(ctx, (*snapshot).ofBulletins, func(s *snapshot, _ computers.View) error {
		for _, i := range s.bulletins {
			if i.counts.Missing > 0 && (len(of) == 0 || slices.Contains(of, i.row.ID)) {
				needed[i.row.ID] = i.counts.Missing
			}
		}
		return nil
	})
	return needed, err
}

// Updates returns a page of the report by update, by number.
func (r *Room) Updates(ctx context.Context, q store.Query, all bool) (page []*report.UpdateRow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofUpdates, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*report.UpdateRow, 0, len(s.updates))
		for _, i := range s.updates {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, report.OfUpdates)
		return err
	})
	return page, total, err
}

// CVEs returns a page of the report by vulnerability, newest first.
func (r *Room) CVEs(ctx context.Context, q store.Query, all bool) (page []*report.CVERow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofCVEs, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*report.CVERow, 0, len(s.cves))
		for _, i := range s.cves {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, report.OfCVEs)
		return err
	})
	return page, total, err
}

// Months returns a page of the report by month, newest first.
func (r *Room) Months(ctx context.Context, q store.Query, all bool) (page []*report.MonthRow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofMonths, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*report.MonthRow, 0, len(s.months))
		for _, i := range s.months {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, report.OfMonths)
		return err
	})
	return page, total, err
}

// Asked says which computers are listed, and what counts.
type Asked struct {
	All     bool      // superseded updates are missing too
	Retired bool      // retired computers are listed too
	Silent  time.Time // who was not heard of since does not report
}

// Computers returns a page of the computers with what they miss, by number.
func (r *Room) Computers(ctx context.Context, q store.Query, asked Asked) (page []*report.ComputerRow, total int, err error) {
	says := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, filtered := q.Filter[name]; return filtered || q.Sort == name })
	}
	err = r.look(ctx, func(s *snapshot, v computers.View) (err error) {
		s.computers.refresh(v)
		var rows []*report.ComputerRow
		if says("last_seen", "silent") {
			rows = r.heard(s, asked.Silent, asked.All, asked.Retired)
		} else {
			rows = s.computers.rows(asked.All, asked.Retired)
		}
		page, total, err = selected(q, rows, report.OfComputers)
		return err
	})
	for _, row := range page {
		row.LastSeen = r.computers.LatestSeen(row.Number, row.LastSeen)
		row.Mark(asked.Silent)
	}
	return page, total, err
}

// Each calls take with the row of every computer that is not retired, by number; who was not heard of since does not report.
// The rows are those that are kept: take neither changes nor keeps them.
func (r *Room) Each(ctx context.Context, since time.Time, take func(m *computers.Member, row *report.ComputerRow)) error {
	return r.look(ctx, func(s *snapshot, v computers.View) error {
		s.computers.refresh(v)
		for _, row := range r.heard(s, since, false, false) {
			take(s.computers.items[row.Number].member, row)
		}
		return nil
	})
}

// heard are the rows of computers with when each was last heard of.
func (r *Room) heard(s *snapshot, since time.Time, every, retired bool) []*report.ComputerRow {
	r.computers.LastSeen(func(number uint32, at time.Time) {
		if item := s.computers.item(number); item != nil && at.After(item.row.LastSeen) {
			item.row.LastSeen = at
		}
	})
	rows := s.computers.rows(every, retired)
	for _, row := range rows {
		row.Mark(since)
	}
	return rows
}

func rowOf(m *computers.Member, standing report.Standing) report.ComputerRow {
	row := report.ComputerRow{
		ID: m.ID, Number: m.Number, Computer: m.Name, Group: m.Group, Platform: m.Platform, Product: m.Facts.System.Product,
		Languages: m.Languages, Contact: report.Contact{LastSeen: m.LastSeen, Reported: m.Reported}, Retired: m.Retired, Doubt: m.Doubt, Simulated: m.Simulated,
		Version: m.Version, Machine: &m.Facts.Machine, Standing: standing,
	}
	if row.Languages == nil {
		row.Languages = []string{}
	}
	return row
}
