package computers

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/node/computers/delivery"
	"thatch/node/computers/gather"
	"thatch/node/computers/reasons"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Limits of one report, beside those of sets.
const (
	maxStates   = 4_000
	maxAttempts = 500
	maxFacts    = 64 << 10 // bytes, encoded
	maxHotfixes = 2_000
	keptPerPC   = 500 // attempts
	statesPerPC = 20_000
)

// Report is what changed on a computer since its report numbered Base; Base 0 is a whole report.
type Report struct {
	Base       uint64
	Cursor     Cursor
	At         time.Time
	Applicable Change
	Installed  Change
	Unknown    Change
	Reasons    map[uint32]string
	Facts      *Facts
	States     []State
	Attempts   []Attempt
	// Hardware is that of the machine that reports, "" where not known.
	Hardware string
}

// Attempt is one run of an installer.
type Attempt struct {
	ID       string    `json:"id"`
	Number   uint32    `json:"number"`
	Policy   string    `json:"policy"`
	Package  string    `json:"package"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Code     int       `json:"code"`
	Success  bool      `json:"success"`
	Restart  bool      `json:"restart,omitempty"`
	Text     string    `json:"text,omitempty"`
	Remained bool      `json:"remained,omitempty"`
}

// Taken is the answer to a report. Resend asks for a whole report, because Base is not the site's counter.
type Taken struct {
	Counter uint64
	Resend  bool
}

// standing is what the database holds of a computer's reports.
type standing struct {
	number  uint32
	exists  bool
	counter uint64
	base    uint64
	digest  []byte
	cursor  Cursor
	sets    Sets
	reasons Reasons
	states  int // of ordered updates
}

// Report takes a report of the computer with the id. It returns when the report is durable. The same report again is
// answered like the first time and changes nothing. Errors wrap store.ErrNotFound, ErrRetired, ErrClone, ErrBadReport
// or ErrBusy.
func (r *Room) Report(ctx context.Context, id string, rep Report) (Taken, error) {
	c, err := r.Get(ctx, id)
	if err != nil {
		return Taken{}, err
	}
	if !c.Retired.IsZero() {
		return Taken{}, fmt.Errorf("%w: %s", ErrRetired, c.Name)
	}
	if err := checkHardware(c, rep); err != nil {
		return Taken{}, err
	}
	r.Seen(c.Number, r.now())
	now, err := r.standing(ctx, c.Number)
	if err != nil {
		return Taken{}, err
	}
	digest := rep.digest()
	if now.exists && now.base == rep.Base && string(now.digest) == string(digest) {
		return Taken{Counter: now.counter}, nil
	}
	if rep.Base != 0 && rep.Base != now.counter {
		return Taken{Counter: now.counter, Resend: true}, r.rival(ctx, c)
	}
	if rep.Base != 0 && rep.empty(now.cursor) {
		return Taken{Counter: now.counter}, nil
	}
	statements, err := rep.statements(now, digest, r.now())
	if err == nil && len(rep.States) > 0 && now.states+len(rep.States) > statesPerPC {
		err = fmt.Errorf("%w: with it, states of %d updates would be kept, at most %d are", ErrBadReport, now.states+len(rep.States), statesPerPC)
	}
	if err != nil {
		return Taken{}, fmt.Errorf("computer %s: %w", c.Name, err)
	}
	_, err = r.gatherer.Do(ctx, statements)
	if errors.Is(err, store.ErrConflict) { // another report of the same computer was faster
		return Taken{Counter: now.counter, Resend: true}, nil
	}
	if errors.Is(err, gather.ErrTooLarge) {
		return Taken{}, fmt.Errorf("%w: computer %s: %w", ErrBadReport, c.Name, err)
	}
	if err != nil {
		return Taken{}, err
	}
	return Taken{Counter: now.counter + 1}, nil
}

func (r *Room) standing(ctx context.Context, number uint32) (standing, error) {
	now := standing{number: number, sets: NewSets()}
	var sets, kept []byte
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT counter, base, digest, cursor_idx, cursor_pos, sets, reasons,
				(SELECT count(*) FROM computer_state s WHERE s.number = computer_sets.number)
			FROM computer_sets WHERE number = ?`, number).
			Scan(&now.counter, &now.base, &now.digest, &now.cursor.Index, &now.cursor.Pos, &sets, &kept, &now.states)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return now, nil
	}
	if err == nil {
		now.exists = true
		now.sets, err = decodeSets(sets)
	}
	if err == nil {
		now.reasons, err = reasons.Decode(kept)
	}
	if err != nil {
		return now, fmt.Errorf("read report of computer %d: %w", number, err)
	}
	return now, nil
}

// digest tells a repeated report from a new one.
func (rep *Report) digest() []byte {
	hash := sha256.New()
	_ = json.NewEncoder(hash).Encode(rep) // a hash takes everything, and a Report always encodes
	return hash.Sum(nil)
}

func (rep *Report) changes() [3]Change {
	return [3]Change{rep.Applicable, rep.Installed, rep.Unknown}
}

func (rep *Report) empty(at Cursor) bool {
	for _, c := range rep.changes() {
		if len(c.Add)+len(c.Remove) > 0 {
			return false
		}
	}
	return rep.Facts == nil && len(rep.States)+len(rep.Attempts) == 0 && rep.Cursor == at
}

// statements are what a report changes, guarded by the counter that it was held against.
func (rep *Report) statements(now standing, digest []byte, at time.Time) ([]store.Statement, error) {
	next, err := now.sets.apply(rep.Base == 0, rep.changes())
	if err != nil {
		return nil, err
	}
	sets, err := encodeSets(next)
	if err != nil {
		return nil, err
	}
	delta, err := differ(now.sets, next).encode()
	if err != nil {
		return nil, err
	}
	reasons, err := now.reasons.After(rep.Reasons, next.Unknown).Encode()
	if err != nil {
		return nil, err
	}
	statements := []store.Statement{{
		SQL: `INSERT INTO computer_sets (number, counter, base, digest, cursor_idx, cursor_pos, at, sets, delta, reasons, idx)
			SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM computer WHERE number = ? AND retired = '' ORDER BY number
			ON CONFLICT (number) DO UPDATE SET counter = excluded.counter, base = excluded.base, digest = excluded.digest,
				cursor_idx = excluded.cursor_idx, cursor_pos = excluded.cursor_pos, at = excluded.at, sets = excluded.sets,
				delta = excluded.delta, reasons = excluded.reasons, idx = excluded.idx
			WHERE counter = excluded.counter - 1`,
		Args: []any{
			int64(now.number), int64(now.counter + 1), int64(rep.Base), digest, int64(rep.Cursor.Index), int64(rep.Cursor.Pos),
			rows.Stamp(rep.At), sets, delta, reasons,
			store.Index{},
			int64(now.number),
		}, Want: 1,
	}}
	if !now.exists {
		// The row must still be absent: whoever made it meanwhile has counted further.
		statements = append([]store.Statement{{
			SQL: `UPDATE computer_sets SET counter = counter WHERE number = ?`, Args: []any{int64(now.number)}, Want: store.NoRows,
		}}, statements...)
	}
	for _, more := range []func(uint32, time.Time) ([]store.Statement, error){rep.factStatements, rep.stateStatements, rep.attemptStatements} {
		s, err := more(now.number, at)
		if err != nil {
			return nil, err
		}
		statements = append(statements, s...)
	}
	return statements, nil
}

func (rep *Report) factStatements(number uint32, at time.Time) ([]store.Statement, error) {
	f := rep.Facts
	if f == nil {
		return nil, nil
	}
	if name := strings.TrimSpace(f.Name); name == "" || len(name) > 200 {
		return nil, fmt.Errorf("%w: its facts name the computer %.40q, want 1 to 200 bytes", ErrBadReport, name)
	}
	if len(f.Hotfixes) > maxHotfixes {
		return nil, fmt.Errorf("%w: its facts list %d hotfixes, at most %d are allowed", ErrBadReport, len(f.Hotfixes), maxHotfixes)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("%w: its facts: %w", ErrBadReport, err)
	}
	if len(body) > maxFacts {
		return nil, fmt.Errorf("%w: its facts take %d bytes, at most %d are allowed", ErrBadReport, len(body), maxFacts)
	}
	return []store.Statement{
		{
			SQL: `INSERT INTO computer_facts (number, body, at, idx) VALUES (?, ?, ?, ?)
				ON CONFLICT (number) DO UPDATE SET body = excluded.body, at = excluded.at, idx = excluded.idx`,
			Args: []any{int64(number), body, rows.Stamp(at), store.Index{}}, Want: 1,
		},
		{
			SQL:  `UPDATE computer SET name = ?, languages = ?, idx = ? WHERE number = ?`,
			Args: []any{strings.TrimSpace(f.Name), joinTags(f.System.Languages), store.Index{}, int64(number)}, Want: 1,
		},
	}, nil
}

func (rep *Report) stateStatements(number uint32, at time.Time) ([]store.Statement, error) {
	if len(rep.States) > maxStates {
		return nil, fmt.Errorf("%w: it brings %d states, at most %d are allowed", ErrBadReport, len(rep.States), maxStates)
	}
	statements := make([]store.Statement, 0, len(rep.States))
	for _, s := range rep.States {
		if !slices.Contains(Statuses, s.Status) || s.Number >= MaxNumber || len(s.Policy) > 512 {
			return nil, fmt.Errorf("%w: state %.40q of update %d is none", ErrBadReport, s.Status, s.Number)
		}
		statements = append(statements, store.Statement{
			SQL: `INSERT INTO computer_state (number, upd, policy, status, text, starts, last_applied, at, idx)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (number, upd) DO UPDATE SET policy = excluded.policy, status = excluded.status,
					text = excluded.text, starts = excluded.starts, at = excluded.at, idx = excluded.idx,
					last_applied = CASE excluded.last_applied WHEN '' THEN last_applied ELSE excluded.last_applied END`,
			Args: []any{
				int64(number), int64(s.Number), s.Policy, string(s.Status), reasons.Clip(s.Text, MaxReason), rows.Stamp(s.Starts),
				rows.Stamp(s.LastApplied), rows.Stamp(at),
				store.Index{},
			}, Want: 1,
		})
	}
	return statements, nil
}

func (rep *Report) attemptStatements(number uint32, at time.Time) ([]store.Statement, error) {
	if len(rep.Attempts) == 0 {
		return nil, nil
	}
	if len(rep.Attempts) > maxAttempts {
		return nil, fmt.Errorf("%w: it brings %d attempts, at most %d are allowed", ErrBadReport, len(rep.Attempts), maxAttempts)
	}
	var statements []store.Statement
	for _, a := range rep.Attempts {
		if a.ID == "" || len(a.ID)+len(a.Package)+len(a.Policy) > 2_000 {
			return nil, fmt.Errorf("%w: attempt %.40q at update %d has no usable id", ErrBadReport, a.ID, a.Number)
		}
		statements = append(statements, delivery.Count(number, a.ID, delivery.Attempt{
			Ended: a.Ended, Policy: a.Policy, Update: a.Number, Succeeded: a.Success, Remained: a.Remained,
		}, at), store.Statement{
			SQL: `INSERT INTO computer_attempt
					(number, id, upd, policy, package, started, ended, code, success, restart, remained, text)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number, id) DO NOTHING`,
			Args: []any{
				int64(number), a.ID, int64(a.Number), a.Policy, a.Package, rows.Stamp(a.Started), rows.Stamp(a.Ended), int64(a.Code),
				a.Success, a.Restart, a.Remained, reasons.Clip(a.Text, MaxReason),
			},
		})
	}
	return append(statements, store.Statement{
		SQL: `DELETE FROM computer_attempt WHERE number = ? AND id IN (
			SELECT id FROM computer_attempt WHERE number = ? ORDER BY started DESC, id LIMIT -1 OFFSET ?)`,
		Args: []any{int64(number), int64(number), int64(keptPerPC)},
	}), nil
}
