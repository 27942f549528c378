package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	walsegment "github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"

	"thatch/node/store/sqlite"
)

// logStore is what raft keeps on disk: entries, and its term and vote.
type logStore interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// lockWait is how long a node waits for another program to let go of its log.
const lockWait = time.Second

// openWAL opens a raft-wal log. Its own Close leaves the file of term and vote open and locked, so that is opened here.
func openWAL(dir string, segment int) (logStore, error) {
	if err := prepareMeta(dir); err != nil {
		return nil, err
	}
	w := &walLog{}
	meta := &metadb.BoltMetaDB{}
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Error, Output: io.Discard})
	logger.RegisterSink(w)
	log, err := wal.Open(dir, wal.WithSegmentSize(segment), wal.WithMetaStore(meta), wal.WithLogger(logger),
		wal.WithSegmentFiler(segments{walsegment.NewFiler(dir, files{walfs.New()})}))
	if err != nil {
		return nil, errors.Join(err, meta.Close())
	}
	w.WAL, w.meta = log, meta
	return w, nil
}

// prepareMeta makes the file of term and vote, whole or not at all: raft-wal would, but syncs the folder, which Windows
// refuses. Where there is one already, it says so when another program has it open; raft-wal would wait for ever.
func prepareMeta(dir string) error {
	path := filepath.Join(dir, metadb.FileName)
	if _, err := os.Stat(path); err == nil {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait})
		if errors.Is(err, bbolt.ErrTimeout) {
			return fmt.Errorf("%s is in use by another program: is this node already running?", path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return db.Close()
	}
	made := path + ".new"
	if err := removeOld(made); err != nil {
		return err
	}
	db, err := bbolt.Open(made, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return fmt.Errorf("%s: %w", made, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte(metadb.MetaBucket))
		_, other := tx.CreateBucket([]byte(metadb.StableBucket))
		return errors.Join(err, other)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("%s: %w", made, err)
	}
	if err := os.Rename(made, path); err != nil {
		return err
	}
	return sqlite.SyncFolder(dir)
}

// files are raft-wal's, but sync folders only where the system knows that.
type files struct{ *walfs.FS }

// Create implements types.VFS.
func (f files) Create(dir, name string, size uint64) (types.WritableFile, error) {
	made, err := f.FS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	return &newFile{WritableFile: &made.(*walfs.File).File, dir: dir}, nil
}

// Delete implements types.VFS.
func (f files) Delete(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		return err
	}
	return sqlite.SyncFolder(dir)
}

// newFile is a file whose name is not yet known to be durable.
type newFile struct {
	types.WritableFile
	dir   string
	named atomic.Bool
}

// Sync implements types.WritableFile: after the first, the name is durable too.
func (f *newFile) Sync() error {
	if err := f.WritableFile.Sync(); err != nil {
		return err
	}
	if f.named.Load() {
		return nil
	}
	if err := sqlite.SyncFolder(f.dir); err != nil {
		return err
	}
	f.named.Store(true)
	return nil
}

// walLog is a raft-wal log. What goes wrong when it begins the next file in the background, it only logs, and then
// refuses every write with another message; here both are told.
type walLog struct {
	*wal.WAL
	meta  io.Closer
	cause atomic.Pointer[string]
}

// Accept implements hclog.SinkAdapter.
func (w *walLog) Accept(_ string, level hclog.Level, msg string, args ...any) {
	if level >= hclog.Error {
		text := fmt.Sprint(append([]any{msg + ": "}, args...)...)
		w.cause.CompareAndSwap(nil, &text)
	}
}

// StoreLogs implements raft.LogStore.
func (w *walLog) StoreLogs(entries []*raft.Log) error {
	err := w.WAL.StoreLogs(entries)
	if cause := w.cause.Load(); err != nil && cause != nil {
		return fmt.Errorf("%w, after %s", err, *cause)
	}
	return err
}

func (w *walLog) Close() error { return errors.Join(w.WAL.Close(), w.meta.Close()) }

// guardedLog stops the quorum when the log fails. Raft itself would panic, or step down and try again; an entry or a
// vote that could not be written must never be answered for.
type guardedLog struct {
	logStore
	failed  func(error)
	started atomic.Bool // raft runs, in goroutines of its own
}

func (g *guardedLog) StoreLog(entry *raft.Log) error { return g.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore. Entries that begin behind a gap follow a snapshot that holds all before them, and
// take the place of the log.
//
// The log therefore is none of raft's MonotonicLogStores, although raft-wal itself allows no gaps. From such a one raft
// removes everything when a snapshot is installed, also entries behind the snapshot that this node has acknowledged,
// and then panics when they are to be applied. (A leader sends such a snapshot when it missed the follower's answers.)
func (g *guardedLog) StoreLogs(entries []*raft.Log) error {
	last, err := g.LastIndex()
	if err == nil && last > 0 && len(entries) > 0 && entries[0].Index > last+1 {
		err = g.clear(last)
	}
	if err == nil {
		err = g.logStore.StoreLogs(entries)
	}
	return g.check("writing", err)
}

func (g *guardedLog) clear(last uint64) error {
	first, err := g.FirstIndex()
	if err != nil {
		return err
	}
	return g.logStore.DeleteRange(first, last)
}

func (g *guardedLog) GetLog(index uint64, entry *raft.Log) error {
	err := g.logStore.GetLog(index, entry)
	if errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	return g.check(fmt.Sprintf("reading entry %d of", index), err)
}

func (g *guardedLog) DeleteRange(first, last uint64) error {
	return g.check("shortening", g.logStore.DeleteRange(first, last))
}

func (g *guardedLog) Set(key, value []byte) error {
	return g.check("writing "+string(key)+" beside", g.logStore.Set(key, value))
}

func (g *guardedLog) SetUint64(key []byte, value uint64) error {
	return g.check("writing "+string(key)+" beside", g.logStore.SetUint64(key, value))
}

// check reports a failure, and then ends the goroutine of raft that met it: returned, the error would make raft panic,
// or go on.
func (g *guardedLog) check(op string, err error) error {
	if err == nil || errors.Is(err, wal.ErrClosed) {
		return err
	}
	err = fmt.Errorf("%s the log: %w. Nothing acknowledged is lost: mend the cause (a full disk, an I/O error), then start the node again", op, err)
	if !g.started.Load() {
		return err
	}
	g.failed(err)
	runtime.Goexit()
	return err
}

// hclogTo gives raft's own messages to slog: its warnings and errors as such, the rest as debugging.
func hclogTo(log *slog.Logger) hclog.Logger {
	intercept := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Debug, Output: io.Discard})
	intercept.RegisterSink(sink{log})
	return intercept
}

type sink struct{ log *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	as := slog.LevelDebug
	switch level {
	case hclog.Warn:
		as = slog.LevelWarn
	case hclog.Error:
		as = slog.LevelError
	}
	if s.log.Enabled(context.Background(), as) {
		s.log.Log(context.Background(), as, name+": "+msg, args...)
	}
}
