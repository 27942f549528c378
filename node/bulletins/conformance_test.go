package bulletins_test

import (
	"context"
	"database/sql"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/store"
)

// The sink keeps what every sink promises.
func TestSinkConformance(t *testing.T) {
	rooms := make(map[importer.Sink]*store.DB)
	importertest.TestSink(t, importertest.SinkFixture{
		New: func(t *testing.T) importer.Sink {
			room, db := bulletinstest.Room(t)
			sink := room.Sink()
			rooms[sink] = db
			return sink
		},
		Documents: func(t *testing.T, sink importer.Sink) map[string]document.Digest {
			t.Helper()
			found := make(map[string]document.Digest)
			err := rooms[sink].View(context.Background(), func(tx *sql.Tx) error {
				rows, err := tx.Query(`SELECT kind, id, digest FROM document`)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var kind, id string
					var digest []byte
					if err := rows.Scan(&kind, &id, &digest); err != nil {
						return err
					}
					found[kind+" "+id] = document.Digest(digest)
				}
				return rows.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			return found
		},
	})
}
