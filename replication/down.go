package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

// someDocuments are asked for at once, by digest.
const someDocuments = 500

// peek asks for what is new without a run, and says whether there is anything. The page is kept for the run.
func (s *session) peek(ctx context.Context, t dataset.Type) (some bool, err error) {
	cursor, err := s.cursor(ctx, t)
	if err != nil {
		return false, err
	}
	if cursor.Zero() {
		return true, nil
	}
	before := s.client.Bytes()
	page, err := s.page(ctx, t, cursor)
	switch _, _, complete := needsComplete(err); {
	case complete:
		return true, nil
	case err != nil:
		return false, err
	case len(page.Entries) == 0 && !page.More && page.Tail.Index-cursor.Mark.Index < timing.FarBehind:
		// A cursor is moved when that brings something, when looking from it grows long, or when policies wait for it.
		if t != dataset.Settings {
			return false, nil
		}
		if behind, err := s.node.Policies.SettingsBehind(ctx); err != nil || !behind {
			return false, err
		}
	}
	s.pages.Store(t, looked{page, s.client.Bytes() - before})
	return true, nil
}

// looked is a page that was fetched to see whether there is anything; its bytes count for the run that takes it.
type looked struct {
	page  *wire.Page
	bytes int64
}

func (s *session) page(ctx context.Context, t dataset.Type, cursor dataset.Cursor) (*wire.Page, error) {
	languages, err := s.node.Languages(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the managed languages: %w", err)
	}
	return s.client.Fetch(ctx, wire.PathPage, wire.PageRequest{Type: t, Cursor: cursor, Languages: languages})
}

// differential takes over what is newer than the cursor.
func (r *run) differential(ctx context.Context) error {
	t := r.params.Type
	if kept, ok := r.pages.LoadAndDelete(t); ok {
		if looked, ok := kept.(looked); ok && r.current(ctx, looked.page) {
			r.began -= looked.bytes
			switch err := r.apply(ctx, looked.page); {
			case errors.Is(err, replicas.ErrCursor): // languages changed since: ask anew
			case err != nil:
				return err
			case !looked.page.More:
				return r.fetchPins(ctx)
			}
		}
	}
	for lost := 0; ; {
		cursor, err := r.cursor(ctx, t)
		if err != nil {
			return err
		}
		if cursor.Zero() {
			return r.complete(ctx, "the first run")
		}
		page, err := r.page(ctx, t, cursor)
		if err != nil {
			return err
		}
		err = r.apply(ctx, page)
		switch {
		case errors.Is(err, replicas.ErrCursor) && lost < beginnings: // languages changed between asking and taking
			lost++
		case err != nil:
			return err
		case !page.More:
			return r.fetchPins(ctx)
		}
	}
}

// current says whether a page that was fetched before continues what is held still, in the languages of now.
func (r *run) current(ctx context.Context, page *wire.Page) bool {
	cursor, err := r.cursor(ctx, r.params.Type)
	if err != nil {
		return false
	}
	return cursor.Mark == page.From.Mark && page.From.Audience.Equal(cursor.Audience)
}

// apply has the room take a page over, and counts it.
func (r *run) apply(ctx context.Context, page *wire.Page) error {
	if page.Type != r.params.Type {
		return fmt.Errorf("the parent answered with a page of %.60q where %s was asked for", page.Type, r.params.Type)
	}
	neighbour, err := r.above(ctx)
	if err != nil {
		return err
	}
	outcome, err := r.node.Replicas.Apply(ctx, neighbour, page.Dataset())
	if err != nil {
		return fmt.Errorf("take over %s: %w", page.Type, err)
	}
	r.count(page, outcome)
	return nil
}

func (r *run) count(page *wire.Page, o replicas.Outcome) {
	r.result.Pages++
	if page.Tail.Index > 0 { // what was fetched by digest says no place
		r.result.Sequence = page.Tail
	}
	for i := range page.Entries {
		r.result.BodyBytes += int64(len(page.Entries[i].Body))
	}
	r.took(o)
	r.job.Progress(tasks.Progress{Done: int64(r.result.Documents + r.result.Removed), Unit: "documents", Text: string(page.Type)})
}

// took counts what became of documents.
func (r *run) took(o replicas.Outcome) {
	r.result.Documents += o.Changed
	r.result.Removed += o.Removed
	r.result.HandedOver += o.HandedOver
	for _, key := range o.Yielded {
		if len(r.result.Yielded) < maxListed {
			r.result.Yielded = append(r.result.Yielded, key)
		} else {
			r.result.Omit(wire.ListYielded, 1)
		}
		r.job.Log("%s %q of this site gave way to the parent's, which says something else.", key.Kind, key.ID)
	}
	for _, q := range o.Quarantined {
		if len(r.result.Refused) < maxListed {
			r.result.Refused = append(r.result.Refused, wire.Refusal{Key: q.Key, Reason: q.Detail})
		} else {
			r.result.Omit(wire.ListRefused, 1)
		}
		r.job.Log("%s %q went into quarantine: %s", q.Kind, q.ID, q.Detail)
	}
}

// maxAwaited bounds how many pinned revisions are asked for in one run.
const maxAwaited = 20_000

// maxListed bounds lists in results.
const maxListed = 200

// complete takes over everything, and removes what came from above and is not there any more. One that was cut goes on
// where it was, unless the parent cannot continue it.
func (r *run) complete(ctx context.Context, why string) error {
	r.result.Complete, r.result.Why = true, why
	neighbour, err := r.above(ctx)
	if err != nil {
		return err
	}
	_, progress, err := r.node.Replicas.Cursor(ctx, neighbour, r.params.Type)
	if err != nil {
		return err
	}
	for begun := 1; ; {
		more, err := r.completePage(ctx, neighbour, &progress)
		// Rules or languages may have changed meanwhile, or the parent cannot go on where the last run was cut: begin again.
		if _, _, again := needsComplete(err); (again || errors.Is(err, replicas.ErrCursor)) && begun < beginnings {
			progress = replicas.Progress{}
			begun++
			continue
		}
		if err != nil || !more {
			return err
		}
	}
}

// beginnings is how often one complete run begins.
const beginnings = 4

// completePage takes over one page of a complete run.
func (r *run) completePage(ctx context.Context, neighbour replicas.Neighbour, at *replicas.Progress) (more bool, err error) {
	languages, err := r.node.Languages(ctx)
	if err != nil {
		return false, fmt.Errorf("read the managed languages: %w", err)
	}
	page, err := r.client.Fetch(ctx, wire.PathComplete, wire.CompleteRequest{
		Type: r.params.Type, From: at.From, After: at.After, Languages: languages,
	})
	if err != nil {
		return false, err
	}
	if page.More && page.Next.Compare(at.After) <= 0 {
		return false, fmt.Errorf("the parent's pages do not advance beyond %s %q", at.After.Kind, at.After.ID)
	}
	if err := r.fillIn(ctx, neighbour, page, languages); err != nil {
		return false, err
	}
	if err := r.apply(ctx, page); err != nil {
		return false, err
	}
	if !page.More {
		return false, r.fetchPins(ctx)
	}
	at.From, at.After = page.From, page.Next
	return true, nil
}

// fillIn fetches the bodies of a page that this site lacks. What the parent does not give any more has changed meanwhile;
// the differential page after this run tells.
func (r *run) fillIn(ctx context.Context, neighbour replicas.Neighbour, page *wire.Page, languages []string) error {
	at := make(map[document.Digest][]int, len(page.Entries))
	for i := range page.Entries {
		if e := &page.Entries[i]; e.Body == nil && !e.Removed {
			at[e.Digest] = append(at[e.Digest], i)
		}
	}
	lacking, err := r.node.Replicas.Lacking(ctx, neighbour, page.Entries)
	if err != nil {
		return err
	}
	return r.bodies(ctx, languages, lacking, func(_ []document.Digest, came *wire.Page) error {
		got := came.Entries
		for i := range got {
			for _, place := range at[got[i].Digest] {
				page.Entries[place].Body = got[i].Body
			}
		}
		return nil
	})
}

// bodies asks for documents by digest, and hands them on as they come: nobody knows beforehand how large they are, so the
// parent says where it stopped.
func (r *run) bodies(ctx context.Context, languages []string, digests []document.Digest, take func(asked []document.Digest, came *wire.Page) error) error {
	for len(digests) > 0 {
		some := digests[:min(len(digests), someDocuments)]
		page, err := r.client.Fetch(ctx, r.path(wire.PathBodies, wire.PathUpBodies), wire.BodiesRequest{Type: r.params.Type, Languages: languages, Digests: some})
		if err != nil {
			return err
		}
		asked := len(some)
		if page.More && len(page.Entries) > 0 {
			asked = answered(some, page.Entries)
		}
		if err := take(some[:asked], page); err != nil {
			return err
		}
		digests = digests[asked:]
	}
	return nil
}

// answered is up to where a page that is not the whole answer brings what was asked for: where it brings something else,
// as many as came.
func answered(asked []document.Digest, came []dataset.Entry) int {
	for n := len(asked); n > 0; n-- {
		if slices.ContainsFunc(came, func(e dataset.Entry) bool { return e.Digest == asked[n-1] }) {
			return n
		}
	}
	return min(len(came), len(asked))
}

// repair has the room take documents out of their turn. A parent of an earlier version states nothing of settings here: what
// was stated of the policies before stands then.
func (r *run) repair(ctx context.Context, from replicas.Neighbour, page *wire.Page) (replicas.Outcome, error) {
	page.Type = r.params.Type
	if page.Settings == (dataset.Stand{}) {
		return r.node.Replicas.Repair(ctx, from, r.params.Type, page.Entries)
	}
	return r.node.Replicas.Stated(ctx, from, page.Dataset())
}

// tryAside asks again for documents in quarantine that may be right by now: whose signer has become known, that were not
// sent whole, or that somebody wants tried.
func (r *run) tryAside(ctx context.Context) error {
	neighbour, err := r.above(ctx)
	if err != nil {
		return err
	}
	due, err := r.node.Replicas.Due(ctx, neighbour, r.params.Type)
	if err != nil || len(due) == 0 {
		return err
	}
	languages, err := r.node.Languages(ctx)
	if err != nil {
		return fmt.Errorf("read the managed languages: %w", err)
	}
	aside, err := r.node.Replicas.QuarantineOf(ctx, neighbour, r.params.Type)
	if err != nil {
		return err
	}
	return r.bodies(ctx, languages, due, func(asked []document.Digest, came *wire.Page) error {
		got := came.Entries
		// What the parent names no more under what it was called, nobody sends: it was not what it said it was.
		gone := []dataset.Key{}
		for _, q := range aside {
			if slices.Contains(asked, q.Digest) && !slices.ContainsFunc(got, func(e dataset.Entry) bool { return e.Digest == q.Digest && e.Key() == q.Key }) {
				gone = append(gone, q.Key)
			}
		}
		if err := r.node.Replicas.Release(ctx, neighbour, gone); err != nil {
			return err
		}
		came.Entries = slices.DeleteFunc(got, func(e dataset.Entry) bool { return e.Damaged() }) // there, and still not whole
		outcome, err := r.repair(ctx, neighbour, came)
		if err == nil {
			r.count(came, outcome)
		}
		return err
	})
}

// fetchPins fetches the revisions that policies from above pin and that are not held: earlier ones, and withdrawn ones.
func (r *run) fetchPins(ctx context.Context) error {
	if r.params.Type != dataset.Policies {
		return nil
	}
	neighbour, err := r.above(ctx)
	if err != nil {
		return err
	}
	lacking, err := r.node.Replicas.Awaited(ctx, maxAwaited)
	if err != nil {
		return err
	}
	languages, err := r.node.Languages(ctx)
	if err != nil {
		return fmt.Errorf("read the managed languages: %w", err)
	}
	return r.bodies(ctx, languages, lacking, func(_ []document.Digest, came *wire.Page) error {
		got := came.Entries
		for i := range got {
			got[i].Held = true
			r.result.BodyBytes += int64(len(got[i].Body))
		}
		outcome, err := r.node.Replicas.Repair(ctx, neighbour, r.params.Type, got)
		r.result.Documents += outcome.Held
		return err
	})
}
