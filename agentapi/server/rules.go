package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"thatch/agentapi"
	"thatch/catalog/document"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/store"
)

// Limits of one page of rules.
const (
	pageUpdates = 600
	pageBytes   = 1 << 20 // of bodies; a page has at least one update
	keptPages   = 48
)

// rules answers with the updates that changed since a cursor. The cursor is a sequence of the journal.
func (s *server) rules(r *http.Request, who caller, q agentapi.RulesRequest) (json.RawMessage, error) {
	epoch := s.node.Site().Epoch
	cursor, err := computers.ParseCursor(q.Cursor)
	reset := err != nil || q.Epoch != epoch || q.Cursor == ""
	if reset {
		cursor = computers.Cursor{}
	}
	platform := q.Platform
	if m := s.node.Computers.Member(who.ID); platform == "" && m != nil {
		platform = m.Platform
	}
	var page live.Page
	var months map[uint32]string
	var changed store.Sequence
	err = s.node.Bulletins.Catalog().Read(r.Context(), func(v *live.View) error {
		changed = v.Changed
		if !reset && isBefore(v.At, cursor) { // a cursor from the future: this node was set back
			reset, cursor = true, computers.Cursor{}
		}
		page = v.Since(store.Sequence{Index: cursor.Index, Position: int(cursor.Pos)}, pageUpdates, live.For(platform))
		months = make(map[uint32]string, len(page.Updates))
		for _, u := range page.Updates {
			months[u.Number] = v.MonthOf(u)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	keys, err := s.keys.now(r.Context())
	if err != nil {
		return nil, err
	}
	key := pageKey{platform, cursor, changed, reset, epoch}
	raw, ok := s.pages.get(key)
	if !ok {
		answer := &agentapi.RulesResponse{Epoch: epoch, Reset: reset, Removed: page.Removed, More: page.More}
		if err := s.fill(r.Context(), answer, page, months); err != nil {
			return nil, err
		}
		if !reset && len(answer.Updates)+len(answer.Removed) == 0 {
			answer.Cursor = cursor.String() // nothing that concerns agents changed: no report need say that it came further
		}
		if raw, err = json.Marshal(answer); err != nil {
			return nil, fmt.Errorf("encode rules: %w", err)
		}
		s.pages.put(key, raw)
	}
	return withKeys(raw, keys), nil
}

// withKeys adds keys to a page that was encoded without them: they change when sites do, which pages need not notice.
func withKeys(page json.RawMessage, keys *keys) json.RawMessage {
	if len(keys.docs) == 0 {
		return page
	}
	return slices.Concat(json.RawMessage(`{"keys":`), keys.text, json.RawMessage(","), page[1:])
}

func isBefore(at store.Sequence, cursor computers.Cursor) bool {
	return cursorOf(at).Compare(cursor) < 0
}

func cursorOf(at store.Sequence) computers.Cursor {
	return computers.Cursor{Index: at.Index, Pos: uint32(at.Position)}
}

// fill adds the documents of a page, as many as fit, and its cursor. Removals of a page that is cut may come before
// their turn; they are true all the same, and come again.
func (s *server) fill(ctx context.Context, answer *agentapi.RulesResponse, page live.Page, months map[uint32]string) error {
	digests := make([]document.Digest, 0, len(page.Updates))
	for _, u := range page.Updates {
		digests = append(digests, u.Digest)
	}
	documents, err := s.node.Bulletins.Catalog().Documents(ctx, digests)
	if err != nil {
		return err
	}
	byDigest := make(map[document.Digest]document.Document, len(documents))
	for _, doc := range documents {
		byDigest[doc.Digest] = doc
	}
	next, size := page.Next, 0
	for i, u := range page.Updates {
		doc, held := byDigest[u.Digest]
		if !held {
			continue // it changed in this moment, and comes under its new sequence
		}
		if size += len(doc.Body); size > pageBytes && len(answer.Updates) > 0 {
			answer.More, next = true, page.Updates[i-1].Changed
			break
		}
		answer.Updates = append(answer.Updates, agentapi.NumberedUpdate{Number: u.Number, Month: months[u.Number], Document: doc})
	}
	answer.Cursor = cursorOf(next).String()
	return nil
}

// pageKey names a page: what it is made from, and of which state of the catalog.
type pageKey struct {
	platform string
	cursor   computers.Cursor
	changed  store.Sequence // the catalog
	reset    bool
	epoch    string
}

// pages keeps pages encoded, because a thousand new computers ask for the same ones. Those of an earlier state of the
// catalog are dropped.
type pages struct {
	mu      sync.Mutex
	changed store.Sequence
	held    map[pageKey]json.RawMessage
}

func newPages() *pages { return &pages{held: make(map[pageKey]json.RawMessage)} }

func (p *pages) get(key pageKey) (json.RawMessage, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, ok := p.held[key]
	return raw, ok
}

func (p *pages) put(key pageKey, raw json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed != key.changed || len(p.held) >= keptPages {
		clear(p.held)
		p.changed = key.changed
	}
	p.held[key] = raw
}
