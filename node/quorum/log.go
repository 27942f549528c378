package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// logStore is what raft keeps on disk: entries, and its term and vote.
type logStore interface {
	raft.LogStore
	raft.StableStore
	io.Closer
	// compact gives free pages back where the file has some bytes and many of them are free, and says how many bytes that were.
	compact(from int64) (freed int64, err error)
}

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
// The log is none of raft's MonotonicLogStores, which allow no gaps. From such a one raft removes everything when a
// snapshot is installed, also entries behind the snapshot that this node has acknowledged, and then panics when they are
// to be applied. (A leader sends such a snapshot when it missed the follower's answers.)
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

// compact is logStore's. Where the log is lost by it, the quorum stops; what else fails harms nothing.
func (g *guardedLog) compact(from int64) (int64, error) {
	freed, err := g.logStore.compact(from)
	if errors.Is(err, errLost) && g.started.Load() {
		g.failed(err)
	}
	return freed, err
}

// check reports a failure, and then ends the goroutine of raft that met it: returned, the error would make raft panic,
// or go on.
func (g *guardedLog) check(op string, err error) error {
	if err == nil || errors.Is(err, bbolt.ErrDatabaseNotOpen) {
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

// Logger gives raft's own messages to slog: its warnings and errors as such, the rest as debugging.
func Logger(log *slog.Logger) hclog.Logger {
	intercept := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Debug, Output: io.Discard})
	intercept.RegisterSink(&sink{log: log, said: map[string]time.Time{}})
	return intercept
}

type sink struct {
	log  *slog.Logger
	mu   sync.Mutex
	said map[string]time.Time // warnings and errors, when they were last said
}

// againAfter is how long what raft says again and again, such as that a node cannot be reached, is debugging.
const againAfter = time.Minute

// repeated says whether the same was said of late: raft tries again twice a second, for ever.
func (s *sink) repeated(msg string, args []any) bool {
	key := fmt.Sprint(msg, args[:min(len(args), 2)])
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.said[key]) < againAfter {
		return true
	}
	if len(s.said) > 1000 {
		clear(s.said)
	}
	s.said[key] = now
	return false
}

// Accept implements hclog.SinkAdapter.
func (s *sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	as := slog.LevelDebug
	switch level {
	case hclog.Warn:
		as = slog.LevelWarn
	case hclog.Error:
		as = slog.LevelError
	}
	if as > slog.LevelDebug && s.repeated(msg, args) {
		as = slog.LevelDebug
	}
	if s.log.Enabled(context.Background(), as) {
		s.log.Log(context.Background(), as, name+": "+msg, args...)
	}
}
