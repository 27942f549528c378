// Package delivery counts what agents did: attempts to install updates, day by day.
package delivery

import (
	"context"
	"database/sql"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// MaxDays is the longest time that is counted, in days.
const MaxDays = 366

// Counts are attempts that ended.
type Counts struct {
	Executed  int `json:"executed"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`   // the installer failed
	Remained  int `json:"remained"` // the installer said that it had done it, and the update is missing still
}

// Day is the attempts that ended on a day in UTC.
type Day struct {
	Day string `json:"day"` // 2006-01-02
	Counts
}

// Summary is the attempts of some days, each day, also those without any.
type Summary struct {
	Days []Day `json:"days"` // oldest first
	Counts
}

// Read counts the attempts that ended in the last days up to now. It is store.ErrInvalid for less than one day or more
// than MaxDays.
func Read(ctx context.Context, reader store.Reader, now time.Time, days int) (s Summary, err error) {
	if days < 1 || days > MaxDays {
		return Summary{}, store.Invalid("days: from 1 to %d are counted", MaxDays)
	}
	first := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days)
	s.Days = make([]Day, days)
	at := make(map[string]*Day, days)
	for i := range s.Days {
		s.Days[i].Day = first.AddDate(0, 0, i).Format(time.DateOnly)
		at[s.Days[i].Day] = &s.Days[i]
	}
	return s, reader.View(ctx, func(tx *sql.Tx) error {
		found, err := tx.QueryContext(ctx, `SELECT substr(ended, 1, 10), success, remained, count(*) FROM computer_attempt
			WHERE ended >= ? GROUP BY 1, 2, 3`, rows.Stamp(first))
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var day string
			var succeeded, remained bool
			var n int
			if err := found.Scan(&day, &succeeded, &remained, &n); err != nil {
				return err
			}
			if d := at[day]; d != nil { // what a clock that runs ahead dates is counted when its day has come
				d.add(succeeded, remained, n)
				s.add(succeeded, remained, n)
			}
		}
		return found.Err()
	})
}

func (c *Counts) add(succeeded, remained bool, n int) {
	c.Executed += n
	switch {
	case remained:
		c.Remained += n
	case !succeeded:
		c.Failed += n
	default:
		c.Succeeded += n
	}
}
