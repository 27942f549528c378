package node

import (
	"context"
	"sync"
	"time"

	"thatch/node/computers"
)

// firstCheck is how long after its start a node begins to read again what it holds: it has more to do at first.
var firstCheck = 10 * time.Minute

// background is what rooms do all the time while the node runs.
type background struct {
	cancel  context.CancelFunc
	working sync.WaitGroup
}

// startRooms begins what rooms do all the time. What they were asked to keep is kept when stopRooms returns.
func (n *Node) startRooms(ctx context.Context) {
	ctx, n.background.cancel = context.WithCancel(context.WithoutCancel(ctx))
	n.always(ctx, "computers", func(ctx context.Context) error {
		watch := n.db.Watch(computers.Topic)
		defer watch.Close()
		return n.Computers.Run(ctx, watch.C)
	})
	n.always(ctx, "compliance", n.Compliance.Run)
	n.always(ctx, "staging", n.followStaging)
	n.always(ctx, "payloads for sites below", n.Staging.Serve)
	n.always(ctx, "check of payloads", n.Check.Payloads)
	n.always(ctx, "check of documents", n.Check.Documents)
	n.always(ctx, "policies", n.Policies.SayAll)
	n.always(ctx, "sites", n.followSites)
	n.always(ctx, "former parents", n.inherit)
	n.always(ctx, "roll-ups", n.tellRollUps)
	n.always(ctx, "languages", func(ctx context.Context) error {
		return n.followLanguages(ctx, func(ctx context.Context) ([]string, error) { return n.Sites.DescendantsOf(ctx, n.site.ID) })
	})
}

func (n *Node) always(ctx context.Context, name string, work func(ctx context.Context) error) {
	n.background.working.Go(func() {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Log.Error("a part of the node ended; start the node again", "part", name, "error", err)
		}
	})
}

func (n *Node) stopRooms() {
	n.background.cancel()
	n.background.working.Wait()
}
