package server

import (
	"errors"
	"fmt"
	"net/http"

	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// maxWanted is how many documents a child is asked for again at a time.
const maxWanted = 300

// up takes a page of what a child sends: of itself and its descendants, and upward kinds alone. Anything else is
// refused, raised as an alarm, and audited; the rest is taken.
func (s *server) up(r *http.Request, child sites.Child, page *wire.Page) (*wire.UpResponse, error) {
	ctx := r.Context()
	below, err := s.below(ctx, child)
	if err != nil {
		return nil, err
	}
	from := replicas.Neighbour{ID: child.ID, Direction: dataset.Up, Below: below}
	var outcome replicas.Outcome
	wanted := page.From.Zero() && !page.Complete // UpResponse.Wanted
	if wanted {
		outcome, err = s.node.Replicas.Repair(ctx, from, page.Type, page.Entries)
	} else {
		outcome, err = s.node.Replicas.Apply(ctx, from, page.Dataset())
	}
	switch {
	case errors.Is(err, replicas.ErrCursor):
		return nil, wire.Refuse(wire.CodeOld, "%v", err)
	case errors.Is(err, replicas.ErrRefused):
		s.log.Warn("a child sent what it must not", "child", child.Name, "error", err)
		return nil, errors.Join(wire.Refuse(wire.CodeRefused, "%v", err), s.node.Sites.RaiseRefused(ctx, child, err))
	case err != nil:
		return nil, err
	}
	answer := &wire.UpResponse{}
	for _, q := range outcome.Quarantined {
		answer.Refused = append(answer.Refused, wire.Refusal{Key: q.Key, Reason: q.Detail})
	}
	if !wanted && !page.More {
		if answer.Wanted, err = s.node.Replicas.Due(ctx, from, page.Type); err != nil {
			return nil, err
		}
		answer.Wanted = answer.Wanted[:min(len(answer.Wanted), maxWanted)]
	}
	for _, refused := range outcome.Refused {
		answer.Refused = append(answer.Refused, wire.Refusal{Key: refused.Key, Reason: refused.Err.Error(), Forbidden: true})
	}
	if n := len(outcome.Refused); n > 0 { // one word for a page, however much it holds
		why := outcome.Refused[0].Err
		if n > 1 {
			why = fmt.Errorf("%w, and %d more", why, n-1)
		}
		s.log.Warn("a child sent what it must not", "child", child.Name, "documents", n, "error", why)
		if err := s.node.Sites.RaiseRefused(ctx, child, why); err != nil {
			return nil, err
		}
	}
	answer.Cursor, _, err = s.node.Replicas.Cursor(ctx, from, page.Type)
	return answer, err
}
