// Package copies has every node of a site hold the payloads that it is to hold: it pulls them from its sisters, verifies
// them, and says so in the rows on which the site agrees. Each node sees to itself, so that nothing is negotiated.
package copies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"thatch/catalog/content"
	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/staging"
	"thatch/node/membership"
	"thatch/node/places"
	"thatch/node/store"
)

// actor is as whom copies are recorded: they are no person's deed.
const actor = "task copies"

// Sisters are the nodes of the site.
type Sisters interface {
	// Fellows are all of them, this one too.
	Fellows() []membership.Fellow
	// Payload is where a node is asked for a payload, and with what.
	Payload(node, sum string) (url string, client *http.Client)
}

// Config is what a keeper needs.
type Config struct {
	Node    string // id of this one
	Reader  store.Reader
	Writer  store.Writer
	Content *content.Store
	Sisters Sisters
	Copies  func(ctx context.Context) (int, error)                      // of each payload among the nodes that vote; 0: all
	Known   func(ctx context.Context) (map[string]staging.Known, error) // what the site's documents say of payloads, by SHA-256
	Match   func(ctx context.Context) error                             // brings this node's rows in line with its disk
	Free    func() (int64, error)                                       // bytes free on the disk of the payloads
	Now     func() time.Time
	Log     *slog.Logger
}

// Keeper keeps this node's copies. It is safe for use by several goroutines. Run runs once.
type Keeper struct {
	cfg     Config
	counts  counts
	brought brought
	sends   *places.Places
	amiss   chan struct{} // see Look

	mu       sync.Mutex
	mistrust map[[2]string]time.Time // digest and node that gave something else, until when it is not asked
	failures map[string]failure      // of the last round, by digest
	short    map[string]short        // by digest
}

type failure struct {
	text  string
	times int // in a row
}

// New makes a keeper.
func New(cfg Config) *Keeper {
	return &Keeper{
		cfg: cfg, sends: places.New(mostSends, 0), amiss: make(chan struct{}, 1),
		mistrust: map[[2]string]time.Time{}, failures: map[string]failure{}, short: map[string]short{},
	}
}

// Times of a keeper.
const (
	gather      = time.Second     // changes that come together are looked at together
	look        = 5 * time.Minute // at the longest, until it is looked again whether something is to be done
	firstAgain  = time.Second     // after something did not come; then twice as long each time
	tryAgain    = 20 * time.Second
	matchEvery  = time.Hour
	surplusAge  = 24 * time.Hour // how old a copy above the number is when it goes: it may have been pulled for a computer here
	mistrustFor = 10 * time.Minute
)

// Run keeps this node's copies until ctx ends; changed tells of changes of what the site holds, of its nodes and settings.
func (k *Keeper) Run(ctx context.Context, changed <-chan struct{}) error {
	ctx, cancel := context.WithCancel(store.WithCaller(ctx, &store.Caller{Actor: actor}))
	defer k.brought.serve(ctx)()
	defer cancel() // before that waits
	timer := time.NewTimer(0)
	defer timer.Stop()
	var matched time.Time
	soon, again := true, firstAgain
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.amiss:
			matched = time.Time{}
		case <-changed:
		case <-timer.C:
			soon = false
			if now := k.cfg.Now(); now.Sub(matched) >= matchEvery {
				if err := k.cfg.Match(ctx); err != nil {
					return err
				}
				matched = now
			}
			more, err := k.round(ctx)
			if err != nil {
				return err
			}
			wait := look
			if more {
				wait, again = again, min(2*again, tryAgain)
			} else {
				again = firstAgain
			}
			timer.Reset(wait)
			continue
		}
		if !soon {
			soon = true
			timer.Reset(gather)
		}
	}
}

// round brings this node one step nearer to what it is to hold, and says whether it failed to get something.
func (k *Keeper) round(ctx context.Context) (more bool, err error) {
	nodes := k.cfg.Sisters.Fellows()
	if len(nodes) < 2 || !slices.ContainsFunc(nodes, func(n membership.Fellow) bool { return n.ID == k.cfg.Node }) {
		k.notice(nil, nil)
		return false, nil
	}
	copies, err := k.cfg.Copies(ctx)
	if err != nil {
		return false, err
	}
	files, err := holdings.Read(ctx, k.cfg.Reader)
	if err != nil {
		return false, err
	}
	lacking, surplus := k.divide(files, copies, nodes)
	few := tooFew(files, copies, nodes)
	var known map[string]staging.Known
	if len(lacking)+len(few) > 0 { // else nobody need look through the catalog
		if known, err = k.cfg.Known(ctx); err != nil {
			return false, err
		}
	}
	maps.DeleteFunc(few, func(sum string, _ short) bool { return !known[sum].Needed })
	k.notice(few, known)
	lacking = slices.DeleteFunc(lacking, func(f holdings.File) bool { return !known[f.SHA256].Needed })
	if more, err = k.pullAll(ctx, lacking); err != nil {
		return more, err
	}
	return more, k.giveUp(ctx, surplus, copies, nodes)
}

func tooFew(files []holdings.File, copies int, nodes []membership.Fellow) map[string]short {
	few := map[string]short{}
	for i := range files {
		if s := Stand(&files[i], copies, nodes); s.Copies < s.Of {
			few[files[i].SHA256] = short{Standing: s}
		}
	}
	return few
}

// divide finds what this node is to hold and does not, and what it holds and need not.
func (k *Keeper) divide(files []holdings.File, copies int, nodes []membership.Fellow) (lacking, surplus []holdings.File) {
	for i := range files {
		f := &files[i]
		placed := slices.Contains(Placed(f.SHA256, copies, nodes), k.cfg.Node)
		switch held := f.On(k.cfg.Node); {
		case placed && !held:
			lacking = append(lacking, *f)
		case !placed && held:
			surplus = append(surplus, *f)
		}
	}
	return lacking, surplus
}

// giveUp removes copies above the number, once the nodes that are to hold them do, and answer: the site agrees that this node
// holds one no more as long as they do, and only then the file goes. Cut in between, the row comes back with the next match.
func (k *Keeper) giveUp(ctx context.Context, surplus []holdings.File, copies int, nodes []membership.Fellow) error {
	builder := store.NewBuilder(store.Batch{
		Actor: actor, Reason: "give up payloads of which others hold enough copies", At: k.cfg.Now().UTC(), Topics: []string{holdings.Topic},
	})
	var sums []string
	for i := range surplus {
		f := &surplus[i]
		info, err := k.cfg.Content.Stat(f.SHA256)
		if err != nil || k.cfg.Now().Sub(info.At) < surplusAge || len(sums) == mostGiven {
			continue
		}
		keep := slices.DeleteFunc(Placed(f.SHA256, copies, nodes), func(id string) bool {
			return !slices.ContainsFunc(nodes, func(n membership.Fellow) bool { return n.ID == id && n.Living && n.Votes })
		})
		if copies <= 0 || len(keep) < copies {
			continue
		}
		if err := builder.Add(holdings.DropSurplus(f.SHA256, k.cfg.Node, keep, copies)); err != nil {
			return err
		}
		sums = append(sums, f.SHA256)
	}
	if len(sums) == 0 {
		return nil
	}
	var failed []error
	for _, batch := range builder.Batches() {
		applied, err := k.cfg.Writer.Write(ctx, batch)
		if err != nil {
			return err
		}
		kept := map[int]bool{}
		for _, conflict := range applied.Conflicts {
			kept[conflict.Group] = true
		}
		for i, sum := range sums[:len(batch.Statements)] {
			if !kept[batch.Statements[i].Group] {
				failed = append(failed, k.cfg.Content.Remove(sum))
				k.counts.given.Add(1)
			}
		}
		sums = sums[len(batch.Statements):]
	}
	return errors.Join(failed...)
}

// mostGiven is how many copies are given up in one round.
const mostGiven = 1000

// hold records that this node holds files.
func (k *Keeper) hold(ctx context.Context, files []content.Info) error {
	if len(files) == 0 {
		return nil
	}
	builder := store.NewBuilder(store.Batch{
		Actor: actor, Reason: "hold copies of payloads", At: k.cfg.Now().UTC(), Topics: []string{holdings.Topic, store.TopicDocuments},
	})
	for _, info := range files {
		if err := builder.Add(holdings.Add(info.SHA256, k.cfg.Node, info.Size)); err != nil {
			return err
		}
	}
	for _, batch := range builder.Batches() {
		applied, err := k.cfg.Writer.Write(ctx, batch)
		if err = errors.Join(err, applied.Err()); err != nil {
			return fmt.Errorf("record copies of payloads: %w", err)
		}
	}
	return nil
}
