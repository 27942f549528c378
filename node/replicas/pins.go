package replicas

import (
	"context"
	"database/sql"
	"fmt"

	"thatch/catalog/document"
	"thatch/catalog/policy"
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
