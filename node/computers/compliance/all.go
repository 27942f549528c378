package compliance

import (
	"context"
	"iter"
	"time"

	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
)

func (s *snapshot) ofAll() iter.Seq[*group] {
	return func(yield func(*group) bool) {
		for _, groups := range []iter.Seq[*group]{s.ofBulletins(), s.ofCVEs(), s.ofMonths(), s.ofUpdates()} {
			for one := range groups {
				if !yield(one) {
					return
				}
			}
		}
	}
}

// All is what every report says at one moment, superseded updates left out of what is missing, retired computers left out. Who
// was not heard of since does not report.
func (r *Room) All(ctx context.Context, since time.Time) (all report.All, err error) {
	err = r.counted(ctx, (*snapshot).ofAll, func(s *snapshot, v computers.View) error {
		s.computers.refresh(v)
		all = report.All{
			Bulletins: rowsOf(s.bulletins, func(i *bulletinItem) report.BulletinRow {
				i.row.Counts = i.result(r.queue, false)
				return i.row
			}),
			Updates: rowsOf(s.updates, func(i *updateItem) report.UpdateRow {
				i.row.Counts = i.result(r.queue, false)
				return i.row
			}),
			CVEs: rowsOf(s.cves, func(i *cveItem) report.CVERow {
				i.row.Counts = i.result(r.queue, false)
				return i.row
			}),
			Months: rowsOf(s.months, func(i *monthItem) report.MonthRow {
				i.row.Counts = i.result(r.queue, false)
				return i.row
			}),
			Computers: rowsOf(r.heard(s, since, false, false), func(row *report.ComputerRow) report.ComputerRow { return *row }),
		}
		return nil
	})
	return all, err
}

// rowsOf copies rows: those that are kept change with the next count.
func rowsOf[I, R any](items []*I, row func(*I) R) []*R {
	held, list := make([]R, len(items)), make([]*R, len(items))
	for at, item := range items {
		held[at] = row(item)
		list[at] = &held[at]
	}
	return list
}
