package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"thatch/node/computers"
	"thatch/node/store"
	"thatch/node/tasks"
)

// firstCheck is how long after its start a node begins to read again what it holds: it has more to do at first.
var firstCheck = 10 * time.Minute

// background is what rooms do all the time while the node runs.
type background struct {
	cancel  context.CancelFunc
	working sync.WaitGroup
	leading []part // see WhileLeading
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
	n.always(ctx, "copies of payloads", n.keepCopies)
	n.always(ctx, "payloads for sites below", n.Staging.Serve)
	n.always(ctx, "gossip", n.Gossip.Run)
	n.always(ctx, "own housekeeping", n.keepOwn)
	n.always(ctx, "check of payloads", n.Check.Payloads)
	n.always(ctx, "check of documents", n.Check.Documents)
	n.always(ctx, "free pages", n.tidy)
	n.background.working.Go(func() { n.followName(ctx) })
	n.background.working.Go(func() { n.quorum.WhileLeading(ctx, n.lead) })
}

// attemptAgain is how long after its failure a part of the node is tried again.
const attemptAgain = 5 * time.Second

func (n *Node) always(ctx context.Context, name string, work func(ctx context.Context) error) {
	n.background.working.Go(func() { n.insist(ctx, name, work) })
}

// insist has work done until it is, or ctx ends.
func (n *Node) insist(ctx context.Context, name string, work func(ctx context.Context) error) {
	for {
		err := work(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		n.cfg.Log.Error("a part of the node failed; it is tried again", "part", name, "error", err)
		if !pause(ctx, attemptAgain) {
			return
		}
	}
}

// WhileLeading has other rooms' work done that only one node of the site may do: from each start of a term of this node, in a
// context that ends with the term and whose batches are conflicts once another node leads. It is called before Run.
func (n *Node) WhileLeading(name string, work func(ctx context.Context) error) {
	n.background.leading = append(n.background.leading, part{name, work})
}

// part is something that goes on for long.
type part struct {
	name string
	work func(ctx context.Context) error
}

// lead does what only one node of the site does, until the term ends.
func (n *Node) lead(ctx context.Context, term uint64) {
	ctx = store.WithCaller(ctx, &store.Caller{Actor: "task leader"})
	n.insist(ctx, "taking the lead", func(ctx context.Context) error {
		applied, err := n.writer.Write(ctx, store.Batch{
			Reason: "take the lead", Statements: []store.Statement{tasks.Claim(n.folder.ID, n.site.Epoch, term, n.cfg.Now())},
		})
		return errors.Join(err, applied.Err())
	})
	if ctx.Err() != nil {
		return
	}
	ctx = store.WithCaller(ctx, &store.Caller{Actor: "task leader", Guard: tasks.Leads(term)})
	var working sync.WaitGroup
	defer working.Wait()
	for _, p := range append([]part{
		{"tasks", func(ctx context.Context) error { return n.Tasks.Lead(ctx, term) }},
		{"staging", n.followStaging},
		{"policies", n.Policies.SayAll},
		{"sites", n.followSites},
		{"former parents", n.inherit},
		{"roll-ups", n.tellRollUps},
		{"past days", n.Past.Run},
		{"languages", func(ctx context.Context) error {
			return n.followLanguages(ctx, func(ctx context.Context) ([]string, error) { return n.Sites.DescendantsOf(ctx, n.site.ID) })
		}},
	}, n.background.leading...) {
		working.Go(func() { n.insist(ctx, p.name, p.work) })
	}
}

// followName keeps what the site is called as the database has it, whoever renamed it.
func (n *Node) followName(ctx context.Context) {
	watch := n.db.Watch(topicSite)
	defer watch.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-watch.C:
		}
		if site, _, err := n.readSite(ctx); err == nil {
			n.shown.name.Store(&site.Name)
		}
	}
}

func (n *Node) stopRooms() {
	n.background.cancel()
	n.background.working.Wait()
}
