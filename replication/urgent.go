package replication

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// urgent takes over at once what the parent says is urgent, whatever schedules and windows say and without moving a
// cursor: that a policy is paused, switched off, or not for this site any more. It is asked for at the start of every
// session too: what happened meanwhile may have been urgent.
func (s *session) urgent(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.urgents:
		case <-timer.C:
		}
		err := s.takeUrgent(ctx)
		switch code := wire.CodeOf(err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case code == wire.CodeNotAlerted, code == wire.CodeBusy, code == wire.CodeBehind: // the link is fine
			s.up.Look() // the language alert may be on its way up
			timer.Reset(max(alertAgain, wire.After(err)))
		case err != nil:
			return fmt.Errorf("ask for what is urgent: %w", err)
		}
	}
}

func (s *session) takeUrgent(ctx context.Context) error {
	q, err := s.urgentRequest(ctx)
	if err != nil || len(q.Known)+len(q.Held) == 0 {
		return err // what is not here yet comes in its turn
	}
	page, err := s.client.Fetch(ctx, wire.PathUrgent, q)
	if wire.CodeOf(err) == wire.CodeNoRule {
		return nil
	}
	if err != nil || len(page.Entries) == 0 {
		return err
	}
	if page.Type != dataset.Policies {
		return fmt.Errorf("the parent answered with a page of %.60q where states of policies were asked for", page.Type)
	}
	neighbour, err := s.above(ctx)
	if err != nil {
		return err
	}
	outcome, err := s.node.Replicas.Stated(ctx, neighbour, page.Dataset())
	if err != nil {
		return err
	}
	s.log.Info("took over what is urgent", "changed", outcome.Changed, "removed", outcome.Removed)
	if page.More && outcome.Changed+outcome.Removed > 0 {
		poke(s.urgents)
	}
	return s.settle(ctx)
}

// settle looks for settings again where policies arrived that are not to be acted on before.
func (s *session) settle(ctx context.Context) error {
	behind, err := s.node.Policies.SettingsBehind(ctx)
	if behind {
		s.tails.Add()
	}
	return err
}

// urgentRequest says which states of policies from above are known here, and which policies are held.
func (s *session) urgentRequest(ctx context.Context) (wire.UrgentRequest, error) {
	q := wire.UrgentRequest{Known: map[string]document.Digest{}, Held: []string{}}
	var err error
	if q.Languages, err = s.node.Languages(ctx); err != nil {
		return q, err
	}
	own := s.node.Site().ID
	err = s.node.Reader().View(ctx, func(tx *sql.Tx) error {
		clear(q.Known)
		q.Held = q.Held[:0]
		err := dataset.Heads(ctx, tx, document.Policy, "", func(e dataset.Entry) bool {
			if e.Origin != own {
				q.Held = append(q.Held, e.ID)
			}
			return true
		})
		if err != nil {
			return err
		}
		return dataset.Heads(ctx, tx, document.PolicyState, "", func(e dataset.Entry) bool {
			if e.Origin != own {
				q.Known[e.ID] = e.Digest
			}
			return true
		})
	})
	if err != nil {
		return q, fmt.Errorf("read the policies from above: %w", err)
	}
	return q, nil
}

// divergedAlarm tells that the parent went back in time.
func divergedAlarm(parent sites.Parent, t dataset.Type, err error) sites.Alarm {
	return sites.Alarm{
		Kind: sites.Diverged, Subject: parent.ID + " " + string(t),
		Text:   fmt.Sprintf("the parent %s went back in time unknowingly, as by a disk that was copied back: what it says of %s is another past than this site knows (%v)", parent.Name, t, err),
		Advice: "a complete run follows by itself; have the parent's administrator find out why an old file is in use there",
	}
}
