// Package sweep takes old rows out of the site's tables, a few in a batch: no step holds up writers for long, none is repeated
// after a crash, and every node of the site removes the same rows.
package sweep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/node/store"
)

// Rows says what of a table goes.
type Rows struct {
	Table string
	Key   []string // columns of the primary key, in its order
	Until []any    // the last key that is looked at; nil: the whole table
	// Old is a condition for the rows that go, over the table's columns by their full names where another table has them too,
	// with its arguments. It is asked again where the rows are removed.
	Old  string
	Args []any
	// With are tables whose rows go together with those that name them by the first column of Key.
	With []Part
	Step int // rows looked at for each batch; 0: 1000
}

// Part is a table of which rows belong to those of another one.
type Part struct{ Table, Column string }

// defaultStep is how many rows a batch removes at most.
const defaultStep = 1000

// Sweeper removes rows.
type Sweeper struct {
	Reader store.Reader
	Writer store.Writer
	// Removed counts what was removed, by table.
	Removed map[string]int
}

// New makes a Sweeper.
func New(reader store.Reader, writer store.Writer) *Sweeper {
	return &Sweeper{Reader: reader, Writer: writer, Removed: map[string]int{}}
}

// Sweep walks a table along its primary key and removes the rows that are old. Between two batches it waits as long as the
// last one took, so that others come to write. Cut short, it leaves what it has not come to.
func (s *Sweeper) Sweep(ctx context.Context, what Rows, topics ...string) error {
	if what.Step <= 0 {
		what.Step = defaultStep
	}
	for from := []any(nil); ; {
		found, err := s.look(ctx, &what, from)
		if err != nil {
			return fmt.Errorf("look for what is old in table %s: %w", what.Table, err)
		}
		if found.old > 0 {
			began := time.Now()
			if err := s.write(ctx, what.remove(found), topics); err != nil {
				return fmt.Errorf("remove what is old from table %s: %w", what.Table, err)
			}
			s.Removed[what.Table] += found.old
			if err := wait(ctx, time.Since(began)); err != nil {
				return err
			}
		}
		if found.end == nil {
			return nil
		}
		from = found.end
	}
}

// Write writes statements as this Sweeper does.
func (s *Sweeper) Write(ctx context.Context, statements ...store.Statement) error {
	return s.write(ctx, statements, nil)
}

func (s *Sweeper) write(ctx context.Context, statements []store.Statement, topics []string) error {
	applied, err := s.Writer.Write(ctx, store.Batch{
		Actor: "task housekeeping", Reason: "forget what is old", Topics: topics, Statements: statements,
	})
	return errors.Join(err, applied.Err())
}

func wait(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// piece is what was found in a piece of a table.
type piece struct {
	old         int
	first, last []any // keys of the first and the last old row
	end         []any // key of the last row, nil where the table ends
}

func (r *Rows) key() string { return "(" + strings.Join(r.Key, ", ") + ")" }

func (r *Rows) marks() string { return "(?" + strings.Repeat(", ?", len(r.Key)-1) + ")" }

// look reads the next rows after a key.
func (s *Sweeper) look(ctx context.Context, what *Rows, from []any) (p piece, err error) {
	var where []string
	args := slices.Clone(what.Args)
	if from != nil {
		where, args = append(where, what.key()+" > "+what.marks()), append(args, from...)
	}
	if what.Until != nil {
		where, args = append(where, what.key()+" <= "+what.marks()), append(args, what.Until...)
	}
	query := "SELECT coalesce((" + what.Old + "), 0), " + strings.Join(what.Key, ", ") + " FROM " + what.Table
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	query += " ORDER BY " + strings.Join(what.Key, ", ") + " LIMIT ?"
	err = s.Reader.View(ctx, func(tx *sql.Tx) error {
		p = piece{}
		rows, err := tx.QueryContext(ctx, query, append(args, what.Step)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		count := 0
		var key []any
		for ; rows.Next(); count++ {
			var old bool
			key = make([]any, len(what.Key))
			into := []any{&old}
			for i := range key {
				into = append(into, &key[i])
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			if old {
				p.old++
				p.last = key
				if p.first == nil {
					p.first = key
				}
			}
		}
		if count == what.Step {
			p.end = key
		}
		return rows.Err()
	})
	return p, err
}

// remove are the statements that remove the old rows of a piece, and what belongs to them before.
func (r *Rows) remove(p piece) []store.Statement {
	within := r.key() + " >= " + r.marks() + " AND " + r.key() + " <= " + r.marks() + " AND (" + r.Old + ")"
	args := slices.Concat(p.first, p.last, r.Args)
	var statements []store.Statement
	for _, with := range r.With {
		statements = append(statements, store.Statement{
			SQL:  "DELETE FROM " + with.Table + " WHERE " + with.Column + " IN (SELECT " + r.Key[0] + " FROM " + r.Table + " WHERE " + within + ")",
			Args: args,
		})
	}
	return append(statements, store.Statement{SQL: "DELETE FROM " + r.Table + " WHERE " + within, Args: args})
}

// Beyond is the value of a column in the row behind the newest of a table, as many as are kept; "" where there are no more.
// What is not newer than it is beyond what is kept.
func (s *Sweeper) Beyond(ctx context.Context, table, column string, kept int) (value string, err error) {
	err = s.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT "+column+" FROM "+table+" ORDER BY "+column+" DESC LIMIT 1 OFFSET ?", kept).Scan(&value)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for what table %s has too much: %w", table, err)
	}
	return value, nil
}
