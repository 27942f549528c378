// Package history keeps the figures of compliance day by day: what each report said, as it said it, so that reports can be
// had as of a past day.
package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"thatch/node/computers/compliance/heads"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Day is a day of which figures are kept.
type Day struct {
	Day   string    `json:"day"`   // 2006-01-02, in the site's time zone
	Taken time.Time `json:"taken"` // when it was over, or later, where no node ran then
	Totals
}

// Totals sum a day up.
type Totals struct {
	Computers int      `json:"computers"` // that are not retired
	Silent    int      `json:"silent"`    // see computers.Silent
	Complete  int      `json:"complete"`  // see report.ComputerRow.IsComplete
	Attention int      `json:"attention"` // see report.ComputerRow.NeedsAttention
	Exploited int      `json:"exploited"` // that miss an update against something that was seen exploited
	Failed    int      `json:"failed"`    // where an install failed
	Installed int      `json:"installed"` // pairs of a computer and an update
	Missing   int      `json:"missing"`   // the same
	Percent   *float64 `json:"percent"`   // installed of both
	Bulletins int      `json:"bulletins"` // that a computer misses something of
	CVEs      int      `json:"cves"`      // that are open on a computer
	InTheWild int      `json:"in_the_wild"`
}

// Columns are those of the list of days.
var Columns = []store.Column[*Day]{
	{Name: "day", Kind: store.Time, Value: func(d *Day) any { return d.Day }, Search: true},
	{Name: "taken", Kind: store.Time, Value: func(d *Day) any { return rows.Stamp(d.Taken) }},
	{Name: "computers", Kind: store.Number, Value: func(d *Day) any { return d.Computers }},
	{Name: "silent", Kind: store.Number, Value: func(d *Day) any { return d.Silent }},
	{Name: "complete", Kind: store.Number, Value: func(d *Day) any { return d.Complete }},
	{Name: "attention", Kind: store.Number, Value: func(d *Day) any { return d.Attention }},
	{Name: "exploited", Kind: store.Number, Value: func(d *Day) any { return d.Exploited }},
	{Name: "failed", Kind: store.Number, Value: func(d *Day) any { return d.Failed }},
	{Name: "installed", Kind: store.Number, Value: func(d *Day) any { return d.Installed }},
	{Name: "missing", Kind: store.Number, Value: func(d *Day) any { return d.Missing }},
	{Name: "percent", Kind: store.Number, Value: func(d *Day) any { return heads.OrMinus(d.Percent) }},
	{Name: "bulletins", Kind: store.Number, Value: func(d *Day) any { return d.Bulletins }},
	{Name: "cves", Kind: store.Number, Value: func(d *Day) any { return d.CVEs }},
	{Name: "in_the_wild", Kind: store.Number, Value: func(d *Day) any { return d.InTheWild }},
}

// Room keeps days. It is safe for use by several goroutines.
type Room struct {
	reader store.Reader
	writer store.Writer

	mu   sync.Mutex
	last []opened // the sheets that were asked for last, as they do not change any more
}

// opened is a sheet that was read: rows is a []*R.
type opened struct {
	day, sheet string
	taken      time.Time
	rows       any
}

// maxOpened is how many sheets are held ready.
const maxOpened = 4

// New makes the room.
func New(reader store.Reader, writer store.Writer) *Room {
	return &Room{reader: reader, writer: writer}
}

// Days are those of which figures are kept, oldest first.
func (r *Room) Days(ctx context.Context) (days []*Day, err error) {
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		days = nil
		found, err := tx.QueryContext(ctx, `SELECT day, taken, totals FROM compliance_day ORDER BY day`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			d, err := scan(found.Scan)
			if err != nil {
				return err
			}
			days = append(days, d)
		}
		return found.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the days that are kept: %w", err)
	}
	return days, nil
}

func scan(from func(...any) error) (*Day, error) {
	var d Day
	var taken string
	var totals []byte
	if err := from(&d.Day, &taken, &totals); err != nil {
		return nil, err
	}
	d.Taken = rows.Unstamp(taken)
	return &d, json.Unmarshal(totals, &d.Totals)
}

// On is the day as of which figures are asked for. It is store.ErrInvalid for what is no day, and store.ErrNotFound, with the
// nearest day that is kept, where none are.
func (r *Room) On(ctx context.Context, day string) (found *Day, err error) {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return nil, store.Invalid("as_of: %.40q is no day; want one such as 2026-03-31", day)
	}
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		found, err = scan(tx.QueryRowContext(ctx, `SELECT day, taken, totals FROM compliance_day WHERE day = ?`, day).Scan)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var nearest string
		err := tx.QueryRowContext(ctx, `SELECT day FROM compliance_day
			ORDER BY abs(julianday(day) - julianday(?)), day DESC LIMIT 1`, day).Scan(&nearest)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("no figures of %s are kept, nor of any other day: a day is kept when it is over: %w", day, store.ErrNotFound)
		case err != nil:
			return err
		}
		return fmt.Errorf("no figures of %s are kept; the nearest day of which there are is %s: %w", day, nearest, store.ErrNotFound)
	})
	return found, err
}

// Rows are what a report said on a day, in its order, or what On says. They are shared: do not change them.
func Rows[R any](ctx context.Context, r *Room, day string, s Sheet[R]) ([]*R, *Day, error) {
	on, err := r.On(ctx, day)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, o := range r.last {
		if held, ok := o.rows.([]*R); ok && o.day == day && o.sheet == s.Name && o.taken.Equal(on.Taken) {
			r.last = append(append(r.last[:at:at], r.last[at+1:]...), o)
			return held, on, nil
		}
	}
	var list []*R
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		list, err = open(ctx, tx, day, s)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s of %s: %w", s.Name, day, err)
	}
	if r.last = append(r.last, opened{day, s.Name, on.Taken, list}); len(r.last) > maxOpened {
		r.last = r.last[1:]
	}
	return list, on, nil
}

func open[R any](ctx context.Context, tx *sql.Tx, day string, s Sheet[R]) ([]*R, error) {
	var planned, digests []byte
	err := tx.QueryRowContext(ctx, `SELECT plan, parts FROM compliance_sheet WHERE day = ? AND sheet = ?`, day, s.Name).Scan(&planned, &digests)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // a version that kept no such sheet
	}
	if err != nil {
		return nil, err
	}
	find, err := tx.PrepareContext(ctx, `SELECT body FROM compliance_part WHERE digest = ?`)
	if err != nil {
		return nil, err
	}
	defer find.Close()
	return s.rows(planned, func(part int) (body []byte, err error) {
		if len(digests) < (part+1)*digestBytes {
			return nil, errShort
		}
		return body, find.QueryRowContext(ctx, digests[part*digestBytes:(part+1)*digestBytes]).Scan(&body)
	})
}
