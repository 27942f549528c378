package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// pushPause gathers changes before they go up; pushAgain is when a push that failed is tried again.
const (
	pushPause = 200 * time.Millisecond
	pushAgain = 10 * time.Second
)

// push sends up what changed of what goes up, until ctx ends. The language alert is first, always.
func (s *session) push(ctx context.Context) error {
	watch := s.node.Watch(store.TopicDocuments, sites.Topic)
	defer watch.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch.C:
			timer.Reset(pushPause)
			continue
		case <-s.pushes:
		case <-timer.C:
		}
		if err := s.pushAll(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.log.Warn("what goes up could not be sent and is tried again", "error", err)
			timer.Reset(max(pushAgain, wire.After(err)))
		}
	}
}

func (s *session) pushAll(ctx context.Context) error {
	s.pushing.Lock()
	defer s.pushing.Unlock()
	for _, t := range dataset.Types(dataset.Up) {
		if err := s.pushType(ctx, t); err != nil {
			return fmt.Errorf("send up %s: %w", t, err)
		}
	}
	return nil
}

// pushType sends up one type: what is newer than the parent's cursor, or everything where the parent's cursor does not
// fit.
func (s *session) pushType(ctx context.Context, t dataset.Type) error {
	scope, err := scopes.Up(ctx, s.node.Sites, t)
	if err != nil {
		return err
	}
	cursor, ok := s.uplink[t]
	if !ok {
		if told := s.said().Cursors[t]; told != nil {
			cursor = *told
		}
	}
	complete, after, from := cursor.Zero(), dataset.Key{}, dataset.Cursor{}
	for {
		var page dataset.Page
		if complete {
			page, err = s.node.Sender.Complete(ctx, scope, from, after, upLimits)
		} else {
			page, err = s.node.Sender.Page(ctx, scope, cursor, upLimits)
			if callsForComplete(err) {
				complete = true
				continue
			}
		}
		if err != nil {
			return err
		}
		if len(page.Entries) == 0 && !page.Complete && !page.More && page.Tail.Index-cursor.Mark.Index < farBehind {
			return nil // nothing to tell: the parent's cursor is moved when there is
		}
		answer, err := s.pushPage(ctx, scope, page)
		if err != nil {
			delete(s.uplink, t)
			poke(s.relink) // the parent's cursor may be another now
			return err
		}
		if complete {
			from, after = page.From, page.Next
		}
		if !page.More {
			s.uplink[t] = answer.Cursor
			return s.pushWanted(ctx, scope, answer.Wanted)
		}
		cursor = answer.Cursor
	}
}

// pushWanted sends what the parent could not judge when it came.
func (s *session) pushWanted(ctx context.Context, scope dataset.Scope, digests []document.Digest) error {
	docs, _, err := s.node.Sender.Bodies(ctx, scope, digests)
	if err != nil || len(docs) == 0 {
		return err
	}
	page := &wire.Page{Header: wire.Header{Type: scope.Type}}
	for _, doc := range docs {
		page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: append([]byte{}, doc.Body...), Size: len(doc.Body)})
	}
	_, err = s.client.Push(ctx, wire.PathUp, page)
	return err
}

var upLimits = dataset.Limits{Documents: 300, Bytes: 600 << 10}

func (s *session) pushPage(ctx context.Context, scope dataset.Scope, page dataset.Page) (wire.UpResponse, error) {
	var digests []document.Digest
	for i := range page.Entries {
		if e := &page.Entries[i]; !e.Removed {
			digests = append(digests, e.Digest)
		}
	}
	docs, refused, err := s.node.Sender.Bodies(ctx, scope, digests)
	if err != nil {
		return wire.UpResponse{}, err
	}
	for _, r := range refused {
		s.log.Error("a document that should go up is damaged here; it is not sent", "kind", r.Kind, "id", r.ID, "error", r.Err)
	}
	answer, err := s.client.Push(ctx, wire.PathUp, wire.FromDataset(page, docs))
	for _, r := range answer.Refused {
		s.log.Warn("the parent refused a document", "kind", r.Kind, "id", r.ID, "reason", r.Reason)
		if r.Forbidden {
			err = errors.Join(err, s.node.Sites.RaiseRefusedAbove(ctx, s.parent, r.Reason))
		}
	}
	return answer, err
}

// callsForComplete says whether the cursor does not fit this site's journal, so that everything is to be sent.
func callsForComplete(err error) bool {
	for _, reason := range []error{dataset.ErrOld, dataset.ErrEpoch, dataset.ErrDiverged, dataset.ErrAudience} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}
