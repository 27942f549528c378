package replicationtest

import (
	"context"
	"database/sql"

	"thatch/catalog/document"
	"thatch/node/store"
)

func (s *Linked) count(kind document.Kind) (n int, err error) {
	err = s.Reader().View(context.Background(), func(tx *sql.Tx) (err error) {
		n, err = store.Count(context.Background(), tx, kind)
		return err
	})
	return n, err
}

// HoldsID is nil when the site holds a document.
func (s *Linked) HoldsID(kind document.Kind, id string) error {
	return s.Reader().View(context.Background(), func(tx *sql.Tx) error {
		_, err := store.Document(context.Background(), tx, kind, id)
		return err
	})
}
