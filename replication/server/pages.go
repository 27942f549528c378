package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/alike"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// scope is what of this site's documents is for a child, or why nothing is.
func (s *server) scope(ctx context.Context, child sites.Child, t dataset.Type, languages []string) (dataset.Scope, error) {
	normal, err := document.NormalLanguages(languages)
	if err != nil || !slices.Equal(normal, languages) && len(languages) > 0 {
		return dataset.Scope{}, wire.Refuse(wire.CodeInvalid, "the languages %q are not lower-case, sorted and unique", languages)
	}
	if !slices.Contains(dataset.Types(dataset.Down), t) {
		return dataset.Scope{}, wire.Refuse(wire.CodeInvalid, "there are no documents of type %.40q that go down", t)
	}
	if t != dataset.Languages {
		if err := s.alerted(ctx, child, languages); err != nil {
			return dataset.Scope{}, err
		}
	}
	scope, ruled, err := scopes.Down(ctx, s.node.Sites, child.ID, t, languages)
	if err == nil && !ruled {
		err = wire.Refuse(wire.CodeNoRule, "no replication rule of site %s that is on sends %s to %s; make or enable one there: thatch replication rules",
			s.node.Site().Name, t, child.Name)
	}
	return scope, err
}

// scoping says what of a type is between this site and a child.
type scoping func(ctx context.Context, child sites.Child, t dataset.Type, languages []string) (dataset.Scope, error)

// upScope is what of a type came up from a child, without what is in quarantine here.
func (s *server) upScope(ctx context.Context, child sites.Child, t dataset.Type, _ []string) (dataset.Scope, error) {
	if !slices.Contains(dataset.Types(dataset.Up), t) {
		return dataset.Scope{}, wire.Refuse(wire.CodeInvalid, "there are no documents of type %.40q that go up", t)
	}
	scope, err := scopes.FromBelow(ctx, s.node.Sites, child.ID, t)
	if err != nil {
		return scope, err
	}
	aside, err := s.node.Replicas.QuarantineOf(ctx, replicas.Neighbour{ID: child.ID, Direction: dataset.Up}, t)
	for _, q := range aside {
		scope.Except = append(scope.Except, q.Key)
	}
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
	scope, err := s.scheduled(r.Context(), child, q.Type, q.Languages)
	if err != nil {
		return nil, err
	}
	sender := s.node.Sender
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
	page.Entries = slices.DeleteFunc(page.Entries, func(e dataset.Entry) bool { return overtaken(&e, docs, refused) })
	if page.Settings, err = s.settings(ctx, child, q.Type); err != nil {
		return nil, err
	}
	answer := wire.FromDataset(page, docs)
	if takesKnown(r) && q.Type != dataset.Languages { // of which each side means its own ancestors
		answer.Known.Runs, answer.Known.Docs, err = alike.Known(ctx, s.node.Reader(), scope, q.Cursor, page.Entries)
	}
	return answer, err
}

// settings is what a page of policies states: how far this site's settings stand, where the child is sent them. It is asked
// for after the page was read, so that no policy of it was made under later ones.
func (s *server) settings(ctx context.Context, child sites.Child, t dataset.Type) (dataset.Stand, error) {
	if t != dataset.Policies {
		return dataset.Stand{}, nil
	}
	_, ruled, err := s.node.Sites.AudienceOf(ctx, child.ID, dataset.Settings)
	if err != nil || !ruled {
		return dataset.Stand{}, err
	}
	return s.node.Sender.Settings(ctx)
}

// overtaken says whether a document changed or went since its page was read: an entry of the journal beyond the page's
// cursor tells of it.
func overtaken(e *dataset.Entry, docs []document.Document, refused []dataset.Refusal) bool {
	return !e.Removed &&
		!slices.ContainsFunc(docs, func(d document.Document) bool { return d.Digest == e.Digest }) &&
		!slices.ContainsFunc(refused, func(r dataset.Refusal) bool { return r.Digest == e.Digest })
}

// pageLimits keep a page within one batch of the child's.
var pageLimits = dataset.Limits{Documents: 400, Bytes: 640 << 10, Entries: 20_000}

// headLimits are those of a page of heads.
var headLimits = dataset.Limits{Documents: 400, Bytes: 640 << 10, Entries: 50_000}

// complete answers with a page of heads of all there is.
func (s *server) complete(r *http.Request, child sites.Child, q wire.CompleteRequest) (*wire.Page, error) {
	scope, err := s.scheduled(r.Context(), child, q.Type, q.Languages)
	if err != nil {
		return nil, err
	}
	page, err := s.node.Sender.Complete(r.Context(), scope, q.From, q.After, headLimits)
	if err != nil {
		return nil, code(err)
	}
	s.damagedIn(r.Context(), page.Entries)
	if page.Settings, err = s.settings(r.Context(), child, q.Type); err != nil {
		return nil, err
	}
	return wire.FromDataset(page, nil), nil
}

// Bounds of an answer with bodies: they are read a few at a time until there are enough.
const (
	fewBodies = 16
	someBytes = 4 << 20
)

// bodies answers with documents by digest: only those that are for the child, in the order in which they were asked for. Where
// there are more, the child asks again for those after the last one.
func (s *server) bodies(of scoping) func(*http.Request, sites.Child, wire.BodiesRequest) (*wire.Page, error) {
	return func(r *http.Request, child sites.Child, q wire.BodiesRequest) (*wire.Page, error) {
		scope, err := of(r.Context(), child, q.Type, q.Languages)
		if err != nil {
			return nil, err
		}
		page, err := s.bodiesOf(r, scope, q)
		if err != nil {
			return nil, err
		}
		page.Settings, err = s.settings(r.Context(), child, q.Type)
		return page, err
	}
}

func (s *server) bodiesOf(r *http.Request, scope dataset.Scope, q wire.BodiesRequest) (*wire.Page, error) {
	if len(q.Digests) > wire.MaxDigests {
		return nil, wire.Refuse(wire.CodeTooLarge, "%d digests in one request, at most %d are allowed", len(q.Digests), wire.MaxDigests)
	}
	page, bytes := &wire.Page{Header: wire.Header{Type: q.Type}}, 0
	for some := range slices.Chunk(q.Digests, fewBodies) {
		if bytes >= someBytes {
			page.More = true
			break
		}
		docs, refused, err := s.node.Sender.Bodies(r.Context(), scope, some)
		if err != nil {
			return nil, err
		}
		s.damaged(r.Context(), refused)
		for _, d := range refused { // held in name alone: a child that waits for it goes on doing so
			page.Entries = append(page.Entries, dataset.Entry{Head: document.Head{Kind: d.Kind, ID: d.ID, Digest: d.Digest}})
		}
		for _, doc := range docs {
			body := doc.Body
			if body == nil {
				body = []byte{}
			}
			bytes += len(body)
			page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: body, Size: len(body)})
		}
	}
	return page, nil
}

// damaged tells of documents of this site that fail their own digest: in the log, and by an alarm.
func (s *server) damaged(ctx context.Context, refused []dataset.Refusal) {
	if len(refused) == 0 {
		return
	}
	for _, r := range refused {
		s.log.Error("a document of this site does not match its digest: it is not sent, and asked for below", "kind", r.Kind, "id", r.ID, "error", r.Err)
	}
	s.alarmDamaged(ctx, refused[0].Key)
}

// damagedIn tells of those among some heads that this site holds in name alone.
func (s *server) damagedIn(ctx context.Context, entries []dataset.Entry) {
	var found []dataset.Refusal
	for i := range entries {
		if e := &entries[i]; e.Damaged() {
			found = append(found, dataset.Refusal{Key: e.Key(), Digest: e.Digest, Err: errHead})
		}
	}
	s.damaged(ctx, found)
}

var errHead = errors.New("its revision is gone, or its head is not what was signed")

func (s *server) alarmDamaged(ctx context.Context, first dataset.Key) {
	if err := s.node.Sites.RaiseDamaged(ctx, string(first.Kind), first.ID); err != nil {
		s.log.Error("the alarm about damaged documents cannot be kept", "error", err)
	}
}

// maxUrgent bounds an answer with what is urgent, so that it fits a page and one batch of the child's; there are more then.
const maxUrgent = 1000

// urgent answers with what is in force at once: states of policies that the child does not have, and policies that are not
// for it any more.
func (s *server) urgent(r *http.Request, child sites.Child, q wire.UrgentRequest) (*wire.Page, error) {
	ctx := r.Context()
	scope, err := s.scope(ctx, child, dataset.Policies, q.Languages)
	if err != nil {
		return nil, err
	}
	left := make(map[string]bool, len(q.Held)) // held there, and not named here
	for _, id := range q.Held {
		left[id] = true
	}
	digests, err := s.states(ctx, scope, q, left)
	if err != nil {
		return nil, err
	}
	answer := &wire.Page{Header: wire.Header{Type: dataset.Policies, More: len(digests) > maxUrgent}}
	docs, _, err := s.node.Sender.Bodies(ctx, scope, digests[:min(len(digests), maxUrgent)])
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		answer.Entries = append(answer.Entries, dataset.Entry{Head: doc.Head, Body: append([]byte{}, doc.Body...), Size: len(doc.Body)})
	}
	for _, id := range q.Held {
		if !left[id] || scope.Audience.KeepOthers {
			continue
		}
		if answer.More = answer.More || len(answer.Entries) >= maxUrgent; answer.More {
			break
		}
		answer.Entries = append(answer.Entries, dataset.Entry{Head: document.Head{Kind: document.Policy, ID: id}, Removed: true})
		if _, known := q.Known[id]; known {
			answer.Entries = append(answer.Entries, dataset.Entry{Head: document.Head{Kind: document.PolicyState, ID: id}, Removed: true})
		}
	}
	answer.Settings, err = s.settings(ctx, child, dataset.Policies)
	return answer, err
}

// states finds the states of policies that a child holds otherwise, and strikes from left the policies that are for it.
func (s *server) states(ctx context.Context, scope dataset.Scope, q wire.UrgentRequest, left map[string]bool) (digests []document.Digest, err error) {
	var from dataset.Cursor
	held := maps.Clone(left)
	for after := (dataset.Key{}); ; {
		page, err := s.node.Sender.Complete(ctx, scope, from, after, headLimits)
		if err != nil {
			return nil, code(err)
		}
		for i := range page.Entries {
			switch e := &page.Entries[i]; {
			case e.Kind == document.Policy:
				delete(left, e.ID)
			case e.Kind == document.PolicyState && held[e.ID] && q.Known[e.ID] != e.Digest:
				digests = append(digests, e.Digest)
			}
		}
		if !page.More {
			return digests, nil
		}
		from, after = page.From, page.Next
	}
}
