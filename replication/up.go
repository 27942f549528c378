package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	_, err := s.pushTypes(ctx)
	return err
}

// pushTypes is pushAll for whoever holds pushing, and counts the documents that went.
func (s *session) pushTypes(ctx context.Context) (sent int, err error) {
	for _, t := range dataset.Types(dataset.Up) {
		n, err := s.pushType(ctx, t, false)
		if sent += n; err != nil {
			return sent, fmt.Errorf("send up %s: %w", t, err)
		}
	}
	return sent, nil
}

// alertAnew sends up everything of who the sites are and what languages they need: the parent lacks the language alert,
// whatever is remembered of having sent it.
func (s *session) alertAnew(ctx context.Context) error {
	s.pushing.Lock()
	defer s.pushing.Unlock()
	_, err := s.pushType(ctx, dataset.Languages, true)
	return err
}

// upScope is what of a type goes up to this parent: without kinds that it does not know.
func (s *session) upScope(ctx context.Context, t dataset.Type) (dataset.Scope, error) {
	scope, err := scopes.Up(ctx, s.node.Sites, t)
	scope.Audience.Withheld = withheld(s.said(), t)
	return scope, err
}

// withheld are kinds of some types that would go up and that the parent does not know.
func withheld(said wire.LinkResponse, of ...dataset.Type) (kinds []document.Kind) {
	for _, t := range of {
		kinds = append(kinds, dataset.Kinds(t, dataset.Up)...)
	}
	return slices.DeleteFunc(kinds, func(k document.Kind) bool { return slices.Contains(said.Kinds, k) })
}

// pushType sends up one type: what is newer than the parent's cursor, or everything where that is asked for or the parent's
// cursor does not fit. It counts the documents that went.
func (s *session) pushType(ctx context.Context, t dataset.Type, complete bool) (sent int, err error) {
	scope, err := s.upScope(ctx, t)
	if err != nil {
		return 0, err
	}
	cursor, ok := s.uplink[t]
	if !ok {
		if told := s.said().Cursors[t]; told != nil {
			cursor = *told
		}
	}
	complete = complete || cursor.Zero()
	after, from := dataset.Key{}, dataset.Cursor{}
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
			return sent, err
		}
		if len(page.Entries) == 0 && !page.Complete && !page.More && page.Tail.Index-cursor.Mark.Index < farBehind {
			return sent, nil // nothing to tell: the parent's cursor is moved when there is
		}
		if t != dataset.Languages { // sites and keys that came since this page's documents did go before them
			n, err := s.pushType(ctx, dataset.Languages, false)
			if sent += n; err != nil {
				return sent, err
			}
		}
		answer, err := s.pushPage(ctx, scope, page)
		if err != nil {
			delete(s.uplink, t)
			poke(s.relink) // the parent's cursor may be another now
			return sent, err
		}
		sent += len(page.Entries)
		if complete {
			from, after = page.From, page.Next
		}
		if !page.More {
			s.uplink[t] = answer.Cursor
			_, err := s.pushApart(ctx, scope, answer.Wanted, nil)
			return sent, err
		}
		cursor = answer.Cursor
	}
}

// someApart is how many bodies are read at once for pages out of their turn.
const someApart = 50

// pushApart sends documents out of their turn, and the names of what is not there any more: what the parent could not judge
// when it came, or holds otherwise. What it refuses is returned.
func (s *session) pushApart(ctx context.Context, scope dataset.Scope, digests []document.Digest, gone []dataset.Key) (refused []wire.Refusal, err error) {
	page, bytes := &wire.Page{Header: wire.Header{Type: scope.Type}}, 0
	flush := func() error {
		if len(page.Entries) == 0 {
			return nil
		}
		answer, err := s.deliver(ctx, page)
		refused = append(refused, answer.Refused...)
		page.Entries, bytes = nil, 0
		return err
	}
	for some := range slices.Chunk(digests, someApart) {
		docs, _, err := s.node.Sender.Bodies(ctx, scope, some)
		if err != nil {
			return refused, err
		}
		for _, doc := range docs {
			page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: append([]byte{}, doc.Body...), Size: len(doc.Body)})
			if bytes += len(doc.Body); bytes >= upLimits.Bytes || len(page.Entries) >= upLimits.Documents {
				if err := flush(); err != nil {
					return refused, err
				}
			}
		}
	}
	for _, key := range gone {
		page.Entries = append(page.Entries, dataset.Entry{Head: document.Head{Kind: key.Kind, ID: key.ID}, Removed: true})
		if len(page.Entries) >= upLimits.Documents {
			if err := flush(); err != nil {
				return refused, err
			}
		}
	}
	return refused, flush()
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
	return s.deliver(ctx, wire.FromDataset(page, docs))
}

// deliver sends up a page, and has people know what the parent refuses.
func (s *session) deliver(ctx context.Context, page *wire.Page) (wire.UpResponse, error) {
	answer, err := s.client.Push(ctx, wire.PathUp, page)
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
