// Package seen keeps when computers were last heard of, and by which node. The exact time is in the memory of that node;
// the others learn of it in coarse steps.
package seen

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// Step is how far a computer's last-seen time in the database may lie behind the one in memory.
const Step = 15 * time.Minute

// contact is when a computer was last heard of, and by which node.
type contact struct {
	at   time.Time
	node string // id
}

// Room is safe for use by several goroutines.
type Room struct {
	reader store.Reader
	writer store.Writer
	now    func() time.Time

	mu      sync.Mutex
	node    string    // this one's id
	last    []contact // by computer number; the zero contact: nothing is known
	written map[uint32]time.Time
}

// New makes the room.
func New(reader store.Reader, writer store.Writer, now func() time.Time) *Room {
	return &Room{reader: reader, writer: writer, now: now, written: map[uint32]time.Time{}}
}

// At says which node this is, by its id.
func (r *Room) At(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node = node
}

// Note notes that this node heard of a computer.
func (r *Room) Note(number uint32, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	former := r.of(number)
	if former.node != r.node {
		delete(r.written, number) // the others learn soon that it is here now
	}
	if at.After(former.at) {
		r.keep(number, contact{at, r.node})
	}
}

// of is what is known of a computer.
func (r *Room) of(number uint32) contact {
	if int(number) >= len(r.last) {
		return contact{}
	}
	return r.last[number]
}

func (r *Room) keep(number uint32, c contact) {
	if short := int(number) + 1 - len(r.last); short > 0 {
		r.last = append(r.last, make([]contact, short)...)
	}
	r.last[number] = c
}

// Latest is when a computer was last heard of; stored is what its row says.
func (r *Room) Latest(number uint32, stored time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.of(number).at; at.After(stored) {
		return at
	}
	return stored
}

// Node is the id of the node that a computer last spoke to, "" where that is not known.
func (r *Room) Node(number uint32) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(number).node
}

// Each calls set with the last-seen time of each computer of which it is known, by number.
func (r *Room) Each(set func(number uint32, at time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, last := range r.last {
		if !last.at.IsZero() {
			set(uint32(number), last.at)
		}
	}
}

// due returns what should be written now and counts it as written.
func (r *Room) due() map[uint32]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := map[uint32]time.Time{}
	for number, last := range r.last {
		if number := uint32(number); !last.at.IsZero() && last.node == r.node && last.at.Sub(r.written[number]) >= Step {
			due[number], r.written[number] = last.at, last.at
		}
	}
	return due
}

// Write proposes the last-seen times that are a step ahead of the database, a thousand in a batch.
func (r *Room) Write(ctx context.Context) error {
	due := r.due()
	for numbers := range slices.Chunk(slices.Sorted(maps.Keys(due)), 1000) {
		batch := store.Batch{Actor: "agents", Reason: "last-seen times", At: r.now()}
		for _, number := range numbers {
			at := rows.Stamp(due[number])
			batch.Statements = append(batch.Statements, store.Statement{
				SQL: `UPDATE computer SET last_seen = ?, node = ? WHERE number = ? AND last_seen < ?`, Args: []any{at, r.node, int64(number), at},
			})
		}
		if _, err := r.writer.Write(ctx, batch); err != nil {
			r.forget(due)
			return err
		}
		for _, number := range numbers {
			delete(due, number)
		}
	}
	return nil
}

// forget has times that are not written after all be due again.
func (r *Room) forget(due map[uint32]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for number := range due {
		delete(r.written, number)
	}
}

// Read learns what other nodes wrote.
func (r *Room) Read(ctx context.Context) error {
	all := map[uint32]contact{}
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		found, err := tx.QueryContext(ctx, `SELECT number, last_seen, node FROM computer`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var number uint32
			var at, node string
			if err := found.Scan(&number, &at, &node); err != nil {
				return err
			}
			all[number] = contact{rows.Unstamp(at), node}
		}
		return found.Err()
	})
	if err != nil {
		return fmt.Errorf("read when computers were last seen: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, read := range all {
		if read.at.After(r.of(number).at) {
			r.keep(number, read)
		}
	}
	return nil
}

// Run reads and writes at every tick until ctx ends, and reads once before.
func (r *Room) Run(ctx context.Context, ticks <-chan time.Time) {
	for {
		if err := r.Read(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("what other nodes say of when computers were last seen was not read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		if err := r.Write(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("last-seen times were not written; they are tried again at their next step", "error", err)
		}
	}
}
