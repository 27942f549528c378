package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// upward is the least that every child is told down, whatever its rules say.
var always = dataset.Audience{All: true}

// scope is what of this site's documents is for a child, or why nothing is.
func (s *server) scope(ctx context.Context, child sites.Child, t dataset.Type, languages []string) (dataset.Scope, error) {
	scope := dataset.Scope{Type: t, Direction: dataset.Down, Languages: languages, Not: []string{child.ID}}
	normal, err := document.NormalLanguages(languages)
	if err != nil || !slices.Equal(normal, languages) && len(languages) > 0 {
		return scope, wire.Refuse(wire.CodeInvalid, "the languages %q are not lower-case, sorted and unique", languages)
	}
	if t == dataset.Languages {
		scope.Audience = always
		scope.Origins, err = s.node.Sites.Ancestors(ctx)
		scope.Origins = append(scope.Origins, s.node.Site().ID)
		return scope, err
	}
	if !slices.Contains(dataset.Types(dataset.Down), t) {
		return scope, wire.Refuse(wire.CodeInvalid, "there are no documents of type %.40q that go down", t)
	}
	if err := s.alerted(ctx, child, languages); err != nil {
		return scope, err
	}
	audience, ruled, err := s.node.Sites.AudienceOf(ctx, child.ID, t)
	if err != nil {
		return scope, err
	}
	if !ruled {
		return scope, wire.Refuse(wire.CodeNoRule, "no replication rule of site %s that is on sends %s to %s; make or enable one there: thatch replication rules",
			s.node.Site().Name, t, child.Name)
	}
	scope.Audience = audience
	scope.Not, err = s.below(ctx, child)
	return scope, err
}

// below are a child and its descendants.
func (s *server) below(ctx context.Context, child sites.Child) ([]string, error) {
	descendants, err := s.node.Sites.DescendantsOf(ctx, child.ID)
	return append(descendants, child.ID), err
}

// alerted is nil when the child's language alert has arrived and says the same languages as its request.
func (s *server) alerted(ctx context.Context, child sites.Child, languages []string) error {
	told, err := s.node.Sites.Alert(ctx, child.ID)
	switch {
	case errors.Is(err, sites.ErrNoAlert):
		return wire.Refuse(wire.CodeNotAlerted, "the language alert of %s has not arrived at %s yet, so data is not sent; it goes up by itself as soon as the link stands",
			child.Name, s.node.Site().Name)
	case err != nil:
		return err
	case !slices.Equal(told.Languages, languages) && len(told.Languages)+len(languages) > 0:
		return wire.Refuse(wire.CodeNotAlerted, "%s asks for the languages %q, but its language alert says %q; the next alert mends that",
			child.Name, languages, told.Languages)
	}
	return nil
}

// code turns a reason against a differential page into the wire's.
func code(err error) error {
	for reason, code := range map[error]string{
		dataset.ErrOld: wire.CodeOld, dataset.ErrEpoch: wire.CodeEpoch, dataset.ErrDiverged: wire.CodeDiverged,
		dataset.ErrAudience: wire.CodeAudience, dataset.ErrBehind: wire.CodeBehind,
	} {
		if errors.Is(err, reason) {
			return wire.Refuse(code, "%v", err)
		}
	}
	return err
}

// page answers with what is newer than a cursor.
func (s *server) page(r *http.Request, child sites.Child, q wire.PageRequest) (*wire.Page, error) {
	ctx := r.Context()
	scope, err := s.scope(ctx, child, q.Type, q.Languages)
	if err != nil {
		return nil, err
	}
	sender := s.node.Replicas.Sender()
	page, err := sender.Page(ctx, scope, q.Cursor, pageLimits)
	if errors.Is(err, dataset.ErrDiverged) {
		err = errors.Join(err, s.node.Sites.RaiseDiverged(ctx, child, string(q.Type)))
	}
	if err != nil {
		return nil, code(err)
	}
	var digests []document.Digest
	for i := range page.Entries {
		if e := &page.Entries[i]; !e.Removed {
			digests = append(digests, e.Digest)
		}
	}
	docs, refused, err := sender.Bodies(ctx, scope, digests)
	if err != nil {
		return nil, err
	}
	s.damaged(ctx, refused)
	return wire.FromDataset(page, docs), nil
}

// pageLimits keep a page within one batch of the child's.
var pageLimits = dataset.Limits{Documents: 400, Bytes: 640 << 10, Entries: 20_000}

// headLimits are those of a page of heads.
var headLimits = dataset.Limits{Documents: 400, Bytes: 640 << 10, Entries: 50_000}

// complete answers with a page of heads of all there is.
func (s *server) complete(r *http.Request, child sites.Child, q wire.CompleteRequest) (*wire.Page, error) {
	scope, err := s.scope(r.Context(), child, q.Type, q.Languages)
	if err != nil {
		return nil, err
	}
	page, err := s.node.Replicas.Sender().Complete(r.Context(), scope, q.From, q.After, headLimits)
	if err != nil {
		return nil, code(err)
	}
	return wire.FromDataset(page, nil), nil
}

// bodies answers with documents by digest: only those that are for the child.
func (s *server) bodies(r *http.Request, child sites.Child, q wire.BodiesRequest) (*wire.Page, error) {
	if len(q.Digests) > wire.MaxDigests {
		return nil, wire.Refuse(wire.CodeTooLarge, "%d digests in one request, at most %d are allowed", len(q.Digests), wire.MaxDigests)
	}
	scope, err := s.scope(r.Context(), child, q.Type, q.Languages)
	if err != nil {
		return nil, err
	}
	docs, refused, err := s.node.Replicas.Sender().Bodies(r.Context(), scope, q.Digests)
	if err != nil {
		return nil, err
	}
	s.damaged(r.Context(), refused)
	page := &wire.Page{Header: wire.Header{Type: q.Type}}
	for _, doc := range docs {
		body := doc.Body
		if body == nil {
			body = []byte{}
		}
		page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: body, Size: len(body)})
	}
	if missing := len(q.Digests) - len(docs) - len(refused); missing > 0 {
		s.log.Debug("a child asked for documents that are not for it, or not here any more", "child", child.Name, "number", missing)
	}
	return page, nil
}

// damaged tells of documents of this site that fail their own digest.
func (s *server) damaged(ctx context.Context, refused []dataset.Refusal) {
	for _, r := range refused {
		s.log.Error("a document of this site does not match its digest: it is not sent, and asked for below", "kind", r.Kind, "id", r.ID, "error", r.Err)
	}
	if len(refused) > 0 {
		if err := s.node.Replicas.Damaged(ctx, refused); err != nil {
			s.log.Error("damaged documents could not be noted", "error", err)
		}
	}
}

// urgent answers with what is in force at once: states of policies that the child does not have, and policies that are not
// for it any more.
func (s *server) urgent(r *http.Request, child sites.Child, q wire.UrgentRequest) (*wire.Page, error) {
	ctx := r.Context()
	page := &wire.Page{Header: wire.Header{Type: dataset.Policies}}
	audience, ruled, err := s.node.Sites.AudienceOf(ctx, child.ID, dataset.Policies)
	if err != nil || !ruled {
		return page, err
	}
	scope := dataset.Scope{Type: dataset.Policies, Direction: dataset.Down, Languages: q.Languages, Audience: audience}
	if scope.Not, err = s.below(ctx, child); err != nil {
		return nil, err
	}
	page.Entries, err = s.node.Replicas.Sender().States(ctx, scope, q.Known, q.Held)
	if err != nil {
		return nil, fmt.Errorf("read what is urgent: %w", err)
	}
	return page, nil
}
