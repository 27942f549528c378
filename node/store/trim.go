package store

import (
	"context"
	"os"
	"sync/atomic"

	"thatch/node/store/sqlite"
)

// defaultLog is how large the write-ahead log may become before readers are waited for.
const defaultLog = 64 << 20

// trimming keeps the write-ahead log from growing for ever: SQLite starts it over only in a moment when nobody reads
// from it, and with many short reads there may never be one.
type trimming struct {
	at      int64 // size at which it is tried next; under DB.writing
	copying atomic.Int32
}

// trim folds the write-ahead log into the file once it is large, waiting for the reads under way, but no longer than a
// second; reads that begin meanwhile do not need the log any more. While a snapshot is made, which is a long read, it
// waits for that to end. db.writing is held.
func (db *DB) trim() {
	if db.trimming.at == 0 {
		db.trimming.at = db.config.LogBytes
	}
	info, err := os.Stat(db.config.Path + "-wal")
	if err != nil || info.Size() < db.trimming.at || db.trimming.copying.Load() > 0 {
		return
	}
	db.writer.Exec("PRAGMA busy_timeout = 1000")
	row, err := db.writer.Row("PRAGMA wal_checkpoint(TRUNCATE)")
	db.writer.Exec("PRAGMA busy_timeout = 10000")
	// What fails here fails at the next commit too, if it matters; that says so.
	db.trimming.at = db.config.LogBytes
	if err != nil || row[0] != int64(0) { // the first column says whether somebody was in the way
		db.trimming.at = 2 * info.Size()
	}
}

// Shrink gives back what of the file is free, see shrink.File.
func (db *DB) Shrink(ctx context.Context) (freed int64, err error) { return db.shrinking.Run(ctx) }

// lend lends the writing connection while no snapshot is made.
func (db *DB) lend(use func(c *sqlite.Conn) error) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	if err := db.Err(); err != nil || db.trimming.copying.Load() > 0 {
		return err
	}
	if db.writer == nil {
		return ErrClosed
	}
	return use(db.writer)
}
