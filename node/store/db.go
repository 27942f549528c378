package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	lib "modernc.org/sqlite/lib"

	"thatch/node/store/gate"
	"thatch/node/store/shrink"
	"thatch/node/store/sqlite"
)

//go:embed schema.sql
var schemaText string

// SchemaVersion is the version of schema.sql. A change of schema.sql after a release comes with a migration to the
// next version.
const SchemaVersion = 4

// ErrClosed says that the database was closed.
var ErrClosed = errors.New("the database is closed")

// Config says how to open a database.
type Config struct {
	Path    string       // of the file; its folder exists
	Readers int          // reads at once; 0: 4
	Schema  *Schema      // nil: that of a site
	Log     *slog.Logger // nil: slog.Default
	// MaxPages bounds the file, in pages of 4096 bytes; beyond it the disk counts as full. 0: no bound.
	MaxPages int
	LogBytes int64 // of the write-ahead log before readers are waited for, so that it can be started over; 0: 64 MiB
}

// DB is one SQLite file: one writer beside a bounded number of readers. All methods may be used at once.
type DB struct {
	config  Config
	schema  Schema
	writing sync.Mutex // held while the writing connection is used
	writer  *sqlite.Conn
	queue   queue
	gate    gate.Gate // readers, and who replaces the file
	readers *sql.DB
	applied atomic.Uint64
	version atomic.Int64
	waiters waiters
	watches watches
	stopped stopped

	trimming  trimming
	shrinking shrink.File
}

// Open opens the file, and makes an empty one from the schema when there is none. A file of a newer schema is
// refused; one of an older schema is served as it is until its migrations are written (see Migrate).
func Open(ctx context.Context, config Config) (*DB, error) {
	db := &DB{config: config, schema: siteSchema}
	if config.Schema != nil {
		db.schema = *config.Schema
	}
	if db.config.Readers <= 0 {
		db.config.Readers = 4
	}
	if db.config.LogBytes <= 0 {
		db.config.LogBytes = defaultLog
	}
	if db.config.Log == nil {
		db.config.Log = slog.Default()
	}
	db.stopped.init()
	db.shrinking = shrink.File{Path: config.Path, Use: db.lend, View: db.View, Applied: db.Applied}
	if err := db.open(ctx); err != nil {
		return nil, err
	}
	return db, nil
}

// open opens both halves. Nothing else uses the file meanwhile.
func (db *DB) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// auto_vacuum can be chosen only while a file is empty: free pages can then be given back in small steps. The driver runs
	// pragmas in the order of their names, this one first; the size of pages would come too late, and stays SQLite's own.
	// Pages of 8 KiB, tried, made imports no faster. A checkpoint holds writes up while it waits for the disk; 8,000 pages are half
	// of what journal_size_limit lets the log keep.
	pragmas := []string{
		"auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", "synchronous(NORMAL)",
		"foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-16000)", "wal_autocheckpoint(8000)", "journal_size_limit(67108864)",
	}
	if db.config.MaxPages > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", db.config.MaxPages))
	}
	writer, err := sqlite.Open(db.config.Path, pragmas...)
	if err != nil {
		return sqlite.NewFatal(db.config.Path, "opening", err)
	}
	if err := db.begin(writer); err != nil {
		writer.Close()
		return err
	}
	readers, err := sql.Open("sqlite", sqlite.Source(db.config.Path, "query_only(1)", "foreign_keys(1)", "cache_size(-4000)"))
	if err != nil {
		writer.Close()
		return sqlite.NewFatal(db.config.Path, "opening for reading", err)
	}
	readers.SetMaxOpenConns(db.config.Readers)
	readers.SetMaxIdleConns(db.config.Readers)
	db.writer, db.readers = writer, readers
	return nil
}

// begin makes an empty file from the schema and reads where a file stands.
func (db *DB) begin(c *sqlite.Conn) error {
	tables, err := c.Number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return sqlite.NewFatal(db.config.Path, "opening", err)
	}
	if tables == 0 {
		if err := db.schema.create(c); err != nil {
			return sqlite.NewFatal(db.config.Path, "making the tables", err)
		}
	}
	if anew, err := shrink.Enable(c); err != nil {
		return sqlite.NewFatal(db.config.Path, "opening", err)
	} else if anew {
		db.config.Log.Info("the database was written anew, so that it can shrink", "path", db.config.Path)
	}
	values, err := c.Row("SELECT idx, schema FROM applied")
	switch {
	case errors.Is(err, io.EOF) || sqlite.Code(err) == lib.SQLITE_ERROR:
		return fmt.Errorf("database %s: it is no database of this program: move it away or name another", db.config.Path)
	case err != nil:
		return sqlite.NewFatal(db.config.Path, "opening", err)
	}
	index, _ := values[0].(int64)
	version, _ := values[1].(int64)
	if int(version) > db.schema.Version {
		return fmt.Errorf("database %s: its schema has version %d, this program knows %d: run the newer version of the program that wrote it",
			db.config.Path, version, db.schema.Version)
	}
	db.version.Store(version)
	db.setApplied(uint64(index))
	return nil
}

// Applied is the index of the last batch in the file.
func (db *DB) Applied() uint64 { return db.applied.Load() }

// Schema is the version of the file's schema, at most SchemaVersion.
func (db *DB) Schema() int { return int(db.version.Load()) }

// Path is that of the file.
func (db *DB) Path() string { return db.config.Path }

// Size is that of the file with its write-ahead log, in bytes.
func (db *DB) Size() int64 {
	var size int64
	for _, name := range []string{db.config.Path, db.config.Path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// Err is nil while the database takes writes, else the Fatal or ErrClosed.
func (db *DB) Err() error { return db.stopped.Err() }

// Failed is closed when the database takes no more writes: after a Fatal, or Close.
func (db *DB) Failed() <-chan struct{} { return db.stopped.done }

func (db *DB) failed(op string, err error) error {
	f := sqlite.NewFatal(db.config.Path, op, err)
	db.stopped.set(f)
	return f
}

// View runs reads in one read transaction, at a state that holds the index of the context (see AtLeast). It ends
// early when ctx does. A View within a View may wait for itself.
func (db *DB) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	if err := db.wait(ctx, wantedIndex(ctx)); err != nil {
		return err
	}
	ctx, leave, err := db.gate.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if db.readers == nil { // replacing the file failed
		return db.Err()
	}
	tx, err := db.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return db.reading(ctx, err)
	}
	defer tx.Rollback()
	return db.reading(ctx, read(tx))
}

// reading says what an error of a read means.
func (db *DB) reading(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Close waits for writes and reads to end and closes the file. Its write-ahead log is folded into it.
func (db *DB) Close() error {
	db.stopped.set(ErrClosed)
	reopen := db.gate.Shut(context.Background(), ErrClosed)
	defer reopen()
	db.gate.End(ErrClosed)
	db.writing.Lock()
	defer db.writing.Unlock()
	return db.release()
}

// release closes both halves. db.writing is held and nobody reads.
func (db *DB) release() error {
	if db.writer == nil {
		return nil
	}
	err := errors.Join(db.readers.Close(), db.writer.Close())
	db.writer, db.readers = nil, nil
	if err != nil {
		return fmt.Errorf("closing database %s: %w", db.config.Path, err)
	}
	return nil
}

// committed makes known what a transaction did.
func (db *DB) committed(t *transaction) {
	if t.schema {
		if version, err := t.conn.Number("SELECT schema FROM applied"); err == nil {
			db.version.Store(version)
		}
	}
	db.setApplied(t.last)
	db.watches.tell(t.topics)
}
