package staging

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/bulletins/staging/transit"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// pinnedFile is a payload file that a policy pins: of the revisions that it means, which may be earlier than the
// catalog's, or of a package that left it. Digest and size are those that staging found.
type pinnedFile struct {
	wanted
	pinned    document.Digest // of the package document
	languages []string
	awaited   bool // a policy that is on pins it, and it is neutral or in a managed language
}

// pinnedPayload is a payload document that policies pin.
type pinnedPayload struct {
	catalog.Payload
	digest    document.Digest
	origin    string
	active    bool
	languages []string
}

// selectPinned selects what policies pin, and whether one of them is not switched off: by the site that made it, or here
// where that site allows it. As long as nothing was said of a policy, it may be on: what it pins is fetched meanwhile. Pins
// come first, for they are few: left to itself, SQLite walks through all revisions.
const selectPinned = `WITH off AS (
  SELECT s.policy FROM policy_state s LEFT JOIN policy o ON o.id = s.policy
  WHERE NOT s.enabled OR s.local AND NOT coalesce(o.enabled, 1))
SELECT r.kind, r.digest, r.body, r.origin, r.languages, max(p.policy NOT IN (SELECT policy FROM off))
FROM pin p CROSS JOIN revision r ON r.digest = p.digest WHERE r.kind IN ('package', 'payload') GROUP BY r.digest`

// pinned lists the payload files that policies pin. A document that cannot be read is an error: better keep everything
// than remove what a policy needs.
func (s *Stager) pinned(ctx context.Context) ([]pinnedFile, error) {
	packages, payloads := map[document.Digest]catalog.Package{}, []pinnedPayload{}
	err := s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		clear(packages)
		payloads = payloads[:0]
		managed, err := sqlite.Texts(ctx, tx, selectLanguages)
		if err != nil {
			return err
		}
		return each(ctx, tx, selectPinned, func(rows *sql.Rows) error {
			var kind document.Kind
			var digest, body []byte
			var origin, tags string
			var active bool
			if err := rows.Scan(&kind, &digest, &body, &origin, &tags, &active); err != nil {
				return err
			}
			if kind == document.Package {
				packages[document.Digest(digest)], err = catalog.Decode[catalog.Package](body)
				return err
			}
			one := pinnedPayload{digest: document.Digest(digest), origin: origin, languages: strings.FieldsFunc(tags, func(r rune) bool { return r == ',' })}
			head := document.Head{Languages: one.languages}
			one.active = active && head.Matters(managed)
			one.Payload, err = catalog.Decode[catalog.Payload](body)
			payloads = append(payloads, one)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read what policies pin: %w", err)
	}
	var found []pinnedFile
	for i := range payloads {
		pack := packages[payloads[i].PackageDigest]
		found = append(found, s.filesOfPayload(&payloads[i], &pack)...)
	}
	return found, nil
}

func (s *Stager) filesOfPayload(payload *pinnedPayload, pack *catalog.Package) []pinnedFile {
	found := make([]pinnedFile, 0, len(payload.Files))
	for _, staged := range payload.Files {
		one := pinnedFile{pinned: payload.PackageDigest, awaited: payload.active, languages: payload.languages}
		one.wanted = wanted{
			File: catalog.File{Name: staged.Name, SHA256: strings.ToLower(staged.SHA256), Size: staged.Size},
			pack: payload.Package, payload: payload.digest, foreign: s.foreign(payload.origin),
		}
		for _, f := range pack.Files {
			if strings.EqualFold(f.Name, staged.Name) {
				one.URL = f.URL
			}
		}
		found = append(found, one)
	}
	return found
}

// lacking lists the files that policies need and that no node of the site holds, each once, smallest first.
func (s *Stager) lacking(ctx context.Context) ([]pinnedFile, error) {
	all, err := s.pinned(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	state, err := Load(ctx, s.cfg.Reader)
	if err != nil {
		return nil, err
	}
	var found []pinnedFile
	seen := map[string]bool{}
	for _, one := range all {
		failure, failed := state.failures[tried{one.pack, one.pinned}]
		refused := failed && failure.Reason.refusal()
		if one.awaited && !refused && !seen[one.SHA256] && !state.Held(one.SHA256) {
			seen[one.SHA256] = true
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b pinnedFile) int { return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.SHA256, b.SHA256)) })
	return found, nil
}

// restore brings in the files that policies need and that are not here: policies of the sites above, and files that were
// lost, whether or not their bulletin is staged and the catalog still has their package. Nothing but the very bytes is
// taken. What cannot be had is tried again by the next run.
func (r *run) restore(ctx context.Context) (some bool, err error) {
	lacking, err := r.stager.lacking(ctx)
	if err != nil {
		return false, err
	}
	now := r.stager.cfg.Now()
	var due []*pinnedFile
	for i := range lacking {
		one := &lacking[i]
		if r.tried[one.SHA256] || r.stager.transit.Waits(one.sum(), one.payload, now) {
			continue
		}
		r.tried[one.SHA256] = true
		due = append(due, one)
		r.update(func() { r.at.Of++; r.at.OfBytes += one.Size })
		r.fetcher.expect(&one.wanted)
	}
	return len(due) > 0, together(ctx, due, r.restoreOne)
}

func (r *run) restoreOne(ctx context.Context, one *pinnedFile) error {
	s := r.stager
	r.update(func() { r.at.Current = one.Name })
	if !one.foreign {
		s.gaveUp.Store(one.SHA256, true)
	}
	info, err := r.fetcher.tracked(ctx, &one.wanted, func(bytes int64) { r.update(func() { r.at.Bytes += bytes }) })
	if err == nil && one.foreign { // this site's own trust counts beside that of the site that staged it
		_, err = r.fetcher.judge(catalog.StagedFile{Name: one.Name, SHA256: info.SHA256, Size: info.Size})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var failure *failed
	var later *Later
	switch {
	case errors.As(err, &later):
		r.again(one.SHA256)
		return nil
	case errors.As(err, &failure):
		return r.notRestored(ctx, one, failure)
	case err != nil:
		return fmt.Errorf("fetch %s, which a policy needs: %w", one.Name, err)
	}
	if err := s.write(ctx, "hold what a policy needs", []store.Statement{s.holds(info.SHA256, info.Size)}); err != nil {
		return err
	}
	s.transit.Forget(one.sum())
	s.gaveUp.Delete(one.SHA256)
	r.update(func() { r.at.Packages++; r.result.Restored++; r.result.Bytes += info.Size })
	return nil
}

// notRestored keeps why a file that a policy needs cannot be had.
func (r *run) notRestored(ctx context.Context, one *pinnedFile, failure *failed) error {
	s := r.stager
	s.cfg.Log.Warn("what a policy needs could not be fetched", "package", one.pack, "file", one.Name, "reason", string(failure.reason), "error", failure.err)
	s.transit.Change(one.sum(), func(at *transit.File) {
		at.Why = failure.Error()
		if one.foreign {
			at.Payload, at.Next = one.payload, s.cfg.Now().Add(unnamedAgain)
		}
	})
	r.update(func() {
		r.at.Packages++
		r.result.Failed = append(r.result.Failed, Problem{one.pack, one.Name, failure.reason, failure.Error()})
	})
	if one.foreign && failure.reason.refusal() {
		return s.recordFailure(ctx, one.pack, one.pinned, failure)
	}
	return nil
}
