package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// begun is a save on its way to the disk.
type begun struct {
	saved   *Saved
	ended   chan struct{} // closed when changed and err are known
	changed int
	err     error
}

// writer is the only one. It holds at most two saves on their way, which touch no key together; what has to wait for
// them is joined with what comes after it, so that one commit serves all that a slow disk let gather.
type writer struct {
	run     *run
	begun   []*begun // on their way, in the order in which they began
	waiting []*Saved
}

func (r *run) saveAll(ctx context.Context, prepared <-chan *Saved) error {
	w := &writer{run: r}
	for prepared != nil || len(w.waiting) > 0 {
		if w.mayBegin() {
			if err := w.begin(ctx); err != nil {
				return errors.Join(err, w.finishAll())
			}
			continue
		}
		from := prepared
		if w.full() {
			from = nil
		}
		select {
		case next, more := <-from:
			if !more {
				prepared = nil
				continue
			}
			w.add(next)
		case <-w.ended():
			if err := w.finish(); err != nil {
				return errors.Join(err, w.finishAll())
			}
		}
	}
	return errors.Join(w.finishAll(), ctx.Err())
}

// add has a save wait, together with the one before it where that may be.
func (w *writer) add(next *Saved) {
	if n := len(w.waiting); n > 0 && w.waiting[n-1].joins(next, w.run.req.Limits) {
		w.waiting[n-1] = w.waiting[n-1].with(next)
		return
	}
	w.waiting = append(w.waiting, next)
}

// full says that no more may wait: a save's worth is enough.
func (w *writer) full() bool {
	size := 0
	for _, s := range w.waiting {
		size += s.size()
	}
	return 2*size > w.run.req.Limits.save()
}

// mayBegin says whether the first save that waits need not wait any more.
func (w *writer) mayBegin() bool {
	return len(w.waiting) > 0 && len(w.begun) < 2 &&
		!slices.ContainsFunc(w.begun, func(b *begun) bool { return w.waiting[0].follows(b.saved) })
}

// begin begins the first save that waits.
func (w *writer) begin(ctx context.Context) error {
	next := w.waiting[0]
	w.waiting = w.waiting[1:]
	w.run.report.current(next.what())
	now, err := w.run.begin(ctx, next)
	if now != nil {
		w.begun = append(w.begun, now)
	}
	return err
}

// ended says when the first save on its way is at its end; never, where none is.
func (w *writer) ended() <-chan struct{} {
	if len(w.begun) == 0 {
		return nil
	}
	return w.begun[0].ended
}

// finish waits for the end of the first save on its way.
func (w *writer) finish() error {
	b := w.begun[0]
	w.begun = w.begun[1:]
	<-b.ended
	if b.err != nil {
		return fmt.Errorf("save what %s says: %w", b.saved.what(), b.err)
	}
	w.run.done(b.saved, b.changed)
	return nil
}

func (w *writer) finishAll() error {
	var err error
	for len(w.begun) > 0 {
		err = errors.Join(err, w.finish())
	}
	return err
}

// begin begins a save, or does it where the sink can do no part of one; then nothing is left to wait for.
func (r *run) begin(ctx context.Context, next *Saved) (*begun, error) {
	failed := func(err error) error { return fmt.Errorf("save what %s says: %w", next.what(), err) }
	starter, can := r.sink.(Starter)
	if !can {
		changed, err := r.sink.Save(ctx, *next)
		if err != nil {
			return nil, failed(err)
		}
		r.done(next, changed)
		return nil, nil
	}
	wait, err := starter.Begin(ctx, *next)
	if err != nil {
		return nil, failed(err)
	}
	b := &begun{saved: next, ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		b.changed, b.err = wait()
	}()
	return b, nil
}

// done takes note of what is durable now.
func (r *run) done(saved *Saved, changed int) {
	r.mu.Lock()
	r.pending = slices.DeleteFunc(r.pending, func(s *Saved) bool { return s == saved || slices.Contains(saved.of, s) })
	r.mu.Unlock()
	r.report.done(saved, changed)
}

// overlap says whether two sorted lists have something in common.
func overlap(a, b []string) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}
