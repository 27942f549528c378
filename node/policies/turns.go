package policies

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"thatch/node/computers"
	"thatch/node/store"
)

// A turn lets one computer install while the policy limits how many may at once. A computer asks for it by asking what
// is ordered, while it misses something that is held, its plan has started and a window is open; it gives it back by
// asking again with nothing left to install. Whoever does not finish loses it in the end, and others go first.
const (
	turnLasts = 2 * time.Hour // from the last time the computer asked
	turnMost  = 6 * time.Hour // in all
	turnPause = 2 * time.Hour // before a computer that used up a whole turn gets another
)

// turn finds out whether it is the computer's turn in a policy.
func (r *Room) turn(ctx context.Context, m *computers.Member, c *chosen, windows []*window) error {
	limit := c.order.body.Plan.Simultaneous
	if limit == 0 || c.Paused {
		return nil
	}
	granted, until, err := r.granted(ctx, c.order.ID, m.Number)
	if err != nil {
		return err
	}
	now := r.cfg.Now()
	switch wants := c.wants(); {
	case !wants && !granted.IsZero():
		return r.writeTurn(ctx, "give a turn back", giveBack(c.order.ID, m.Number))
	case !wants:
		return nil
	case until.After(now):
		if until.Sub(now) > turnLasts/2 || now.Sub(granted) > turnMost-turnLasts {
			return nil
		}
		return r.writeTurn(ctx, "go on with a turn", store.Statement{
			SQL:  `UPDATE policy_turn SET until = ? WHERE policy = ? AND computer = ?`,
			Args: []any{stampTurn(now.Add(turnLasts)), c.order.ID, int64(m.Number)},
		})
	}
	c.Wait = true
	usedUp := until.Sub(granted) > turnMost-turnLasts && now.Sub(until) < turnPause
	if usedUp || !r.open(m, c.order, windows) {
		return nil
	}
	err = r.writeTurn(ctx, "take a turn", takeTurn(c.order.ID, m.Number, limit, now)...)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	c.Wait = err != nil
	return err
}

// wants says whether there is something to install.
func (c *chosen) wants() bool {
	return slices.ContainsFunc(c.Choices, func(pick choice) bool { return pick.missing && pick.Held })
}

func giveBack(policy string, computer uint32) store.Statement {
	return store.Statement{SQL: `DELETE FROM policy_turn WHERE policy = ? AND computer = ?`, Args: []any{policy, int64(computer)}}
}

// GiveBack ends the turns of a computer that has nothing left to install, so that the next one need not wait until it
// asks again. It is called when a computer reported; without turns it costs one query.
func (r *Room) GiveBack(ctx context.Context, computer string) error {
	m := r.cfg.Computers.Member(computer)
	if m == nil {
		return store.NotFound("computer", computer)
	}
	held, err := r.turnsOf(ctx, m.Number)
	if err != nil || len(held) == 0 {
		return err
	}
	o, err := r.load(ctx)
	if err != nil {
		return err
	}
	list, err := r.choose(ctx, o, m)
	if err == nil {
		err = r.findHeld(ctx, list)
	}
	if err != nil {
		return err
	}
	var statements []store.Statement
	for _, policy := range held {
		at := slices.IndexFunc(list, func(c chosen) bool { return c.order.ID == policy })
		if at < 0 || !list[at].wants() {
			statements = append(statements, giveBack(policy, m.Number))
		}
	}
	if len(statements) == 0 {
		return nil
	}
	return r.writeTurn(ctx, "give turns back", statements...)
}

func (r *Room) turnsOf(ctx context.Context, computer uint32) (held []string, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
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

// takeTurn takes a turn when fewer than limit are taken. The statements are judged where they are applied, so that two
// nodes cannot give away the same one.
func takeTurn(policy string, computer uint32, limit int, now time.Time) []store.Statement {
	return []store.Statement{
		{SQL: `DELETE FROM policy_turn WHERE policy = ? AND until <= ?`, Args: []any{policy, stampTurn(now.Add(-turnPause))}},
		{
			SQL: `INSERT INTO policy_turn (policy, computer, granted, until)
				SELECT id, ?, ?, ? FROM policy
				WHERE id = ? AND (SELECT count(*) FROM policy_turn WHERE policy = ? AND computer <> ? AND until > ?) < ? ORDER BY id
				ON CONFLICT (policy, computer) DO UPDATE SET granted = excluded.granted, until = excluded.until`,
			Args: []any{
				int64(computer), stampTurn(now), stampTurn(now.Add(turnLasts)), policy, policy, int64(computer), stampTurn(now), int64(limit),
			}, Want: 1,
		},
	}
}

// stampTurn writes a time so that text order is time order.
func stampTurn(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (r *Room) granted(ctx context.Context, policy string, computer uint32) (granted, until time.Time, err error) {
	var from, to string
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT granted, until FROM policy_turn WHERE policy = ? AND computer = ?`, policy, computer).
			Scan(&from, &to)
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return granted, until, fmt.Errorf("read the turns of policy %s: %w", policy, err)
	}
	return unstamp(from), unstamp(to), nil
}

func (r *Room) writeTurn(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Reason: reason, At: r.cfg.Now().UTC(), Statements: statements})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

// turns is how many computers have their turn in a policy now.
func (r *Room) turns(ctx context.Context, policy string) (taken int, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM policy_turn WHERE policy = ? AND until > ?`, policy, stampTurn(r.cfg.Now())).
			Scan(&taken)
	})
	if err != nil {
		return 0, fmt.Errorf("count the turns of policy %s: %w", policy, err)
	}
	return taken, nil
}
