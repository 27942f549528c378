// Package storetest helps tests that need a site's database, and holds every store.Writer to one conformance suite.
package storetest

import (
	"path/filepath"
	"testing"

	"thatch/node/store"
)

// Open returns an empty database in a temporary folder: a Writer and a Reader. It is closed with the test.
func Open(t testing.TB) *store.DB {
	t.Helper()
	return OpenAt(t, filepath.Join(t.TempDir(), "site.db"))
}

// OpenAt opens the database of a path, and closes it with the test.
func OpenAt(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
