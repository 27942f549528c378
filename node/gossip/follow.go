package gossip

import (
	"context"
	"time"

	"thatch/node/gossip/keys"
	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/store"
)

// patience is for how many rounds of questions a key waits for a node that is said to live and does not hold it.
const patience = 60

// Follower has a node gossip with the keys that its site agrees on, and tends them while it leads.
type Follower struct {
	Gossip  *Gossip
	Keys    *keys.Room
	Members *members.Room
	Watch   func(topics ...string) *store.Watch
	Dir     string // of the node's key, to which the others are sealed
}

// Run gossips until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	watch := f.Watch(keys.Topic, members.Topic)
	defer watch.Close()
	rings, ended := make(chan keys.Ring), make(chan error, 1)
	go func() { ended <- f.Gossip.Run(ctx, rings) }()
	again := time.NewTicker(10 * f.Gossip.cfg.Every)
	defer again.Stop()
	for {
		var retry <-chan time.Time
		ring, err := f.ring(ctx)
		if err != nil && ctx.Err() == nil {
			retry = again.C
			f.Gossip.cfg.Log.Warn("the keys of what nodes gossip could not be read; it goes on with those it has", "error", err)
		}
		select {
		case rings <- ring:
		case err := <-ended:
			return err
		}
		select {
		case <-watch.C:
		case <-retry:
		case err := <-ended:
			return err
		}
	}
}

// ring is read again after every change: this node may have another key of its own by now.
func (f *Follower) ring(ctx context.Context) (keys.Ring, error) {
	mine, err := sealed.ReadNodeKey(f.Dir)
	if err != nil || mine == nil {
		return keys.Ring{}, err
	}
	return f.Keys.Open(ctx, f.Gossip.cfg.ID, mine)
}

// Lead tends the keys, which only the node that leads may do.
func (f *Follower) Lead(ctx context.Context) error {
	watch := f.Watch(keys.Topic, members.Topic)
	defer watch.Close()
	look := time.NewTicker(5 * f.Gossip.cfg.Every)
	defer look.Stop()
	since := map[int]time.Time{}
	for {
		changed, err := f.tend(ctx, since)
		if err != nil {
			return err
		}
		if changed {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
		case <-look.C:
		}
	}
}

func (f *Follower) tend(ctx context.Context, since map[int]time.Time) (bool, error) {
	mine, err := sealed.ReadNodeKey(f.Dir)
	if err != nil || mine == nil {
		return false, err
	}
	nodes, err := f.Members.Nodes(ctx)
	if err != nil {
		return false, err
	}
	return f.Keys.Tend(ctx, keys.Known{
		Self: f.Gossip.cfg.ID, Mine: mine, Nodes: nodes,
		Held: func(number int) bool {
			return f.all(func(m Meta) bool { return m.Held >= number }) || f.waited(since, number)
		},
		Used: func(number int) bool {
			return f.all(func(m Meta) bool { return m.Used >= number }) || f.waited(since, -number)
		},
	})
}

// all says whether something is true of this node and of all others that live.
func (f *Follower) all(is func(m Meta) bool) bool {
	for _, told := range f.Gossip.Told() {
		if !is(told) {
			return false
		}
	}
	return is(f.Gossip.Own())
}

// waited says whether something has been waited for long enough since it was asked for first.
func (f *Follower) waited(since map[int]time.Time, what int) bool {
	if _, asked := since[what]; !asked {
		since[what] = time.Now()
	}
	return time.Since(since[what]) > patience*f.Gossip.cfg.Every
}
