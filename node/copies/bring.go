package copies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"thatch/catalog/content"
	"thatch/node/bulletins/holdings"
	"thatch/node/store"
)

// Limits of what is pulled for computers that ask.
const (
	bringsAtOnce = 4
	mostBrought  = 256
	bringAgain   = 5 * time.Second
	bringLongest = 100 * time.Second // less than a download lets itself be told
	bringFailed  = 30 * time.Second
)

// Later says that a payload is on its way, or cannot be had now, and when to ask again.
type Later struct {
	Text  string
	After time.Duration
}

func (l *Later) Error() string { return l.Text }

// brought are payloads that are pulled because somebody asked for them.
type brought struct {
	mu     sync.Mutex
	ctx    context.Context // of Run; nil before it, and after
	open   map[string]*bringing
	places chan struct{}
	work   sync.WaitGroup
}

type bringing struct {
	done      chan struct{}
	err       error
	began     time.Time
	bytes, of int64 // under brought.mu
}

// left is how long it takes still, as far as can be told.
func (b *bringing) left(now time.Time) time.Duration {
	if b.bytes <= 0 {
		return bringAgain
	}
	took := now.Sub(b.began).Seconds()
	return min(max(time.Duration(took/float64(b.bytes)*float64(b.of-b.bytes)*float64(time.Second)), bringAgain), bringLongest)
}

// serve takes requests up, until what it returns is called.
func (b *brought) serve(ctx context.Context) (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ctx, b.open, b.places = ctx, map[string]*bringing{}, make(chan struct{}, bringsAtOnce)
	return func() {
		b.mu.Lock()
		b.ctx = nil
		b.mu.Unlock()
		b.work.Wait()
	}
}

// Bring has a payload here that the site holds and this node does not: pulled once for all who ask. It waits until the
// payload is here as long as wait lasts; else the error is a *Later that says how far it is. What no other node holds is
// content.ErrNotHeld.
func (k *Keeper) Bring(wait context.Context, sum string) error {
	file, err := holdings.Of(wait, k.cfg.Reader, sum)
	if err != nil {
		return err
	}
	if file.On(k.cfg.Node) && !k.cfg.Content.Has(sum) {
		k.Look()
	}
	if len(file.Nodes) == 0 || len(file.Nodes) == 1 && file.On(k.cfg.Node) {
		return fmt.Errorf("payload %s: %w", sum, content.ErrNotHeld)
	}
	one, err := k.bring(&file)
	if err != nil {
		return err
	}
	select {
	case <-one.done:
		return one.err
	case <-wait.Done():
	}
	k.brought.mu.Lock()
	defer k.brought.mu.Unlock()
	return &Later{fmt.Sprintf("it is on its way from another node of the site: %d of %d bytes", one.bytes, one.of), one.left(time.Now())}
}

// bring begins to pull a payload, or finds who does.
func (k *Keeper) bring(file *holdings.File) (*bringing, error) {
	b := &k.brought
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx == nil || b.ctx.Err() != nil {
		return nil, &Later{"the node is starting or stopping", bringAgain}
	}
	if one := b.open[file.SHA256]; one != nil {
		return one, nil
	}
	if len(b.open) >= mostBrought {
		return nil, &Later{fmt.Sprintf("%d payloads are on their way here already", len(b.open)), bringFailed}
	}
	one := &bringing{done: make(chan struct{}), began: time.Now(), of: file.Size}
	b.open[file.SHA256] = one
	ctx, places := b.ctx, b.places
	b.work.Go(func() {
		err := k.bringOne(ctx, places, file, one)
		b.mu.Lock()
		defer b.mu.Unlock()
		one.err = err
		delete(b.open, file.SHA256)
		close(one.done)
	})
	return one, nil
}

func (k *Keeper) bringOne(ctx context.Context, places chan struct{}, file *holdings.File, one *bringing) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-ctx.Done():
		return &Later{"the node is stopping", bringAgain}
	}
	info, err := k.pull(ctx, file, file.Size, func(done, _ int64) {
		k.brought.mu.Lock()
		defer k.brought.mu.Unlock()
		one.bytes = done
	})
	if err == nil {
		err = k.hold(ctx, []content.Info{info})
		if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUncertain) { // it is here all the same
			return nil
		}
	}
	if err == nil {
		return nil
	}
	k.cfg.Log.Warn("a payload that was asked for did not come from another node of the site", "sha256", file.SHA256, "error", err)
	return &Later{"it could not be had from another node of the site: " + err.Error(), bringFailed}
}

// Look has the rows of this node brought in line with its disk soon: something came there, or is missing.
func (k *Keeper) Look() {
	select {
	case k.amiss <- struct{}{}:
	default: // it was told
	}
}
