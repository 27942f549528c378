package copies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"thatch/catalog/content"
	"thatch/node/bulletins/holdings"
	"thatch/node/membership"
)

// Limits of what is pulled.
const (
	pullsAtOnce = 2
	recordAfter = 2 * time.Second // copies that come meanwhile are recorded together
	leastFree   = 512 << 20       // bytes that are left free on the disk: a node whose disk is full stops
)

// ErrNoSister says that no other node of the site has a payload.
var ErrNoSister = errors.New("no other node of the site has it")

// ErrNoRoom says that the disk has no room for a payload.
var ErrNoRoom = errors.New("the disk has no room for it")

// Pull brings a payload here from a sister that has it: the nearest, then the next, from where the former one stopped. Where
// nobody is known to hold it, all that answer are asked. Size is 0 where it is not known. It is not recorded.
func (k *Keeper) Pull(ctx context.Context, sum string, size int64, progress content.Progress) (content.Info, error) {
	file, err := holdings.Of(ctx, k.cfg.Reader, strings.ToLower(sum))
	if err != nil {
		return content.Info{}, err
	}
	return k.pull(ctx, &file, cmp.Or(size, file.Size), progress)
}

func (k *Keeper) pull(ctx context.Context, file *holdings.File, size int64, progress content.Progress) (content.Info, error) {
	if held, err := k.cfg.Content.Open(file.SHA256); err == nil {
		defer held.Close()
		return content.Info{SHA256: file.SHA256, Size: held.Size()}, nil
	}
	if err := k.room(size); err != nil {
		return content.Info{}, err
	}
	var far int64 // bytes that are here
	hear := func(done, of int64) {
		far = done
		if progress != nil {
			progress(done, of)
		}
	}
	failed := map[string]error{} // by the names of nodes
	for {
		before := far
		for _, sister := range k.sisters(file) {
			info, err := k.ask(ctx, &sister, file.SHA256, size, hear)
			if err == nil {
				k.counts.pulled.Add(1)
				k.counts.bytes.Add(info.Size)
				return info, nil
			}
			if ctx.Err() != nil || errors.Is(err, content.ErrDiskFull) || errors.Is(err, content.ErrTooLarge) {
				return info, err
			}
			failed[sister.Name] = err
		}
		if far <= before { // else one of them gave some of it, and may go on
			return content.Info{}, fmt.Errorf("payload %s: %w", file.SHA256, cmp.Or(joined(failed), ErrNoSister))
		}
	}
}

func joined(failed map[string]error) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, failed[name])
	}
	return errors.Join(errs...)
}

// room says whether the disk has room for a payload and what else the node writes.
func (k *Keeper) room(size int64) error {
	free, err := k.cfg.Free()
	if err != nil {
		return err
	}
	if free-size < leastFree {
		return fmt.Errorf("%w: %d MB are free, it has %d MB, and %d MB stay free for the node itself", ErrNoRoom, free>>20, size>>20, leastFree>>20)
	}
	return nil
}

// sisters are the nodes to ask for a payload: those that are known to hold it and answer, and where there are none, all that
// answer. A node that gave something else is not asked for a while.
func (k *Keeper) sisters(file *holdings.File) []membership.Fellow {
	nodes := k.cfg.Sisters.Fellows()
	now := k.cfg.Now()
	k.mu.Lock()
	maps.DeleteFunc(k.mistrust, func(_ [2]string, until time.Time) bool { return !now.Before(until) })
	nodes = slices.DeleteFunc(nodes, func(n membership.Fellow) bool {
		_, mistrusted := k.mistrust[[2]string{file.SHA256, n.ID}]
		return n.ID == k.cfg.Node || !n.Living || mistrusted
	})
	k.mu.Unlock()
	if slices.ContainsFunc(nodes, func(n membership.Fellow) bool { return file.On(n.ID) }) {
		nodes = slices.DeleteFunc(nodes, func(n membership.Fellow) bool { return !file.On(n.ID) })
	}
	near(file.SHA256, nodes)
	return nodes
}

// ask has one sister give a payload, once.
func (k *Keeper) ask(ctx context.Context, sister *membership.Fellow, sum string, size int64, progress content.Progress) (content.Info, error) {
	url, client := k.cfg.Sisters.Payload(sister.ID, sum)
	info, err := k.cfg.Content.Download(ctx, content.Request{
		URL: url, Name: "payload " + sum + " of node " + sister.Name, Size: size, SHA256: sum, Client: client, Attempts: 1,
	}, progress)
	if errors.Is(err, content.ErrDigest) || errors.Is(err, content.ErrSize) {
		k.counts.wrong.Add(1)
		k.mu.Lock()
		k.mistrust[[2]string{sum, sister.ID}] = k.cfg.Now().Add(mistrustFor)
		k.mu.Unlock()
		k.cfg.Log.Error("a node of the site gave something else than a payload; another one is asked. Look at that node: thatch content verify",
			"node", sister.ID, "name", sister.Name, "sha256", sum, "error", err)
	}
	return info, err
}

// pullAll pulls what this node lacks, smallest first, and says whether some of it did not come.
func (k *Keeper) pullAll(ctx context.Context, lacking []holdings.File) (more bool, err error) {
	slices.SortFunc(lacking, func(a, b holdings.File) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.SHA256, b.SHA256))
	})
	came := &recorder{keeper: k}
	failed := map[string]failure{}
	var mu sync.Mutex
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(pullsAtOnce)
	for i := range lacking {
		f := &lacking[i]
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			info, err := k.pull(gctx, f, f.Size, nil)
			if err == nil {
				return came.add(gctx, info)
			}
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			mu.Lock()
			defer mu.Unlock()
			failed[f.SHA256] = failure{text: err.Error()}
			return nil
		})
	}
	err = errors.Join(group.Wait(), came.flush(context.WithoutCancel(ctx)))
	k.mu.Lock()
	defer k.mu.Unlock()
	for sum, f := range failed {
		f.times = k.failures[sum].times + 1
		if failed[sum] = f; f.times == 2 { // the first time, nodes may not have met yet
			k.cfg.Log.Warn("a payload does not come from another node of the site; it is tried again", "sha256", sum, "error", f.text)
		}
	}
	k.failures = failed
	return len(failed) > 0, err
}

// recorder records copies as they come, some together.
type recorder struct {
	keeper *Keeper
	mu     sync.Mutex
	files  []content.Info
	since  time.Time
}

func (r *recorder) add(ctx context.Context, info content.Info) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) == 0 {
		r.since = time.Now()
	}
	r.files = append(r.files, info)
	if time.Since(r.since) < recordAfter {
		return nil
	}
	return r.record(ctx)
}

func (r *recorder) flush(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record(ctx)
}

func (r *recorder) record(ctx context.Context) error {
	err := r.keeper.hold(ctx, r.files)
	r.files = nil
	return err
}
