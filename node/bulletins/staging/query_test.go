package staging

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"thatch/node/store"
)

// Every change of documents asks what policies pin: that must not walk through the catalog.
func TestWhatIsPinnedIsFoundByThePins(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query(`EXPLAIN QUERY PLAN ` + selectPinned)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				return err
			}
			if strings.HasPrefix(step, "SCAN r") || strings.HasPrefix(step, "SCAN d") {
				t.Error(step)
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Error(err)
	}
}
