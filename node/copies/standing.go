package copies

import (
	"sync/atomic"
	"time"

	"thatch/node/bulletins/holdings"
	"thatch/node/membership"
)

// counts are of what was done since the start.
type counts struct {
	pulled, bytes, given, wrong atomic.Int64
}

// shortFor is how long there are too few copies of a payload until that is said.
const shortFor = 10 * time.Minute

// Standing is how many copies there are of a payload.
type Standing struct {
	Copies int      `json:"copies"` // at nodes that are not gone
	Of     int      `json:"of"`     // that there are to be
	Nodes  []string `json:"nodes"`  // ids of those that hold it
}

// Stand says how many copies there are of a payload, and how many are to be.
func Stand(f *holdings.File, copies int, nodes []membership.Fellow) Standing {
	s := Standing{Nodes: []string{}}
	voters := 0
	for i := range nodes {
		n := &nodes[i]
		if n.Votes {
			voters++
		}
		if f.On(n.ID) {
			s.Nodes = append(s.Nodes, n.ID)
			if !gone(n) {
				s.Copies++
			}
		}
	}
	s.Of = len(Placed(f.SHA256, copies, nodes))
	if copies > 0 {
		s.Of = max(s.Of, min(copies, voters))
	}
	return s
}

// notice keeps since when there are too few copies of what.
func (k *Keeper) notice(files []holdings.File, copies int, nodes []membership.Fellow) {
	now := k.cfg.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	short := map[string]time.Time{}
	for i := range files {
		f := &files[i]
		if s := Stand(f, copies, nodes); s.Copies < s.Of {
			short[f.SHA256] = now
			if since, known := k.short[f.SHA256]; known {
				short[f.SHA256] = since
			}
		}
	}
	k.short = short
}
