// Package turns keeps who may install where a policy limits how many computers may at once.
package turns

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// A turn lets one computer install while the policy limits how many may at once. A computer asks for it by asking what
// is ordered, while it misses something that is held, its plan has started and a window is open; it gives it back by
// asking again with nothing left to install. Whoever does not finish loses it in the end, and others go first.
const (
	lasts = 2 * time.Hour // from the last time the computer asked
	most  = 6 * time.Hour // in all
	pause = 2 * time.Hour // before a computer that used up a whole turn gets another
)

// Turns is safe for use by several goroutines.
type Turns struct {
	Reader store.Reader
	Writer store.Writer
	Now    func() time.Time
}

// Turn is one computer's in a policy; the zero one was never granted.
type Turn struct {
	Granted, Until time.Time
}

// UsedUp says whether whoever had a turn had a whole one a short while ago, and stands aside.
func (t Turn) UsedUp(now time.Time) bool {
	return t.Until.Sub(t.Granted) > most-lasts && now.Sub(t.Until) < pause
}

// fresh says whether a turn need not, or must not, be made longer.
func (t Turn) fresh(now time.Time) bool {
	return t.Until.Sub(now) > lasts/2 || now.Sub(t.Granted) > most-lasts
}

// Of reads the turn of a computer in a policy.
func (t *Turns) Of(ctx context.Context, policy string, computer uint32) (Turn, error) {
	var from, to string
	err := t.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT granted, until FROM policy_turn WHERE policy = ? AND computer = ?`, policy, computer).
			Scan(&from, &to)
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Turn{}, fmt.Errorf("read the turns of policy %s: %w", policy, err)
	}
	return Turn{rows.Unstamp(from), rows.Unstamp(to)}, nil
}

// Held lists the policies in which a computer has a turn.
func (t *Turns) Held(ctx context.Context, computer uint32) (held []string, err error) {
	err = t.Reader.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT policy FROM policy_turn WHERE computer = ?`, computer)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var policy string
			if err := rows.Scan(&policy); err != nil {
				return err
			}
			held = append(held, policy)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the turns of computer %d: %w", computer, err)
	}
	return held, nil
}

// Count is how many computers have their turn in a policy now.
func (t *Turns) Count(ctx context.Context, policy string) (taken int, err error) {
	err = t.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM policy_turn WHERE policy = ? AND until > ?`, policy, rows.Stamp(t.Now())).
			Scan(&taken)
	})
	if err != nil {
		return 0, fmt.Errorf("count the turns of policy %s: %w", policy, err)
	}
	return taken, nil
}

// Take takes a turn when fewer than limit are taken, and says whether it did. The statements are judged where they are
// applied, so that two nodes cannot give away the same one.
func (t *Turns) Take(ctx context.Context, policy string, computer uint32, limit int) (bool, error) {
	now := t.Now()
	err := t.write(ctx, "take a turn",
		store.Statement{SQL: `DELETE FROM policy_turn WHERE policy = ? AND until <= ?`, Args: []any{policy, rows.Stamp(now.Add(-pause))}},
		store.Statement{
			SQL: `INSERT INTO policy_turn (policy, computer, granted, until)
				SELECT id, ?, ?, ? FROM policy
				WHERE id = ? AND (SELECT count(*) FROM policy_turn WHERE policy = ? AND computer <> ? AND until > ?) < ? ORDER BY id
				ON CONFLICT (policy, computer) DO UPDATE SET granted = excluded.granted, until = excluded.until`,
			Args: []any{
				int64(computer), rows.Stamp(now), rows.Stamp(now.Add(lasts)), policy, policy, int64(computer), rows.Stamp(now), int64(limit),
			}, Want: 1,
		})
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// GoOn makes a computer's turn longer, where it is time to and there is some left.
func (t *Turns) GoOn(ctx context.Context, policy string, computer uint32, turn Turn) error {
	now := t.Now()
	if turn.fresh(now) {
		return nil
	}
	return t.write(ctx, "go on with a turn", store.Statement{
		SQL:  `UPDATE policy_turn SET until = ? WHERE policy = ? AND computer = ?`,
		Args: []any{rows.Stamp(now.Add(lasts)), policy, int64(computer)},
	})
}

// GiveBack ends the turns of a computer in policies.
func (t *Turns) GiveBack(ctx context.Context, computer uint32, policies ...string) error {
	statements := make([]store.Statement, 0, len(policies))
	for _, policy := range policies {
		statements = append(statements, store.Statement{
			SQL: `DELETE FROM policy_turn WHERE policy = ? AND computer = ?`, Args: []any{policy, int64(computer)},
		})
	}
	if len(statements) == 0 {
		return nil
	}
	return t.write(ctx, "give turns back", statements...)
}

func (t *Turns) write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := t.Writer.Write(ctx, store.Batch{Reason: reason, At: t.Now().UTC(), Statements: statements})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}
