package computers

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"time"

	"thatch/node/computers/machine"
	"thatch/node/store/rows"
)

// Member is a computer as memory holds it, with what targets and lists ask of it. It is never changed, only replaced.
type Member struct {
	Computer
	Facts    machine.Known
	Counter  uint64 // of reports; 0: never reported
	Cursor   Cursor
	Reported time.Time
	Stamp    uint64
}

// Follow keeps memory as the database is, until ctx ends or changed is closed. Changed says when batches of this
// room's topic were applied, whoever wrote them.
func (r *Room) Follow(ctx context.Context, changed <-chan struct{}) error {
	for {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-changed:
			if !open {
				return nil
			}
		}
	}
}

// refresh reads what changed since the last one. What was begun is ended even if the caller goes away meanwhile; after
// an error or a panic on the way everything is read anew the next time.
func (r *Room) refresh(ctx context.Context) error {
	if err := r.reader.View(ctx, func(*sql.Tx) error { return nil }); err != nil { // waits for the caller's index
		return fmt.Errorf("read what changed of computers: %w", err)
	}
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	ctx = context.WithoutCancel(ctx)
	since := r.loaded
	r.loaded = 0
	var loaded int64
	var moved bool
	err := r.reader.View(ctx, func(tx *sql.Tx) (err error) {
		if err := tx.QueryRowContext(ctx, `SELECT idx FROM applied`).Scan(&loaded); err != nil {
			return err
		}
		if since > 0 {
			r.memory.mu.Lock()
			defer r.memory.mu.Unlock()
			r.memory.stamp++
			moved, err = load(ctx, tx, r.memory, since)
			return err
		}
		fresh := newInverse()
		fresh.stamp = r.memory.stamp + 1
		if moved, err = load(ctx, tx, fresh, 0); err != nil {
			return err
		}
		r.memory.replace(fresh)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what changed of computers: %w", err)
	}
	r.loaded = loaded
	if moved {
		select {
		case r.moved <- struct{}{}:
		default:
		}
	}
	return r.Prompts.Refresh(ctx)
}

// Moved says that memory has changed. One may listen.
func (r *Room) Moved() <-chan struct{} { return r.moved }

// load says whether there was anything to load.
func load(ctx context.Context, tx *sql.Tx, into *inverse, since int64) (moved bool, err error) {
	l := loader{ctx: ctx, tx: tx, memory: into, since: since, whole: since == 0}
	for _, part := range []func() error{l.computers, l.facts, l.sets, l.states} {
		if err := part(); err != nil {
			return l.read > 0, err
		}
	}
	return l.read > 0, nil
}

// loader brings memory from one index to that of a read transaction.
type loader struct {
	ctx    context.Context
	tx     *sql.Tx
	memory *inverse
	since  int64
	whole  bool // nothing is loaded yet
	read   int  // rows
}

// Parts of memory, and the tables they come from.
const (
	ofComputers = iota
	ofFacts
	ofSets
	ofStates
)

// changed are the queries for what changed after an index, by number. They name the index to find it by: SQLite would
// rather walk the whole table in the order asked for.
var changed = [4]string{
	ofComputers: `SELECT ` + computerColumns + `, s.number IS NOT NULL FROM computer c INDEXED BY computer_idx
		LEFT JOIN computer_sets s ON s.number = c.number WHERE c.idx > ? ORDER BY c.number`,
	ofFacts: `SELECT number, body FROM computer_facts INDEXED BY computer_facts_idx WHERE idx > ? ORDER BY number`,
	ofSets: `SELECT s.number, s.counter, s.cursor_idx, s.cursor_pos, s.at, s.delta, NULL
		FROM computer_sets s INDEXED BY computer_sets_idx WHERE s.idx > ? ORDER BY s.number`,
	ofStates: `SELECT number, upd, status FROM computer_state INDEXED BY computer_state_idx WHERE idx > ? ORDER BY number, upd`,
}

var indexedBy = regexp.MustCompile(` INDEXED BY \w+`)

// query is the query of a part. The first load walks the tables, and reads the sets whole.
func (l *loader) query(part int) string {
	if !l.whole {
		return changed[part]
	}
	return strings.Replace(indexedBy.ReplaceAllString(changed[part], ""), "s.delta, NULL", "NULL, s.sets", 1)
}

func (l *loader) rows(each func(*sql.Rows) error, query string, args ...any) error {
	rows, err := l.tx.QueryContext(l.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		l.read++
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (l *loader) computers() error {
	var emptied []uint32
	err := l.rows(func(rows *sql.Rows) error {
		var reported bool
		c, err := scanComputer(rows, &reported)
		if err != nil {
			return err
		}
		next := &Member{Computer: c}
		if former := l.memory.members[c.Number]; former != nil {
			next.Facts, next.Counter, next.Cursor, next.Reported = former.Facts, former.Counter, former.Cursor, former.Reported
			if !reported || !former.Enrolled.Equal(c.Enrolled) {
				next.Counter, next.Cursor, next.Reported = 0, Cursor{}, time.Time{}
				emptied = append(emptied, c.Number)
			}
		}
		next.Facts.System.Platform = c.Platform
		l.memory.put(next)
		return nil
	}, l.query(ofComputers), l.since)
	for _, number := range emptied {
		l.memory.shift(number, differ(l.memory.sets(number), NewSets()))
		l.memory.forget(number)
	}
	return err
}

func (l *loader) facts() error {
	return l.rows(func(rows *sql.Rows) error {
		var number uint32
		var body []byte
		if err := rows.Scan(&number, &body); err != nil {
			return err
		}
		former := l.memory.members[number]
		if former == nil {
			return nil
		}
		next := *former
		var err error
		if next.Facts, err = machine.Decode(body); err != nil {
			return fmt.Errorf("facts of computer %d: %w", number, err)
		}
		l.memory.put(&next)
		return nil
	}, l.query(ofFacts), l.since)
}

// sets takes reports. While memory holds the report before, the difference is enough; else the sets are read.
func (l *loader) sets() error {
	var behind []uint32
	err := l.rows(func(row *sql.Rows) error {
		var number uint32
		var next Member
		var at string
		var delta, whole []byte
		if err := row.Scan(&number, &next.Counter, &next.Cursor.Index, &next.Cursor.Pos, &at, &delta, &whole); err != nil {
			return err
		}
		former := l.memory.members[number]
		if former == nil || !former.Retired.IsZero() {
			return nil
		}
		next.Computer, next.Facts, next.Reported = former.Computer, former.Facts, rows.Unstamp(at)
		l.memory.put(&next)
		switch {
		case l.whole:
			sets, err := decodeSets(whole)
			if err != nil {
				return fmt.Errorf("computer %d: %w", number, err)
			}
			l.memory.fill(number, sets)
		case former.Counter == next.Counter:
		case former.Counter+1 == next.Counter && delta != nil:
			d, err := decodeDifference(delta)
			if err != nil {
				return fmt.Errorf("computer %d: %w", number, err)
			}
			l.memory.shift(number, d)
		default:
			behind = append(behind, number)
		}
		return nil
	}, l.query(ofSets), l.since)
	if err != nil {
		return err
	}
	for _, number := range behind {
		var blob []byte
		if err := l.tx.QueryRowContext(l.ctx, `SELECT sets FROM computer_sets WHERE number = ?`, number).Scan(&blob); err != nil {
			return err
		}
		sets, err := decodeSets(blob)
		if err != nil {
			return fmt.Errorf("computer %d: %w", number, err)
		}
		l.memory.shift(number, differ(l.memory.sets(number), sets))
	}
	return nil
}

func (l *loader) states() error {
	return l.rows(func(rows *sql.Rows) error {
		var number, update uint32
		var status string
		if err := rows.Scan(&number, &update, &status); err != nil {
			return err
		}
		m := l.memory.members[number]
		if m == nil || !m.Retired.IsZero() || update >= MaxNumber {
			return nil
		}
		same := *m
		l.memory.put(&same)
		l.memory.hear(number, update, Status(status))
		return nil
	}, l.query(ofStates), l.since)
}

// LastSeen calls set with the last-seen time of each computer of which more is known than its row says.
func (r *Room) LastSeen(set func(number uint32, at time.Time)) { r.seen.Each(set) }

// LatestSeen is when a computer was last heard of; stored is what its row says.
func (r *Room) LatestSeen(number uint32, stored time.Time) time.Time {
	return r.seen.Latest(number, stored)
}

// Computers returns every computer, retired ones too, sorted by number, with the latest last-seen times.
func (r *Room) Computers() []Member {
	var all []Member
	r.Look(func(v View) {
		all = make([]Member, 0, len(v.Members()))
		for _, m := range v.Members() {
			all = append(all, *m)
		}
	})
	sortByNumber(all)
	for i := range all {
		all[i].LastSeen = r.seen.Latest(all[i].Number, all[i].LastSeen)
	}
	return all
}

// Member finds a computer in memory by its id; nil when there is none.
func (r *Room) Member(id string) *Member {
	var found *Member
	r.Look(func(v View) { found = v.Member(id) })
	return found
}
