// Package delivery counts what agents did: attempts to install updates, by day, by policy and by update. They are counted
// as reports bring them, so that reading costs what there is to show, and what is kept no more of a computer stays counted.
package delivery

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"thatch/node/store"
	"thatch/node/store/sweep"
)

// MaxDays is the longest time that is counted, in days.
const MaxDays = 366

// oldest is how long ago an attempt may have ended to be counted, in days.
const oldest = 2 * MaxDays

// Counts are attempts that ended.
type Counts struct {
	Executed  int `json:"executed"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`   // the installer failed
	Remained  int `json:"remained"` // the installer said that it had done it, and the update is missing still
}

// Add adds other counts.
func (c *Counts) Add(other Counts) {
	c.Executed += other.Executed
	c.Succeeded += other.Succeeded
	c.Failed += other.Failed
	c.Remained += other.Remained
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

// Attempt is what is counted of one.
type Attempt struct {
	Ended     time.Time
	Policy    string
	Update    uint32
	Succeeded bool
	Remained  bool
}

// Count is the statement that counts an attempt of a computer which its table does not hold yet: it stands before the one
// that puts it there. What a clock that runs ahead dates counts for the day of the report. Of a policy or an update that the
// site does not know, it counts for none (”, 0), and what ended long ago does not count: reports could name any.
func Count(computer uint32, id string, a Attempt, at time.Time) store.Statement {
	ended := a.Ended
	if ended.IsZero() || ended.After(at) {
		ended = at
	}
	return store.Statement{
		SQL: `INSERT INTO delivery (day, policy, upd, succeeded, failed, remained)
			SELECT ?, coalesce((SELECT id FROM policy WHERE id = ?), ''), coalesce((SELECT number FROM software_update WHERE number = ?), 0), ?, ?, ?
			WHERE ? AND NOT EXISTS (SELECT 1 FROM computer_attempt WHERE number = ? AND id = ?) ORDER BY 1
			ON CONFLICT (day, policy, upd) DO UPDATE SET succeeded = succeeded + excluded.succeeded,
				failed = failed + excluded.failed, remained = remained + excluded.remained`,
		Args: []any{
			ended.UTC().Format(time.DateOnly), a.Policy, int64(a.Update), a.Succeeded && !a.Remained, !a.Succeeded && !a.Remained, a.Remained,
			!ended.Before(at.AddDate(0, 0, -oldest)), int64(computer), id,
		},
	}
}

// Old are the counts of days before that of a time.
func Old(before time.Time) sweep.Rows {
	return sweep.Rows{
		Table: "delivery", Key: []string{"day", "policy", "upd"}, Old: `day < ?`, Args: []any{before.UTC().Format(time.DateOnly)},
		Until: []any{before.UTC().Format(time.DateOnly), "", 0},
	}
}

// since is the first of the last days up to now.
func since(now time.Time, days int) (time.Time, error) {
	if days < 1 || days > MaxDays {
		return time.Time{}, store.Invalid("days: from 1 to %d are counted", MaxDays)
	}
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days), nil
}

// Read counts the attempts that ended in the last days up to now. It is store.ErrInvalid for less than one day or more
// than MaxDays.
func Read(ctx context.Context, reader store.Reader, now time.Time, days int) (s Summary, err error) {
	first, err := since(now, days)
	if err != nil {
		return Summary{}, err
	}
	s.Days = make([]Day, days)
	at := make(map[string]*Day, days)
	for i := range s.Days {
		s.Days[i].Day = first.AddDate(0, 0, i).Format(time.DateOnly)
		at[s.Days[i].Day] = &s.Days[i]
	}
	err = read(ctx, reader, [2]time.Time{first, now}, `day`, func(day string, _ string, c Counts) {
		if d := at[day]; d != nil { // else a day to come, by this node's clock
			d.Add(c)
			s.Add(c)
		}
	})
	return s, err
}

// Sum is the attempts of one policy, or of one update.
type Sum struct {
	Counts
	Last string `json:"last_day"` // the latest day with an attempt
}

// ByPolicy counts the attempts of the last days by the id of their policy.
func ByPolicy(ctx context.Context, reader store.Reader, now time.Time, days int) (map[string]Sum, error) {
	return sums(ctx, reader, now, days, `policy`)
}

// ByUpdate counts the attempts of the last days by the number of their update, in decimal.
func ByUpdate(ctx context.Context, reader store.Reader, now time.Time, days int) (map[string]Sum, error) {
	return sums(ctx, reader, now, days, `CAST(upd AS TEXT)`)
}

func sums(ctx context.Context, reader store.Reader, now time.Time, days int, by string) (map[string]Sum, error) {
	first, err := since(now, days)
	if err != nil {
		return nil, err
	}
	found := map[string]Sum{}
	return found, read(ctx, reader, [2]time.Time{first, now}, by, func(name, last string, c Counts) { found[name] = Sum{c, last} })
}

// read sums up days, from the first to the last, by an expression over the table's columns.
func read(ctx context.Context, reader store.Reader, days [2]time.Time, by string, take func(name, last string, c Counts)) error {
	err := reader.View(ctx, func(tx *sql.Tx) error {
		found, err := tx.QueryContext(ctx, `SELECT `+by+`, max(day), sum(succeeded), sum(failed), sum(remained) FROM delivery
			WHERE day >= ? AND day <= ? GROUP BY 1`, days[0].Format(time.DateOnly), days[1].UTC().Format(time.DateOnly))
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var name, last string
			var c Counts
			if err := found.Scan(&name, &last, &c.Succeeded, &c.Failed, &c.Remained); err != nil {
				return err
			}
			c.Executed = c.Succeeded + c.Failed + c.Remained
			take(name, last, c)
		}
		return found.Err()
	})
	if err != nil {
		return fmt.Errorf("read what was delivered: %w", err)
	}
	return nil
}
