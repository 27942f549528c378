package staging

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/store"
)

// pinnedFile is a payload file that a policy pins: of the revisions that it means, which may be earlier than the
// catalog's, or of a package that left it.
type pinnedFile struct {
	id   string       // of the package
	file catalog.File // as its package had it, with the digest and size that staging found
}

// pinned lists the payload files that policies pin. A document that cannot be read is an error: better keep everything
// than remove what a policy needs.
func (s *Stager) pinned(ctx context.Context) ([]pinnedFile, error) {
	packages, payloads := map[document.Digest]catalog.Package{}, map[string]catalog.Payload{}
	err := s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `SELECT DISTINCT r.kind, r.digest, r.body FROM pin p JOIN revision r ON r.digest = p.digest
			WHERE r.kind IN ('package', 'payload')`, func(rows *sql.Rows) error {
			var kind document.Kind
			var digest, body []byte
			if err := rows.Scan(&kind, &digest, &body); err != nil {
				return err
			}
			var err error
			if kind == document.Package {
				packages[document.Digest(digest)], err = catalog.Decode[catalog.Package](body)
			} else {
				payloads[string(digest)], err = catalog.Decode[catalog.Payload](body)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read what policies pin: %w", err)
	}
	var found []pinnedFile
	for _, payload := range payloads {
		for _, staged := range payload.Files {
			one := pinnedFile{payload.Package, catalog.File{Name: staged.Name, SHA256: staged.SHA256, Size: staged.Size}}
			for _, f := range packages[payload.PackageDigest].Files {
				if strings.EqualFold(f.Name, staged.Name) {
					one.file.URL = f.URL
				}
			}
			found = append(found, one)
		}
	}
	return found, nil
}

// lacking lists the pinned files that no node of the site holds, each once.
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
		if sum := strings.ToLower(one.file.SHA256); !seen[sum] && !state.Held(sum) {
			seen[sum] = true
			found = append(found, one)
		}
	}
	return found, nil
}

// restore brings back pinned files that were lost, whether or not their bulletin is staged and the catalog still has
// their package. Nothing but the very bytes is taken. What cannot be had is tried again by the next run.
func (r *run) restore(ctx context.Context) error {
	lacking, err := r.stager.lacking(ctx)
	if err != nil {
		return err
	}
	for _, one := range lacking {
		if r.tried[one.file.SHA256] {
			continue
		}
		r.tried[one.file.SHA256] = true
		r.stager.gaveUp.Store(one.file.SHA256, true)
		info, err := r.fetcher.file(ctx, &one.file, func(bytes int64) { r.update(func() { r.at.Bytes += bytes }) })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var failure *failed
		switch {
		case errors.As(err, &failure):
			r.stager.cfg.Log.Warn("what a policy pins could not be fetched again", "package", one.id, "reason", string(failure.reason), "error", err)
			r.update(func() {
				r.result.Failed = append(r.result.Failed, Problem{one.id, one.file.Name, failure.reason, failure.Error()})
			})
			continue
		case err != nil:
			return fmt.Errorf("fetch %s again, which a policy pins: %w", one.file.Name, err)
		}
		if err := r.stager.write(ctx, "hold what a policy pins", []store.Statement{r.stager.holds(info.SHA256, info.Size)}); err != nil {
			return err
		}
		r.stager.gaveUp.Delete(one.file.SHA256)
		r.update(func() { r.result.Restored++ })
	}
	return nil
}
