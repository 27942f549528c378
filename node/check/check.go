// Package check reads again, in the background, what a node holds and nobody asks for: payloads and the bodies of
// documents. Disks forget; what is damaged must be known before it is needed.
package check

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"thatch/catalog/content"
	"thatch/node/store"
	"thatch/node/store/local"
)

// How often and how fast things are read again.
const (
	every       = 7 * 24 * time.Hour // everything once in this time
	payloadRate = 8 << 20            // bytes per second
	pageRows    = 200                // documents read in one go
	pageBytes   = 8 << 20            // of their bodies, and one more body
	pagePause   = time.Second        // between two pages
	again       = time.Hour          // the longest time until the node looks whether something is due
)

// Config is what the room needs.
type Config struct {
	Own     *local.Local
	Reader  store.Reader
	Content *content.Store
	First   time.Duration // from the start to the first look
	Now     func() time.Time
	Log     *slog.Logger
}

// Checker reads in the background: Payloads and Documents run once each, Damaged may be called at any time.
type Checker struct {
	cfg   Config
	round round // of documents

	mu      sync.Mutex
	damaged map[string]Damage // by digest
}

// New takes up what an earlier start of the node left.
func New(cfg Config) *Checker {
	c := &Checker{cfg: cfg, damaged: map[string]Damage{}}
	c.takeUp()
	return c
}

// Payloads reads each payload whole once a week, those first that were not for the longest. What is altered is
// reported by the store.
func (c *Checker) Payloads(ctx context.Context) error {
	return follow(ctx, c.cfg.First, c.duePayloads)
}

// Documents holds each document's body against its digest once a week, a page at a time, and goes on after a restart
// where it was.
func (c *Checker) Documents(ctx context.Context) error {
	return follow(ctx, c.cfg.First, c.nextPage)
}

// follow takes steps until ctx ends. Each says how long after it the next one is taken.
func follow(ctx context.Context, wait time.Duration, step func(ctx context.Context) time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(step(ctx))
		}
	}
}

// duePayloads checks what is due.
func (c *Checker) duePayloads(ctx context.Context) time.Duration {
	due, err := c.cfg.Content.Due(c.cfg.Now().Add(-every))
	if err != nil {
		c.cfg.Log.Error("the payloads cannot be checked; the next hour tries again", "error", err)
	}
	pace := content.Pace(payloadRate)
	for _, info := range due {
		err := c.cfg.Content.Check(ctx, info.SHA256, pace)
		switch {
		case ctx.Err() != nil:
			return again
		case err == nil, errors.Is(err, content.ErrAltered), errors.Is(err, content.ErrNotHeld):
		default:
			c.cfg.Log.Error("a payload cannot be read: look at the disk", "sha256", info.SHA256, "error", err)
		}
	}
	return again
}
