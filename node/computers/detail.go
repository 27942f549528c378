package computers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"thatch/node/store/rows"
)

// Detail is everything the room holds of one computer.
type Detail struct {
	Computer
	Facts    *Facts           // nil: never reported
	Known    bool             // it reported its sets
	Counter  uint64           // of reports
	Cursor   Cursor           // of the rules it evaluated
	Sets     Sets             // empty when not Known
	Reasons  Reasons          // of Sets.Unknown
	States   map[uint32]State // of ordered updates
	Attempts []Attempt        // newest first
}

// Detail reads one computer by its id.
func (r *Room) Detail(ctx context.Context, id string) (Detail, error) {
	d := Detail{States: make(map[uint32]State)}
	var err error
	if d.Computer, err = r.Get(ctx, id); err != nil {
		return d, err
	}
	now, err := r.standing(ctx, d.Number)
	if err != nil {
		return d, err
	}
	d.Known, d.Counter, d.Cursor, d.Sets, d.Reasons = now.exists, now.counter, now.cursor, now.sets, now.reasons
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		l := loader{ctx: ctx, tx: tx}
		return errors.Join(d.readFacts(&l), d.readStates(&l), d.readAttempts(&l))
	})
	if err != nil {
		return d, fmt.Errorf("read computer %s: %w", d.Name, err)
	}
	return d, nil
}

func (d *Detail) readFacts(l *loader) error {
	return l.rows(func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		d.Facts = new(Facts)
		return json.Unmarshal(body, d.Facts)
	}, `SELECT body FROM computer_facts WHERE number = ?`, d.Number)
}

func (d *Detail) readStates(l *loader) error {
	return l.rows(func(row *sql.Rows) error {
		var s State
		var starts, applied, at string
		if err := row.Scan(&s.Number, &s.Policy, &s.Status, &s.Text, &starts, &applied, &at); err != nil {
			return err
		}
		s.Starts, s.LastApplied, s.At = rows.Unstamp(starts), rows.Unstamp(applied), rows.Unstamp(at)
		d.States[s.Number] = s
		return nil
	}, `SELECT upd, policy, status, text, starts, last_applied, at FROM computer_state WHERE number = ?`, d.Number)
}

func (d *Detail) readAttempts(l *loader) error {
	return l.rows(func(row *sql.Rows) error {
		var a Attempt
		var started, ended string
		err := row.Scan(&a.ID, &a.Number, &a.Policy, &a.Package, &started, &ended, &a.Code, &a.Success, &a.Restart, &a.Remained, &a.Text)
		a.Started, a.Ended = rows.Unstamp(started), rows.Unstamp(ended)
		d.Attempts = append(d.Attempts, a)
		return err
	}, `SELECT id, upd, policy, package, started, ended, code, success, restart, remained, text
		FROM computer_attempt WHERE number = ? ORDER BY started DESC, id DESC`, d.Number)
}

// StatesOf reads how the ordered updates of a policy stand: by computer number, then update number.
func (r *Room) StatesOf(ctx context.Context, policy string) (map[uint32]map[uint32]Status, error) {
	all := make(map[uint32]map[uint32]Status)
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		l := loader{ctx: ctx, tx: tx}
		return l.rows(func(rows *sql.Rows) error {
			var number, update uint32
			var status Status
			if err := rows.Scan(&number, &update, &status); err != nil {
				return err
			}
			if all[number] == nil {
				all[number] = make(map[uint32]Status)
			}
			all[number][update] = status
			return nil
		}, `SELECT number, upd, status FROM computer_state WHERE policy = ?`, policy)
	})
	if err != nil {
		return nil, fmt.Errorf("read the states of policy %s: %w", policy, err)
	}
	return all, nil
}
