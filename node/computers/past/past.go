// Package past knows what of the computers' tables is old.
package past

import (
	"context"
	"time"

	"thatch/node/computers/delivery"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

// Keep is since when Prune leaves things.
type Keep struct {
	Attempts time.Time // that ended since then; likewise what was said of policies that are no more
	Delivery time.Time // counts of days since then
	Retired  time.Time // computers retired since then
	Topic    string    // that is told
}

// prunedAtOnce is how many computers one batch removes at most: each may have 500 attempts.
const prunedAtOnce = 20

// Prune forgets old attempts, counts and retired computers. The computer with the greatest number stays: numbers are never used
// again.
func Prune(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) error {
	for _, old := range []sweep.Rows{
		{
			Table: "computer_attempt", Key: []string{"number", "id"}, Old: `CASE ended WHEN '' THEN started ELSE ended END < ?`,
			Args: []any{rows.Stamp(keep.Attempts)},
		},
		{
			Table: "computer_state", Key: []string{"number", "upd"},
			Old:  `computer_state.at < ? AND NOT EXISTS (SELECT 1 FROM policy p WHERE p.id = computer_state.policy)`,
			Args: []any{rows.Stamp(keep.Attempts)},
		},
		delivery.Old(keep.Delivery),
		{
			Table: "computer", Key: []string{"number"}, Step: prunedAtOnce,
			Old:  `computer.retired <> '' AND computer.retired < ? AND computer.number < (SELECT max(c.number) FROM computer c)`,
			Args: []any{rows.Stamp(keep.Retired)},
			With: []sweep.Part{
				{Table: "computer_facts", Column: "number"},
				{Table: "computer_sets", Column: "number"},
				{Table: "computer_state", Column: "number"},
				{Table: "computer_attempt", Column: "number"},
			},
		},
	} {
		if err := sweeper.Sweep(ctx, old, keep.Topic); err != nil {
			return err
		}
	}
	return nil
}
