package staging

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"thatch/node/store"
)

// Mistrust is a package whose payload another site took, and this one does not trust.
type Mistrust struct {
	Package string // id
	Detail  string
}

// Mistrusted counts the packages whose payloads a site above staged, and whose signers this site does not trust: that is
// each site's own to say. The first is one of them.
func Mistrusted(ctx context.Context, reader store.Reader, site string) (count int, first Mistrust, err error) {
	const query = `SELECT f.package, max(f.detail), count(*) OVER () FROM staging_failure f
JOIN document d ON d.kind = 'payload' AND d.id = f.package JOIN revision r ON r.digest = d.digest
WHERE f.reason = ? AND r.origin <> ? GROUP BY f.package ORDER BY f.package LIMIT 1`
	err = reader.View(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, query, string(Untrusted), site).Scan(&first.Package, &first.Detail, &count)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, first, fmt.Errorf("look for payloads whose signers are not trusted: %w", err)
	}
	return count, first, nil
}
