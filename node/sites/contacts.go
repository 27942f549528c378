package sites

import (
	"sync"
	"time"
)

// contacts are the times at which neighbours were last heard of, by their ids.
type contacts struct {
	mu sync.Mutex
	at map[string]time.Time
}

// Seen says that a neighbour was heard of now.
func (r *Room) Seen(site string) {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	r.seen.at[site] = r.cfg.Now()
}

// lastSeen is the later of what is in memory and what was recorded.
func (r *Room) lastSeen(site string, recorded time.Time) time.Time {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if at := r.seen.at[site]; at.After(recorded) {
		return at
	}
	return recorded
}
