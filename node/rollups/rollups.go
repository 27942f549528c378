// Package rollups tells other sites how this one fares, as documents that go up the tree: how its computers stand with
// every bulletin, and its health; and it reads what the sites below tell, and this one itself, as one.
package rollups

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/settings"
	"thatch/node/sites"
	"thatch/node/store"
)

// Signer makes documents the site's own.
type Signer interface {
	Sign(doc *document.Document)
}

// Config is what the room needs.
type Config struct {
	Site       string // id
	Version    string // of the program
	Reader     store.Reader
	Writer     store.Writer
	Signer     Signer
	Computers  *computers.Room
	Compliance *compliance.Room
	Catalog    *live.Catalog
	Sites      *sites.Room
	Settings   *settings.Room
	// Nodes are the servers of the site, and whether this one leads: that one writes.
	Nodes func() (nodes []federation.Node, leading bool)
	// Retire takes a computer out of the site that another site has now; why is for people.
	Retire func(ctx context.Context, computer, why string) error
	Now    func() time.Time
	Log    *slog.Logger
}

// Room is safe for use by several goroutines.
type Room struct {
	cfg Config

	turn  sync.Mutex
	sure  bool                       // held is what the database has, and RollUps was asked for everything
	held  map[string]document.Digest // this site's roll-ups by the ids of their bulletins
	stray map[string]time.Time       // sites outside the tree whose documents are here, and since when

	looked  atomic.Pointer[time.Time] // when this site's figures were last brought up to its computers
	figures figures

	identities identities
	fleet      fleet
}

// New makes the room.
func New(cfg Config) *Room {
	return &Room{cfg: cfg, stray: map[string]time.Time{}, figures: newFigures(), identities: newIdentities(), fleet: newFleet()}
}

// gatherFor is how long after a change the site looks: what is reported together is told together.
const gatherFor = 200 * time.Millisecond

// Run tells of the site until ctx ends: when something changed, but not more often than settings.HealthEvery says, and
// that often in any case, for what comes with time alone.
func (r *Room) Run(ctx context.Context, changed <-chan struct{}) error {
	for {
		if err := r.attempt(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("what other sites are told of this one was not written; it is tried again", "error", err)
		}
		if !r.hold(ctx) || !rest(ctx, changed, r.every(ctx)) || !rest(ctx, nil, gatherFor) {
			return nil
		}
	}
}

// lookAgain is how long a changed settings.HealthEvery may go unseen.
const lookAgain = 2 * time.Second

// hold waits for as long as settings.HealthEvery says, also where that changes meanwhile, and says whether ctx still lasts.
func (r *Room) hold(ctx context.Context) bool {
	for waited := time.Duration(0); ; {
		left := r.every(ctx) - waited
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !rest(ctx, nil, min(left, lookAgain)) {
			return false
		}
		waited += min(left, lookAgain)
	}
}

// attempt is Tell, of which a panic is an error: the node must not end by it.
func (r *Room) attempt(ctx context.Context) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("a fault of this program: %v\n%s", failure, debug.Stack())
		}
	}()
	_, err = r.Tell(ctx)
	return err
}

func (r *Room) every(ctx context.Context) time.Duration {
	values, err := r.cfg.Settings.All(ctx)
	if err != nil {
		return time.Minute
	}
	return time.Duration(settings.HealthEvery.In(values)) * time.Second
}

// rest waits, at most until early says something, and says whether ctx still lasts.
func rest(ctx context.Context, early <-chan struct{}, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
