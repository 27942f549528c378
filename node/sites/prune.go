package sites

import (
	"context"
	"time"

	"thatch/node/sites/alarms"
	"thatch/node/sites/history"
	"thatch/node/sites/invites"
	"thatch/node/store/sweep"
)

// Keep is since when Prune leaves things.
type Keep struct {
	Runs   time.Time // of links, begun since then
	Alarms time.Time // ended since then
	Tokens time.Time // likewise
}

// Prune forgets old runs of links, alarms that ended and tokens that ended.
func (r *Room) Prune(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) error {
	if err := sweeper.Sweep(ctx, history.Old(keep.Runs), TopicLink); err != nil {
		return err
	}
	for _, old := range []sweep.Rows{alarms.Old(keep.Alarms), invites.Old(keep.Tokens)} {
		if err := sweeper.Sweep(ctx, old, Topic); err != nil {
			return err
		}
	}
	return nil
}
