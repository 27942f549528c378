package computers

import (
	"context"
	"fmt"

	"thatch/node/computers/past"
	"thatch/node/store/sweep"
)

// Keep is since when Prune leaves things.
type Keep = past.Keep

// Prune forgets old attempts, counts and retired computers.
func (r *Room) Prune(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) error {
	keep.Topic = Topic
	err := past.Prune(ctx, sweeper, keep)
	if err != nil || sweeper.Removed["computer_state"]+sweeper.Removed["computer"] == 0 {
		return err
	}
	// Memory hears of rows that change, not of those that go.
	r.refreshing.Lock()
	r.loaded = 0
	r.refreshing.Unlock()
	if err := r.refresh(ctx); err != nil {
		return fmt.Errorf("read the computers anew: %w", err)
	}
	return nil
}
