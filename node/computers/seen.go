package computers

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// SeenStep is how far a computer's last-seen time in the database may lie behind the one in memory.
const SeenStep = 15 * time.Minute

// seen keeps when computers were last heard of.
type seen struct {
	mu      sync.Mutex
	at      map[uint32]time.Time
	written map[uint32]time.Time
}

func newSeen() *seen {
	return &seen{at: make(map[uint32]time.Time), written: make(map[uint32]time.Time)}
}

func (s *seen) latest(number uint32, stored time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.at[number]; at.After(stored) {
		return at
	}
	return stored
}

// due returns what should be written now and counts it as written.
func (s *seen) due() map[uint32]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := make(map[uint32]time.Time)
	for number, at := range s.at {
		if at.Sub(s.written[number]) >= SeenStep {
			due[number], s.written[number] = at, at
		}
	}
	return due
}

// Seen notes that a computer was heard of.
func (r *Room) Seen(number uint32, at time.Time) {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if at.After(r.seen.at[number]) {
		r.seen.at[number] = at
	}
}

func (r *Room) writeSeen(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			if err := r.WriteSeen(ctx); err != nil && ctx.Err() == nil {
				slog.Warn("last-seen times were not written; they are tried again at their next step", "error", err)
			}
		}
	}
}

// WriteSeen proposes the last-seen times that are a step ahead of the database, a thousand in a batch.
func (r *Room) WriteSeen(ctx context.Context) error {
	due := r.seen.due()
	for numbers := range slices.Chunk(slices.Sorted(maps.Keys(due)), 1000) {
		batch := store.Batch{Actor: "agents", Reason: "last-seen times", At: r.now()}
		for _, number := range numbers {
			at := rows.Stamp(due[number])
			batch.Statements = append(batch.Statements, store.Statement{
				SQL: `UPDATE computer SET last_seen = ? WHERE number = ? AND last_seen < ?`, Args: []any{at, int64(number), at},
			})
		}
		if _, err := r.writer.Write(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// Silent says whether a computer is silent, or not reporting: it never reported (zero), or was last heard of before a time, which the
// setting health.silent gives.
func Silent(reported, heard, since time.Time) bool { return reported.IsZero() || heard.Before(since) }
