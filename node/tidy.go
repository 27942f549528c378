package node

import (
	"context"
	"time"
)

// tidyEvery is how often a node looks for free pages in its file.
const tidyEvery = 10 * time.Minute

// tidy gives free pages of the node's database back, all the time.
func (n *Node) tidy(ctx context.Context) error {
	for pause(ctx, tidyEvery) {
		freed, err := n.db.Shrink(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			n.cfg.Log.Warn("the database keeps its free pages for now", "error", err, "again in", tidyEvery)
		case freed > 0:
			n.cfg.Log.Debug("free pages of the database were given back", "bytes", freed)
		}
	}
	return nil
}
