package bulletins

import (
	"context"
	"time"

	"thatch/catalog"
	"thatch/catalog/evaluate"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
	"thatch/node/bulletins/live"
)

// Evaluate holds the facts of a computer against the site's catalog as of a day; the zero time knows everything.
// Superseded updates are left out unless all are wanted.
func (b *Bulletins) Evaluate(ctx context.Context, facts *rule.Facts, asOf time.Time, all bool) (evaluate.Result, error) {
	var updates []*live.Update
	var graph *supersedence.Graph
	err := b.catalog.Read(ctx, func(v *live.View) error {
		updates, graph = v.Updates(), v.Graph()
		return nil
	})
	if err != nil {
		return evaluate.Result{}, err
	}
	whole, err := b.catalog.Whole(ctx, updates)
	if err != nil {
		return evaluate.Result{}, err
	}
	result := evaluate.Evaluate(facts, func(yield func(string, *catalog.Update) bool) {
		for _, u := range whole {
			if !yield(u.ID, &u.Update) {
				return
			}
		}
	}, graph, graph.View(asOf), all)
	if !asOf.IsZero() {
		result.AsOf = asOf.Format(time.DateOnly)
	}
	return result, nil
}
