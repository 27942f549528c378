package marks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

// Keep is how much of the journal is kept beside the last entry of each document that is there.
type Keep struct {
	Since   time.Time // what changed since then
	Entries int       // at most so many
}

// Shorten takes out of the journal what is older than what is kept: tombstones, and entries of documents that changed again.
// What is left of the time before are the last entries of documents, from which whoever never held anything may start. First it
// is said from where the journal is whole (see Start), then the rest goes: a cursor is old from then on, however far this came.
// It is for the node that leads.
func (k Keeper) Shorten(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) error {
	if err := k.markEnd(ctx); err != nil {
		return err
	}
	start, err := k.begin(ctx, sweeper, keep)
	if err != nil || start == (store.Sequence{}) {
		return err
	}
	until := []any{int64(start.Index), start.Position}
	err = sweeper.Sweep(ctx, sweep.Rows{
		Table: "journal_mark", Key: []string{"idx", "pos"}, Until: until, Old: "(idx, pos) < (?, ?)", Args: until,
	})
	if err != nil {
		return err
	}
	// The end stays whatever it is: it says how far the site came.
	return sweeper.Sweep(ctx, sweep.Rows{
		Table: "journal", Key: []string{"idx", "pos"}, Until: until,
		Old: `NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = journal.kind AND d.id = journal.id AND d.idx = journal.idx AND d.pos = journal.pos)
AND (journal.idx, journal.pos) < (SELECT l.idx, l.pos FROM journal l ORDER BY l.idx DESC, l.pos DESC LIMIT 1)`,
	})
}

// markEnd marks where the journal ends, so that it can be shortened up to there one day.
func (k Keeper) markEnd(ctx context.Context) error {
	var end store.Sequence
	err := k.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT idx, pos FROM journal ORDER BY idx DESC, pos DESC LIMIT 1`).Scan(&end.Index, &end.Position)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = k.Mark(ctx, end)
	}
	if err != nil {
		return fmt.Errorf("mark the journal's end: %w", err)
	}
	return nil
}

// newestOld is the last place that was marked before a time. firstAfter is the first marked one at or behind the place from which
// on as many entries follow as are kept, or the last one before the end.
const (
	newestOld = `SELECT idx, pos FROM journal_mark WHERE at <> '' AND at < ? ORDER BY idx DESC, pos DESC LIMIT 1`

	firstAfter = `SELECT m.idx, m.pos FROM journal_mark m WHERE (m.idx, m.pos) >= (
  SELECT idx, pos FROM journal ORDER BY idx DESC, pos DESC LIMIT 1 OFFSET ?) ORDER BY m.idx, m.pos LIMIT 1`

	superseded = `SELECT (SELECT count(*) FROM journal) - (SELECT count(*) FROM document)`
)

// begin moves the start of the journal on, and returns it.
func (k Keeper) begin(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) (start store.Sequence, err error) {
	var now store.Sequence
	err = k.Reader.View(ctx, func(tx *sql.Tx) error {
		if now, err = Start(ctx, tx); err != nil {
			return err
		}
		start = now
		further := func(query string, args ...any) error {
			var at store.Sequence
			err := tx.QueryRowContext(ctx, query, args...).Scan(&at.Index, &at.Position)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err == nil && at.Compare(start) > 0 {
				start = at
			}
			return err
		}
		if err := further(newestOld, rows.Stamp(keep.Since)); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRowContext(ctx, superseded).Scan(&count); err != nil || count <= keep.Entries {
			return err
		}
		return further(firstAfter, keep.Entries)
	})
	if err == nil && start.Compare(now) > 0 {
		err = sweeper.Write(ctx, store.Statement{
			SQL: `INSERT INTO journal_start (one, idx, pos) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE
SET idx = excluded.idx, pos = excluded.pos WHERE (excluded.idx, excluded.pos) > (idx, pos)`,
			Args: []any{int64(start.Index), start.Position},
		})
	}
	if err != nil {
		return start, fmt.Errorf("move the start of the journal on: %w", err)
	}
	return start, nil
}
