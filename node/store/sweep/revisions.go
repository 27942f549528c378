package sweep

import (
	"context"
	"database/sql"
	"fmt"

	"thatch/node/store"
)

// unneeded are revisions that are neither current nor pinned.
const unneeded = `SELECT digest FROM revision EXCEPT SELECT digest FROM document EXCEPT SELECT digest FROM pin ORDER BY digest LIMIT ?`

const dropUnneeded = `DELETE FROM revision WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = ?1)
AND NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = revision.kind AND d.id = revision.id AND d.digest = ?1)`

// revisionsAtOnce is how many documents, of up to 512 kB, one batch removes at most.
const revisionsAtOnce = 100

// Revisions removes documents that nothing needs: whoever writes one in place of another drops the former unless it is pinned,
// and whoever unpins it then, so that nothing is left but by an error of this program, or by a hand.
func (s *Sweeper) Revisions(ctx context.Context) error {
	for {
		var drop []store.Statement
		err := s.Reader.View(ctx, func(tx *sql.Tx) error {
			drop = nil
			found, err := tx.QueryContext(ctx, unneeded, revisionsAtOnce)
			if err != nil {
				return err
			}
			defer found.Close()
			for found.Next() {
				var digest []byte
				if err := found.Scan(&digest); err != nil {
					return err
				}
				drop = append(drop, store.Statement{SQL: dropUnneeded, Args: []any{digest}})
			}
			return found.Err()
		})
		if err == nil && len(drop) > 0 {
			err = s.Write(ctx, drop...)
		}
		if err != nil {
			return fmt.Errorf("remove documents that nothing needs: %w", err)
		}
		if len(drop) == 0 {
			return nil
		}
		s.Removed["revision"] += len(drop)
	}
}
