// Package prompts holds what operators ask of computers outside of their turns: to scan now, or to make a whole cycle.
// There is at most one prompt for each computer, the latest; all are in memory too, so that a computer that asks whether
// there is one for it costs no query.
package prompts

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"thatch/node/computers/gather"
	"thatch/node/computers/reasons"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Kind is what a computer is asked to do.
type Kind string

// The kinds. A cycle scans too, and then downloads and installs what is ordered, as far as windows and policies allow.
const (
	Scan  Kind = "scan"
	Cycle Kind = "cycle"
)

// State is how far a prompt has come.
type State string

// The states.
const (
	Asked     State = "asked" // its agent has not been told yet
	Told      State = "told"  // its agent is at it
	Done      State = "done"
	Failed    State = "failed"    // its agent was at it, and says why it was not done
	Expired   State = "expired"   // it was not done in time
	Cancelled State = "cancelled" // nobody wants it any more
)

// States lists them all.
var States = []State{Asked, Told, Done, Failed, Expired, Cancelled}

// Protocol is that of the first agents that know of prompts.
const Protocol = 2

// Limits of a prompt.
const (
	maxNumbers = 50_000 // in one batch
	maxText    = 500    // bytes of what an agent says
	Lasts      = 24 * time.Hour
	LongestFor = 30 * 24 * time.Hour
)

// Prompt is what was asked of one computer. Times that are zero have not come.
type Prompt struct {
	Number      uint32 // of the computer
	ID          string // of the asking: one for all computers that were asked together
	Kind        Kind
	Asked       time.Time
	By          string
	Expires     time.Time
	Told        time.Time
	Done        time.Time
	Failed      bool
	Text        string // what the agent said of it
	Cancelled   time.Time
	CancelledBy string
}

// State is how far it has come.
func (p Prompt) State(now time.Time) State {
	switch {
	case !p.Done.IsZero() && p.Failed:
		return Failed
	case !p.Done.IsZero():
		return Done
	case !p.Cancelled.IsZero():
		return Cancelled
	case !p.Expires.After(now):
		return Expired
	case !p.Told.IsZero():
		return Told
	}
	return Asked
}

// Open says whether its agent is to do it still.
func (p Prompt) Open(now time.Time) bool {
	state := p.State(now)
	return state == Asked || state == Told
}

// Room is the prompts of a site. It is safe for use by several goroutines.
type Room struct {
	reader   store.Reader
	writer   store.Writer
	now      func() time.Time
	topic    string
	gatherer *gather.Gatherer

	refreshing sync.Mutex
	loaded     int64

	mu      sync.Mutex
	held    map[uint32]Prompt
	waiting map[uint32][]chan struct{}
}

// New makes the room. Batches of it name the topic. What agents say is written by the gatherer; whoever applies batches
// of either calls Refresh.
func New(reader store.Reader, writer store.Writer, now func() time.Time, topic string, g *gather.Gatherer) *Room {
	return &Room{reader: reader, writer: writer, now: now, topic: topic, gatherer: g, held: map[uint32]Prompt{}, waiting: map[uint32][]chan struct{}{}}
}

// Asking is what became of a request to prompt computers.
type Asking struct {
	ID      string // of the prompts that were made
	Made    int
	Already int // were asked before, and have not done it yet: that stands
}

// Ask prompts computers, until a time. One that is to do as much already is not asked again; a cycle takes the place of a
// scan.
func (r *Room) Ask(ctx context.Context, by string, kind Kind, until time.Time, numbers []uint32) (Asking, error) {
	if kind != Scan && kind != Cycle {
		return Asking{}, store.Invalid("%.40q is nothing that a computer is asked to do: want %s or %s", kind, Scan, Cycle)
	}
	now := r.now()
	if !until.After(now) || until.Sub(now) > LongestFor+time.Minute {
		return Asking{}, store.Invalid("a prompt may last for up to %s from now, not until %s", LongestFor, until.UTC().Format(time.RFC3339))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Asking{}, fmt.Errorf("make an id: %w", err)
	}
	asking := Asking{ID: id.String()}
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	reason := fmt.Sprintf("ask %d computers for a %s", len(numbers), kind)
	err = r.write(ctx, reason, numbers, func(list string) store.Statement {
		return store.Statement{
			SQL: `INSERT INTO computer_prompt (number, id, kind, asked, asked_by, expires, idx)
				SELECT number, ?, ?, ?, ?, ?, ? FROM computer WHERE retired = '' AND number IN (SELECT value FROM json_each(?)) ORDER BY number
				ON CONFLICT (number) DO UPDATE SET id = excluded.id, kind = excluded.kind, asked = excluded.asked,
					asked_by = excluded.asked_by, expires = excluded.expires, told = '', done = '', failed = 0, text = '',
					cancelled = '', cancelled_by = '', idx = excluded.idx
				WHERE done <> '' OR cancelled <> '' OR expires <= excluded.asked OR kind = 'scan' AND excluded.kind = 'cycle'`,
			Args: []any{asking.ID, string(kind), rows.Stamp(now), by, rows.Stamp(until), store.Index{}, list},
		}
	})
	if err != nil {
		return asking, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, number := range numbers {
		switch p, there := r.held[number]; {
		case there && p.ID == asking.ID:
			asking.Made++
		case there && p.Open(now):
			asking.Already++
		}
	}
	return asking, nil
}

// Cancel takes back what computers were asked and have not done yet. It returns how many that were.
func (r *Room) Cancel(ctx context.Context, by string, numbers []uint32) (int, error) {
	now := r.now()
	var open []uint32
	r.mu.Lock()
	for _, number := range numbers {
		if r.held[number].Open(now) {
			open = append(open, number)
		}
	}
	r.mu.Unlock()
	reason := fmt.Sprintf("ask %d computers no more", len(open))
	return len(open), r.write(ctx, reason, open, func(list string) store.Statement {
		return store.Statement{
			SQL: `UPDATE computer_prompt SET cancelled = ?, cancelled_by = ?, idx = ?
				WHERE done = '' AND cancelled = '' AND expires > ? AND number IN (SELECT value FROM json_each(?))`,
			Args: []any{rows.Stamp(now), by, store.Index{}, rows.Stamp(now), list},
		}
	})
}

// write proposes a statement for numbers, so many in a batch, and waits until memory holds what it changed.
func (r *Room) write(ctx context.Context, reason string, numbers []uint32, statement func(list string) store.Statement) error {
	for part := range slices.Chunk(numbers, maxNumbers) {
		list, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("%s: %w", reason, err)
		}
		batch := store.Batch{Reason: reason, At: r.now(), Topics: []string{r.topic}, Statements: []store.Statement{statement(string(list))}}
		applied, err := r.writer.Write(ctx, batch)
		if err == nil {
			err = applied.Err()
		}
		if err == nil {
			err = r.Refresh(store.AtLeast(ctx, applied.Index))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", reason, err)
		}
	}
	return nil
}

// Tell notes that an agent was told of a prompt. What it was told before stands.
func (r *Room) Tell(ctx context.Context, p Prompt) error {
	if !p.Told.IsZero() {
		return nil
	}
	_, err := r.gatherer.Do(ctx, []store.Statement{{
		SQL:  `UPDATE computer_prompt SET told = ?, idx = ? WHERE number = ? AND id = ? AND told = ''`,
		Args: []any{rows.Stamp(r.now()), store.Index{}, int64(p.Number), p.ID},
	}})
	if err != nil {
		return fmt.Errorf("note that computer %d was told: %w", p.Number, err)
	}
	return nil
}

// Finish notes what an agent says of a prompt that it has done, or could not do. One that is not the computer's latest is
// passed over, as is what is said twice.
func (r *Room) Finish(ctx context.Context, number uint32, id string, failed bool, text string) error {
	if p, there := r.Of(number); !there || p.ID != id || !p.Done.IsZero() {
		return nil
	}
	now := rows.Stamp(r.now())
	_, err := r.gatherer.Do(ctx, []store.Statement{{
		SQL: `UPDATE computer_prompt SET done = ?, failed = ?, text = ?, told = CASE told WHEN '' THEN ? ELSE told END, idx = ?
			WHERE number = ? AND id = ? AND done = ''`,
		Args: []any{now, failed, reasons.Clip(text, maxText), now, store.Index{}, int64(number), id},
	}})
	if err != nil {
		return fmt.Errorf("note what computer %d has done: %w", number, err)
	}
	return nil
}

// Of is the prompt of a computer, by its number.
func (r *Room) Of(number uint32) (Prompt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, there := r.held[number]
	return p, there
}

// All are the prompts of all computers, by number.
func (r *Room) All() []Prompt {
	r.mu.Lock()
	all := make([]Prompt, 0, len(r.held))
	for _, p := range r.held {
		all = append(all, p)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b Prompt) int { return int(a.Number) - int(b.Number) })
	return all
}

// Await returns the open prompt of a computer, as soon as there is one; false when ctx ends before.
func (r *Room) Await(ctx context.Context, number uint32) (Prompt, bool) {
	woken := make(chan struct{}, 1)
	r.mu.Lock()
	r.waiting[number] = append(r.waiting[number], woken)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting[number] = slices.DeleteFunc(r.waiting[number], func(c chan struct{}) bool { return c == woken })
		if len(r.waiting[number]) == 0 {
			delete(r.waiting, number)
		}
	}()
	for {
		if p, there := r.Of(number); there && p.Open(r.now()) {
			return p, true
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return Prompt{}, false
		}
	}
}

// Refresh reads into memory what changed since the last time, and wakes those who wait for it.
func (r *Room) Refresh(ctx context.Context) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	var loaded int64
	var changed []Prompt
	err := r.reader.View(ctx, func(tx *sql.Tx) (err error) {
		if err := tx.QueryRowContext(ctx, `SELECT idx FROM applied`).Scan(&loaded); err != nil || loaded == r.loaded {
			return err
		}
		changed, err = since(ctx, tx, r.loaded)
		return err
	})
	if err != nil {
		return fmt.Errorf("read what computers are asked: %w", err)
	}
	r.loaded = loaded
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range changed {
		r.held[p.Number] = p
		for _, c := range r.waiting[p.Number] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

func since(ctx context.Context, tx *sql.Tx, index int64) ([]Prompt, error) {
	found, err := tx.QueryContext(ctx, `SELECT number, id, kind, asked, asked_by, expires, told, done, failed, text, cancelled, cancelled_by
		FROM computer_prompt WHERE idx > ?`, index)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []Prompt
	for found.Next() {
		var p Prompt
		var asked, expires, told, done, cancelled string
		err := found.Scan(&p.Number, &p.ID, &p.Kind, &asked, &p.By, &expires, &told, &done, &p.Failed, &p.Text, &cancelled, &p.CancelledBy)
		if err != nil {
			return nil, err
		}
		for text, into := range map[*string]*time.Time{&asked: &p.Asked, &expires: &p.Expires, &told: &p.Told, &done: &p.Done, &cancelled: &p.Cancelled} {
			*into = rows.Unstamp(*text)
		}
		all = append(all, p)
	}
	return all, found.Err()
}
