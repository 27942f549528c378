package replicas

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/store"
)

// pinsThatMatter are the revisions that a policy of another site means and that matter to a site with these languages.
func pinsThatMatter(body []byte, managed []string) ([]document.Digest, error) {
	p, err := policy.Decode(body)
	if err != nil {
		return nil, err
	}
	var digests []document.Digest
	for _, update := range p.Updates {
		digests = append(digests, update.Digest)
		for _, pin := range update.Packages {
			head := document.Head{Languages: pin.Languages}
			if head.Matters(managed) {
				digests = append(digests, pin.Digest, pin.PayloadDigest)
			}
		}
	}
	return digests, nil
}

// Awaited are the revisions that policies of other sites pin here and that have not arrived, at most limit: whoever has
// taken policies asks the parent for them by digest, and gives them to Repair as held entries.
func (r *Room) Awaited(ctx context.Context, limit int) (digests []document.Digest, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		digests = digests[:0]
		const query = `SELECT DISTINCT p.digest FROM pin p WHERE NOT EXISTS (SELECT 1 FROM revision r WHERE r.digest = p.digest)
ORDER BY p.digest LIMIT ?`
		return each(ctx, tx, query, []any{limit}, func(rows *sql.Rows) error {
			var raw []byte
			err := rows.Scan(&raw)
			var digest document.Digest
			copy(digest[:], raw)
			digests = append(digests, digest)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read what policies await: %w", err)
	}
	return digests, nil
}

// Mend puts good copies of documents in the place of damaged ones with their digests, or of missing ones that are pinned
// or current. Each is checked like one that is received; those that fail are named in the error, the others are mended.
func (r *Room) Mend(ctx context.Context, docs []document.Document) (mended int, err error) {
	var statements []store.Statement
	var problems []error
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		statements, problems = statements[:0], problems[:0]
		for i := range docs {
			doc := &docs[i]
			key, err := keyOf(ctx, tx, doc.Origin)
			if err != nil {
				return err
			}
			if err := doc.VerifyDigest(); err != nil {
				problems = append(problems, err)
				continue
			}
			// A damaged key cannot vouch for its own good copy: the digest by which it was held does.
			if own := doc.Kind == document.SigningKey && doc.ID == doc.Origin; !own {
				if err := doc.Verify(key); err != nil {
					problems = append(problems, err)
					continue
				}
			}
			var one int
			err = tx.QueryRowContext(ctx, `SELECT 1 FROM document WHERE kind = ?1 AND id = ?2 AND digest = ?3
UNION ALL SELECT 1 FROM revision WHERE digest = ?3 UNION ALL SELECT 1 FROM pin WHERE digest = ?3`, string(doc.Kind), doc.ID, doc.Digest[:]).Scan(&one)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				problems = append(problems, store.NotFound(string(doc.Kind)+" with digest "+doc.Digest.String(), doc.ID))
			case err != nil:
				return err
			default:
				statements = append(statements, store.Mend(*doc))
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("mend documents: %w", err)
	}
	for _, s := range statements {
		if err := r.write(ctx, "mend a damaged document", []store.Statement{s}, store.TopicDocuments); err != nil {
			return mended, err
		}
		mended++
	}
	return mended, errors.Join(problems...)
}
