package replicas_test

import (
	"context"
	"errors"

	"thatch/catalog/document"
	"thatch/node/store"
)

// hook is a room that keeps a row for each document.
type hook struct{}

// Received implements replicas.Hook.
func (hook) Received(_ context.Context, doc document.Document) ([]store.Statement, error) {
	if string(doc.Body) == "nonsense" {
		return nil, errors.New("nobody reads this")
	}
	return []store.Statement{{
		SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		Args: []any{doc.ID, string(doc.Body)},
	}}, nil
}

// Gone implements replicas.Hook.
func (hook) Gone(_ context.Context, _ document.Kind, id string) ([]store.Statement, error) {
	return []store.Statement{{SQL: `DELETE FROM setting WHERE name = ?`, Args: []any{id}}}, nil
}
