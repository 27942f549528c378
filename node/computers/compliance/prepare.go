package compliance

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"thatch/node/computers"
)

// Prepare counts what no report has counted yet: everything at a start, and afterwards what changed. Reports that are
// asked for meanwhile go on where it came to.
func (r *Room) Prepare(ctx context.Context) error {
	err := r.counted(ctx, (*snapshot).ofAll, func(s *snapshot, v computers.View) error {
		s.computers.refresh(v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("count compliance: %w", err)
	}
	return nil
}

// attempt is Prepare, of which a panic is an error: pages can do without it, and the node must not end by it.
func (r *Room) attempt(ctx context.Context) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("a fault of this program: %v\n%s", failure, debug.Stack())
		}
	}()
	return r.Prepare(ctx)
}

// Run keeps the counts near what computers report, so that pages have little left to count, until ctx ends. It works at
// most a tenth of the time; an import of catalogs, of which computers say nothing yet, does not set it going.
func (r *Room) Run(ctx context.Context) error {
	const atLeast = 250 * time.Millisecond
	for {
		began := time.Now()
		if err := r.attempt(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("compliance was not counted beforehand; whoever asks for it waits longer", "error", err)
		}
		rest := time.NewTimer(max(atLeast, 9*time.Since(began)))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return nil
		}
		select {
		case <-r.computers.Moved():
		case <-ctx.Done():
			return nil
		}
	}
}
