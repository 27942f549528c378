package node

import (
	"context"
	"time"

	"thatch/node/store"
)

// settled is a Writer after whose answer the node's own database holds what was written, wherever the site's leader is: who
// writes through a node reads it there. Where it does not come in time, the answer stands: it is durable.
type settled struct {
	next store.Writer
	db   *store.DB
}

// settleFor is how long a writer waits for the node to hold what the site has taken.
const settleFor = 2 * time.Second

// Write implements store.Writer.
func (s settled) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	applied, err := s.next.Write(ctx, b)
	if err == nil && s.db.Applied() < applied.Index {
		wait, cancel := context.WithTimeout(ctx, settleFor)
		defer cancel()
		_ = store.Await(store.AtLeast(wait, applied.Index), s.db)
	}
	return applied, err
}
