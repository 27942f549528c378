package compliance

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/machine"
	"thatch/node/store"
	"thatch/node/store/rows"
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

// BulletinRow is one bulletin of the report.
type BulletinRow struct {
	heads.BulletinHead
	Superseded bool `json:"superseded"` // all its updates are
	Updates    int  `json:"updates"`
	NoRule     int  `json:"no_rule"` // updates of which no computer can tell
	Counts
}

// UpdateRow is one update of the report.
type UpdateRow struct {
	heads.UpdateHead
	Number     uint32 `json:"number"`
	Exploited  bool   `json:"exploited"`
	Superseded bool   `json:"superseded"`
	NoRule     string `json:"no_rule,omitempty"` // why no computer can tell
	Counts
}

// CVERow is one vulnerability of the report.
type CVERow struct {
	CVE       string           `json:"cve"`
	Title     string           `json:"title"`
	Severity  catalog.Severity `json:"severity"`
	Score     float64          `json:"score"`
	Exploited bool             `json:"exploited"`
	Disclosed bool             `json:"disclosed"`
	Bulletins []string         `json:"bulletins"`
	Updates   int              `json:"updates"`
	Counts
}

// MonthRow is one month of the report.
type MonthRow struct {
	Month     string `json:"month"`
	Bulletins int    `json:"bulletins"`
	Updates   int    `json:"updates"`
	Counts
}

// ComputerRow is one computer of the report, or of the list of computers.
type ComputerRow struct {
	ID        string    `json:"id"`
	Number    uint32    `json:"number"`
	Computer  string    `json:"computer"`
	Group     string    `json:"group"`
	Platform  string    `json:"platform"`
	Product   string    `json:"product"`
	Languages []string  `json:"languages"`
	LastSeen  time.Time `json:"last_seen"`
	Reported  time.Time `json:"reported,omitzero"` // zero: never
	Retired   time.Time `json:"retired,omitzero"`
	Doubt     string    `json:"doubt,omitempty"`
	Simulated bool      `json:"simulated"`
	Silent    bool      `json:"silent"` // it never reported, or was not heard of for the time of the setting health.silent
	Version   int64     `json:"version"`
	*machine.Machine
	Standing
}

func countColumns[R any](of func(R) *Counts) []store.Column[R] {
	return append(heads.ToldColumns(func(r R) *heads.Told { return &of(r).Told }),
		store.Column[R]{Name: "pending", Kind: store.Number, Value: func(r R) any { return of(r).Pending }})
}

var bulletinColumns = slices.Concat(heads.BulletinHeadColumns(func(r *BulletinRow) *heads.BulletinHead { return &r.BulletinHead }), []store.Column[*BulletinRow]{
	{Name: "superseded", Kind: store.Flag, Value: func(r *BulletinRow) any { return r.Superseded }},
	{Name: "updates", Kind: store.Number, Value: func(r *BulletinRow) any { return r.Updates }},
	{Name: "no_rule", Kind: store.Number, Value: func(r *BulletinRow) any { return r.NoRule }},
}, countColumns(func(r *BulletinRow) *Counts { return &r.Counts }))

var updateColumns = slices.Concat(heads.UpdateHeadColumns(func(r *UpdateRow) *heads.UpdateHead { return &r.UpdateHead }), []store.Column[*UpdateRow]{
	{Name: "number", Kind: store.Number, Value: func(r *UpdateRow) any { return int(r.Number) }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Exploited }},
	{Name: "superseded", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Superseded }},
	{Name: "no_rule", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.NoRule != "" }},
}, countColumns(func(r *UpdateRow) *Counts { return &r.Counts }))

var cveColumns = append([]store.Column[*CVERow]{
	{Name: "cve", Value: func(r *CVERow) any { return r.CVE }, Search: true},
	{Name: "title", Value: func(r *CVERow) any { return r.Title }, Search: true},
	{Name: "severity", Value: func(r *CVERow) any { return string(r.Severity) }, Rank: func(r *CVERow) int { return r.Severity.Rank() }},
	{Name: "severity_rank", Kind: store.Number, Value: func(r *CVERow) any { return r.Severity.Rank() }},
	{Name: "score", Kind: store.Number, Value: func(r *CVERow) any { return r.Score }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *CVERow) any { return r.Exploited }},
	{Name: "disclosed", Kind: store.Flag, Value: func(r *CVERow) any { return r.Disclosed }},
	{Name: "bulletins", Value: func(r *CVERow) any { return r.Bulletins }},
	{Name: "updates", Kind: store.Number, Value: func(r *CVERow) any { return r.Updates }},
}, countColumns(func(r *CVERow) *Counts { return &r.Counts })...)

var monthColumns = append([]store.Column[*MonthRow]{
	{Name: "month", Kind: store.Time, Value: func(r *MonthRow) any { return r.Month }, Search: true},
	{Name: "bulletins", Kind: store.Number, Value: func(r *MonthRow) any { return r.Bulletins }},
	{Name: "updates", Kind: store.Number, Value: func(r *MonthRow) any { return r.Updates }},
}, countColumns(func(r *MonthRow) *Counts { return &r.Counts })...)

var computerColumns = []store.Column[*ComputerRow]{
	{Name: "id", Value: func(r *ComputerRow) any { return r.ID }},
	{Name: "number", Kind: store.Number, Value: func(r *ComputerRow) any { return int(r.Number) }},
	{Name: "computer", Value: func(r *ComputerRow) any { return r.Computer }, Search: true},
	{Name: "group", Value: func(r *ComputerRow) any { return r.Group }, Search: true},
	{Name: "platform", Value: func(r *ComputerRow) any { return r.Platform }},
	{Name: "product", Value: func(r *ComputerRow) any { return r.Product }, Search: true},
	{Name: "languages", Value: func(r *ComputerRow) any { return r.Languages }},
	{Name: "last_seen", Kind: store.Time, Value: func(r *ComputerRow) any { return rows.Stamp(r.LastSeen) }},
	{Name: "reported", Kind: store.Time, Value: func(r *ComputerRow) any { return rows.Stamp(r.Reported) }},
	{Name: "retired", Kind: store.Flag, Value: func(r *ComputerRow) any { return !r.Retired.IsZero() }},
	{Name: "doubt", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Doubt != "" }},
	{Name: "simulated", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Simulated }},
	{Name: "silent", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Silent }},
	{Name: "domain", Value: func(r *ComputerRow) any { return r.Domain }, Search: true},
	{Name: "addresses", Value: func(r *ComputerRow) any { return r.Addresses }, Search: true},
	{Name: "manufacturer", Value: func(r *ComputerRow) any { return r.Manufacturer }},
	{Name: "model", Value: func(r *ComputerRow) any { return r.Model }, Search: true},
	{Name: "serial", Value: func(r *ComputerRow) any { return r.Serial }, Search: true},
	{Name: "agent", Value: func(r *ComputerRow) any { return r.Agent }},
	{Name: "build", Value: func(r *ComputerRow) any { return r.Build }},
	{Name: "architecture", Value: func(r *ComputerRow) any { return r.Architecture }},
	{Name: "attention", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Attention() || r.Doubt != "" }},
	{Name: "applicable", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Applicable }},
	{Name: "installed", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Installed }},
	{Name: "missing", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Missing }},
	{Name: "superseded", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Superseded }},
	{Name: "critical", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Critical }},
	{Name: "exploited", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Exploited }},
	{Name: "unknown", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Unknown }},
	{Name: "pending", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Pending }},
	{Name: "failed", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Failed }},
	{Name: "percent", Kind: store.Number, Value: func(r *ComputerRow) any { return heads.OrMinus(r.Percent) }},
}

// Columns of the reports, for doors.
var (
	BulletinColumns = store.ColumnNames(bulletinColumns)
	UpdateColumns   = store.ColumnNames(updateColumns)
	CVEColumns      = store.ColumnNames(cveColumns)
	MonthColumns    = store.ColumnNames(monthColumns)
	ComputerColumns = store.ColumnNames(computerColumns)
)

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
func (r *Room) Bulletins(ctx context.Context, q store.Query, all bool) (page []*BulletinRow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofBulletins, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*BulletinRow, 0, len(s.bulletins))
		for _, i := range s.bulletins {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, bulletinColumns)
		return err
	})
	return page, total, err
}

// Needed tells how many computers miss an update of each bulletin, by document id.
func (r *Room) Needed(ctx context.Context) (map[string]int, error) {
	needed := map[string]int{}
	err := r.counted(ctx, (*snapshot).ofBulletins, func(s *snapshot, _ computers.View) error {
		for _, i := range s.bulletins {
			if i.counts.Missing > 0 {
				needed[i.row.ID] = i.counts.Missing
			}
		}
		return nil
	})
	return needed, err
}

// Updates returns a page of the report by update, by number.
func (r *Room) Updates(ctx context.Context, q store.Query, all bool) (page []*UpdateRow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofUpdates, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*UpdateRow, 0, len(s.updates))
		for _, i := range s.updates {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, updateColumns)
		return err
	})
	return page, total, err
}

// CVEs returns a page of the report by vulnerability, newest first.
func (r *Room) CVEs(ctx context.Context, q store.Query, all bool) (page []*CVERow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofCVEs, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*CVERow, 0, len(s.cves))
		for _, i := range s.cves {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, cveColumns)
		return err
	})
	return page, total, err
}

// Months returns a page of the report by month, newest first.
func (r *Room) Months(ctx context.Context, q store.Query, all bool) (page []*MonthRow, total int, err error) {
	err = r.counted(ctx, (*snapshot).ofMonths, func(s *snapshot, _ computers.View) (err error) {
		rows := make([]*MonthRow, 0, len(s.months))
		for _, i := range s.months {
			i.row.Counts = i.result(r.queue, all)
			rows = append(rows, &i.row)
		}
		page, total, err = selected(q, rows, monthColumns)
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
func (r *Room) Computers(ctx context.Context, q store.Query, asked Asked) (page []*ComputerRow, total int, err error) {
	says := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, filtered := q.Filter[name]; return filtered || q.Sort == name })
	}
	err = r.look(ctx, func(s *snapshot, v computers.View) (err error) {
		s.computers.refresh(v)
		rows := s.computers.rows(asked.All, asked.Retired)
		if says("last_seen", "silent") {
			r.computers.LastSeen(func(number uint32, at time.Time) {
				if item := s.computers.item(number); item != nil && at.After(item.row.LastSeen) {
					item.row.LastSeen = at
				}
			})
			for _, row := range rows {
				row.hush(asked.Silent)
			}
		}
		page, total, err = selected(q, rows, computerColumns)
		return err
	})
	for _, row := range page {
		row.LastSeen = r.computers.LatestSeen(row.Number, row.LastSeen)
		row.hush(asked.Silent)
	}
	return page, total, err
}

// hush finds out whether the computer reports.
func (r *ComputerRow) hush(since time.Time) {
	r.Silent = r.Retired.IsZero() && (r.Reported.IsZero() || r.LastSeen.Before(since))
}

// Each calls take with every computer that is not retired, by number, and with how it stands to the updates.
func (r *Room) Each(ctx context.Context, take func(m *computers.Member, s Standing)) error {
	return r.look(ctx, func(s *snapshot, v computers.View) error {
		s.computers.refresh(v)
		for _, row := range s.computers.rows(false, false) {
			take(v.Members()[row.Number], row.Standing)
		}
		return nil
	})
}

func rowOf(m *computers.Member, standing Standing) ComputerRow {
	row := ComputerRow{
		ID: m.ID, Number: m.Number, Computer: m.Name, Group: m.Group, Platform: m.Platform, Product: m.Facts.System.Product,
		Languages: m.Languages, LastSeen: m.LastSeen, Reported: m.Reported, Retired: m.Retired, Doubt: m.Doubt, Simulated: m.Simulated,
		Version: m.Version, Machine: &m.Facts.Machine, Standing: standing,
	}
	if row.Languages == nil {
		row.Languages = []string{}
	}
	return row
}
