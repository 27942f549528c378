package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// begun is a save on its way to the disk.
type begun struct {
	saved *Saved
	wait  func() (changed int, err error)
}

// saveAll is the only writer. It holds at most two saves on their way, which touch no key together.
func (r *run) saveAll(ctx context.Context, prepared <-chan *Saved) error {
	var before *begun
	for next := range prepared {
		r.report.current(next.what())
		if before != nil && next.follows(before.saved) {
			if err := r.finish(before); err != nil {
				return err
			}
			before = nil
		}
		now, err := r.begin(ctx, next)
		if failed := r.finish(before); failed != nil {
			return errors.Join(failed, r.finish(now))
		}
		if err != nil {
			return err
		}
		before = now
	}
	return errors.Join(r.finish(before), ctx.Err())
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
	return &begun{next, wait}, nil
}

// finish waits for the end of a save that was begun; nil is none.
func (r *run) finish(b *begun) error {
	if b == nil {
		return nil
	}
	changed, err := b.wait()
	if err != nil {
		return fmt.Errorf("save what %s says: %w", b.saved.what(), err)
	}
	r.done(b.saved, changed)
	return nil
}

// done takes note of what is durable now.
func (r *run) done(saved *Saved, changed int) {
	r.mu.Lock()
	r.pending = slices.DeleteFunc(r.pending, func(s *Saved) bool { return s == saved })
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
