// Package store keeps a site's truth in one SQLite file: batches applied at an index, a journal of changed documents,
// migrations, watches and snapshots. It knows nothing of raft; node/quorum orders batches and has them applied here.
package store

import (
	"context"
	"database/sql"

	"thatch/node/store/batch"
	"thatch/node/store/sqlite"
)

// What a write is, is told in node/store/batch. Rooms that write know the store alone.
type (
	Batch     = batch.Batch
	Statement = batch.Statement
	Index     = batch.Index
	Position  = batch.Position
	Applied   = batch.Applied
	Conflict  = batch.Conflict
	Builder   = batch.Builder
	Fatal     = sqlite.Fatal
	Table     = sqlite.Table
)

// See node/store/batch.
const (
	MaxBatch = batch.MaxBatch
	Guard    = batch.Guard
	NoRows   = batch.NoRows
)

// See node/store/batch.
var (
	ErrConflict  = batch.ErrConflict
	ErrStatement = batch.ErrStatement
	ErrTooLarge  = batch.ErrTooLarge
)

// NewBuilder makes batches with the actor, reason, request, time and topics of the model, see batch.NewBuilder.
func NewBuilder(model Batch) *Builder { return batch.NewBuilder(model) }

// Writer takes a batch and answers when it is durable and applied. The error is that of the write; conflicts are in
// the answer (see Applied.Err).
type Writer interface {
	Write(ctx context.Context, b Batch) (Applied, error)
}

// Reader runs reads in one read transaction, at a state that holds the index of the context (see AtLeast).
type Reader interface {
	View(ctx context.Context, read func(tx *sql.Tx) error) error
}

type indexKey struct{}

// AtLeast returns a context whose reads wait until the given index is applied.
func AtLeast(ctx context.Context, index uint64) context.Context {
	return context.WithValue(ctx, indexKey{}, index)
}

// Await returns when the index of the context is applied: for those who would else wait while they hold a lock.
func Await(ctx context.Context, reader Reader) error {
	if wantedIndex(ctx) == 0 {
		return nil
	}
	return reader.View(ctx, func(*sql.Tx) error { return nil })
}

func wantedIndex(ctx context.Context) uint64 {
	index, _ := ctx.Value(indexKey{}).(uint64)
	return index
}
