package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"thatch/node/store"
)

// Site is what a new log is made of.
type Site struct {
	ID   string // of the node that is its only voter
	Dir  string // for the log and snapshots, where nothing is yet
	DB   *store.DB
	Term uint64 // the last one known of the former log
	Log  *slog.Logger
}

// Anew makes a log for a database that is whole: a snapshot of it with one node as the site's only voter. Others join it
// as they join any site. Whoever has it made sees to it that no other node of the former log takes part any more.
func Anew(ctx context.Context, s Site) error {
	for _, dir := range []string{"log", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	logs, err := openLog(filepath.Join(s.Dir, "log"))
	if err != nil {
		return fmt.Errorf("make a log anew: %w", err)
	}
	err = s.begin(ctx, logs)
	if err = errors.Join(err, logs.Close()); err != nil {
		return fmt.Errorf("make a log anew: %w", err)
	}
	return nil
}

func (s Site) begin(ctx context.Context, logs logStore) error {
	if last, err := logs.LastIndex(); err != nil || last != 0 {
		return errors.Join(err, fmt.Errorf("%s holds a log already", s.Dir))
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(s.Dir, "snapshots"), 1, Logger(s.Log))
	if err != nil {
		return err
	}
	address, transport := raft.NewInmemTransport(raft.ServerAddress(s.ID))
	defer transport.Close()
	alone := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(s.ID), Address: address}}}
	applied, term := s.DB.Applied(), s.Term+1
	if err := logs.SetUint64([]byte("CurrentTerm"), term); err != nil { // raft's name for it
		return err
	}
	sink, err := snapshots.Create(1, applied, term, alone, applied, transport)
	if err != nil {
		return err
	}
	m := &machine{q: &Quorum{ctx: ctx, log: s.Log}, db: s.DB}
	return (&snapshot{m: m, label: applied}).Persist(sink)
}

// Salvaged is what was read of a log and its snapshots.
type Salvaged struct {
	From, To uint64 // index of the database before and after
	Term     uint64 // the last one known
	Lost     error  // why what follows To could not be read or applied; nil: there was nothing
}

// Salvage brings a database as far as the log and the snapshots of a folder lead, whether or not they are damaged. What
// other nodes had not confirmed is applied too: it may have been acknowledged. An error is about the database; what is wrong with
// the log stands in Lost.
func Salvage(ctx context.Context, dir string, db *store.DB, log *slog.Logger) (s Salvaged, err error) {
	s.From = db.Applied()
	m := &machine{q: &Quorum{ctx: ctx, log: log}, db: db}
	m.q.stop.done = make(chan struct{})
	var lost []error
	newest, err := m.salvageSnapshot(filepath.Join(dir, "snapshots"))
	if err != nil {
		lost = append(lost, fmt.Errorf("the snapshot: %w", err))
	}
	if err := db.Err(); err != nil {
		return s, err
	}
	if _, err := os.Stat(filepath.Join(dir, "log", logFile)); err != nil {
		lost = append(lost, fmt.Errorf("the log: %w", err))
	} else if logs, err := openLog(filepath.Join(dir, "log")); err != nil {
		lost = append(lost, err)
	} else {
		s.Term, _ = logs.GetUint64([]byte("CurrentTerm")) // damaged, another one is as good
		lost = append(lost, m.salvageLog(ctx, logs, newest), logs.Close())
	}
	s.To, s.Lost = db.Applied(), errors.Join(lost...)
	return s, errors.Join(db.Err(), ctx.Err())
}

// salvageSnapshot restores the newest snapshot where it holds more than the database, and returns the index at its label.
func (m *machine) salvageSnapshot(dir string) (label uint64, err error) {
	if _, err := os.Stat(dir); err != nil {
		return 0, nil // the log alone may do
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, Logger(m.q.log))
	if err != nil {
		return 0, err
	}
	all, err := snapshots.List()
	if err != nil || len(all) == 0 {
		return 0, err
	}
	label = all[0].Index
	if m.db.Applied() >= label {
		return label, nil
	}
	_, in, err := snapshots.Open(all[0].ID)
	if err != nil {
		return label, err
	}
	defer in.Close()
	h, err := readHeader(in)
	if err != nil || h.held <= m.db.Applied() {
		return label, err
	}
	return label, m.restore(h, in)
}

// salvageLog applies the entries behind the database as far as they can be read. The log continues a snapshot, 0 none.
func (m *machine) salvageLog(ctx context.Context, logs logStore, snapshot uint64) error {
	first, err := logs.FirstIndex()
	if err != nil {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil {
		return err
	}
	from := m.db.Applied() + 1
	if held := max(last, snapshot); held+1 < from {
		return fmt.Errorf("the log ends at %d, the database at %d", held, from-1)
	}
	if last < from {
		return nil
	}
	if first > from {
		return fmt.Errorf("the database ends at %d, the log begins at %d: entries %d to %d cannot be applied to it", from-1, first, first, last)
	}
	for index := from; index <= last && ctx.Err() == nil; index++ {
		var entry raft.Log
		if err := logs.GetLog(index, &entry); err != nil {
			return fmt.Errorf("entry %d of %d cannot be read: %w", index, last, err)
		}
		if _, err := m.apply([]*raft.Log{&entry}); err != nil {
			return err
		}
	}
	return nil
}
