package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// Has says whether a day is kept.
func (r *Room) Has(ctx context.Context, day string) (kept bool, err error) {
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM compliance_day WHERE day = ?)`, day).Scan(&kept)
	})
	return kept, err
}

// Keep keeps a day with its sheets. A day is kept once: where it is already, nothing changes. It says how many bytes of parts
// were not there before.
func (r *Room) Keep(ctx context.Context, day Day, sheets []Kept) (bytes int, err error) {
	parts, bytes, err := r.lacking(ctx, day.Day, sheets)
	if err != nil {
		return 0, err
	}
	head := []store.Statement{}
	for _, k := range sheets {
		digests := []byte{} // nil would be NULL
		for _, p := range k.parts {
			digests = append(digests, p.digest[:]...)
		}
		planned, err := json.Marshal(k.plan)
		if err != nil {
			return 0, err
		}
		head = append(head, store.Statement{
			SQL: `INSERT INTO compliance_sheet (day, sheet, plan, parts) VALUES (?, ?, ?, ?)`, Args: []any{day.Day, k.name, string(planned), digests},
		})
	}
	totals, err := json.Marshal(day.Totals)
	if err != nil {
		return 0, err
	}
	head = append(head, store.Statement{
		SQL: `INSERT INTO compliance_day (day, taken, totals) VALUES (?, ?, ?)`, Args: []any{day.Day, rows.Stamp(day.Taken), string(totals)},
	})
	last := r.builder("figures of " + day.Day)
	if err := last.Add(head...); err != nil {
		return 0, err
	}
	if err := r.write(ctx, parts.Batches()); err != nil { // first: a day stands on its parts
		return 0, fmt.Errorf("keep the figures of %s: %w", day.Day, err)
	}
	if err := r.write(ctx, last.Batches()); err != nil {
		if kept, _ := r.Has(ctx, day.Day); kept && errors.Is(err, store.ErrConflict) {
			return 0, nil // another node was first
		}
		return 0, fmt.Errorf("keep the figures of %s: %w", day.Day, err)
	}
	return bytes, nil
}

// lacking are the statements that put there what sheets stand on, and how many bytes that are.
func (r *Room) lacking(ctx context.Context, day string, sheets []Kept) (parts *store.Builder, bytes int, err error) {
	known, err := r.known(ctx, sheets)
	if err != nil {
		return nil, 0, fmt.Errorf("read what is kept: %w", err)
	}
	parts = r.builder("parts of " + day)
	for _, k := range sheets {
		for _, p := range k.parts {
			last, there := known[p.digest]
			known[p.digest] = max(last, day)
			switch {
			case !there:
				bytes += len(p.body)
				err = parts.Add(store.Statement{
					SQL:  `INSERT INTO compliance_part (digest, body, last) VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET last = max(last, excluded.last)`,
					Args: []any{p.digest[:], p.body, day}, Want: 1,
				})
			case last < day:
				err = parts.Add(store.Statement{
					SQL: `UPDATE compliance_part SET last = max(last, ?) WHERE digest = ?`, Args: []any{day, p.digest[:]}, Want: 1,
				})
			}
			if err != nil {
				return nil, 0, err
			}
		}
	}
	return parts, bytes, nil
}

func (r *Room) builder(what string) *store.Builder {
	return store.NewBuilder(store.Batch{Actor: "node", Reason: "keep " + what, Topics: []string{Topic}})
}

func (r *Room) write(ctx context.Context, batches []store.Batch) error {
	for _, b := range batches {
		applied, err := r.writer.Write(ctx, b)
		if err = errors.Join(err, applied.Err()); err != nil {
			return err
		}
	}
	return nil
}

// known are those parts of sheets that are kept already, with the last day that stands on each.
func (r *Room) known(ctx context.Context, sheets []Kept) (map[[digestBytes]byte]string, error) {
	known := map[[digestBytes]byte]string{}
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		clear(known)
		find, err := tx.PrepareContext(ctx, `SELECT last FROM compliance_part WHERE digest = ?`)
		if err != nil {
			return err
		}
		defer find.Close()
		for _, k := range sheets {
			for _, p := range k.parts {
				var last string
				err := find.QueryRowContext(ctx, p.digest[:]).Scan(&last)
				if err == nil {
					known[p.digest] = last
				} else if !errors.Is(err, sql.ErrNoRows) {
					return err
				}
			}
		}
		return nil
	})
	return known, err
}

// Topic is that of batches that keep or forget days.
const Topic = "history"

// Prune forgets the days before one, and what they alone stood on.
func (r *Room) Prune(ctx context.Context, before time.Time) error {
	day := before.Format(time.DateOnly)
	var old bool
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM compliance_part WHERE last < ?) OR EXISTS (SELECT 1 FROM compliance_day WHERE day < ?)`,
			day, day).Scan(&old)
	})
	if err != nil || !old {
		return err
	}
	b := store.Batch{Actor: "node", Reason: "forget figures from before " + day, Topics: []string{Topic}}
	for _, sql := range []string{
		`DELETE FROM compliance_sheet WHERE day < ?`, `DELETE FROM compliance_day WHERE day < ?`, `DELETE FROM compliance_part WHERE last < ?`,
	} {
		b.Statements = append(b.Statements, store.Statement{SQL: sql, Args: []any{day}})
	}
	return r.write(ctx, []store.Batch{b})
}
