package quorum

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"thatch/node/store"
	"thatch/node/store/batch"
)

// machine applies committed entries to the database. Raft calls ApplyBatch, Snapshot and Restore from one goroutine.
type machine struct {
	q       *Quorum
	db      *store.DB
	written atomic.Int64 // bytes of log since the last snapshot
	entries atomic.Int64
	due     chan struct{} // a snapshot is
}

// entryCost is what an entry costs in the log beside its data.
const entryCost = 64

// Apply implements raft.FSM.
func (m *machine) Apply(entry *raft.Log) any { return m.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch implements raft.BatchingFSM: all entries in one transaction. Answers are store.Applied or an error.
// Nothing is skipped: after an error no entry is applied any more, and the node stops.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	applied, err := m.apply(logs)
	if err != nil {
		m.q.fail(err)
	}
	for i, entry := range logs {
		switch {
		case entry.Type != raft.LogCommand:
		case err != nil:
			answers[i] = err
		default:
			answers[i] = applied[entry.Index]
		}
	}
	m.count(logs)
	return answers
}

func (m *machine) apply(logs []*raft.Log) (map[uint64]store.Applied, error) {
	if err := m.q.Err(); err != nil && !errors.Is(err, ErrStopped) {
		return nil, err
	}
	answers := make(map[uint64]store.Applied, len(logs))
	entries := make([]store.Entry, 0, len(logs))
	last := m.db.Applied()
	for _, entry := range logs {
		if entry.Type != raft.LogCommand {
			continue
		}
		if entry.Index <= last {
			answers[entry.Index] = store.Applied{Index: entry.Index}
			continue
		}
		made, err := batch.Decode(entry.Data)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the log: %w", entry.Index, err)
		}
		entries = append(entries, store.Entry{Index: entry.Index, Batch: made, Mark: batch.Mark(entry.Data, made)})
	}
	if len(entries) == 0 {
		return answers, nil
	}
	applied, err := m.db.ApplyAt(entries)
	for _, a := range applied {
		answers[a.Index] = a
	}
	for i := range applied { // of a repeated request, the index is that of the first time
		answers[entries[i].Index] = applied[i]
	}
	return answers, err
}

func (m *machine) count(logs []*raft.Log) {
	var size int64
	for _, entry := range logs {
		size += int64(len(entry.Data)) + entryCost
	}
	m.entries.Add(int64(len(logs)))
	if m.written.Add(size) >= m.limit() {
		select {
		case m.due <- struct{}{}:
		default:
		}
	}
}

// limit is how much log may be written until the next snapshot. Making one costs as much as the database is large, so
// that it grows with it; starting costs as much as there is log to read.
func (m *machine) limit() int64 {
	if set := m.q.config.Tuning.SnapshotBytes; set > 0 {
		return set
	}
	return min(max(m.db.Size()/2, 32<<20), 256<<20)
}

// A snapshot is a header and a copy of the database's file.
const (
	snapshotMagic  = "thatch snapshot 1\n"
	snapshotHeader = len(snapshotMagic) + 16
)

// header tells what a snapshot holds.
type header struct {
	label uint64 // index of the last batch when raft asked for it: whoever applied it has all up to raft's label
	held  uint64 // index of the last batch in the copy, never less
}

func (h header) encode() []byte {
	buf := append(make([]byte, 0, snapshotHeader), snapshotMagic...)
	buf = binary.BigEndian.AppendUint64(buf, h.label)
	return binary.BigEndian.AppendUint64(buf, h.held)
}

func readHeader(r io.Reader) (header, error) {
	buf := make([]byte, snapshotHeader)
	if _, err := io.ReadFull(r, buf); err != nil {
		return header{}, fmt.Errorf("snapshot is cut short: %w", err)
	}
	if string(buf[:len(snapshotMagic)]) != snapshotMagic {
		return header{}, fmt.Errorf("snapshot begins with %q, want %q", buf[:len(snapshotMagic)], snapshotMagic)
	}
	h := header{
		label: binary.BigEndian.Uint64(buf[len(snapshotMagic):]),
		held:  binary.BigEndian.Uint64(buf[len(snapshotMagic)+8:]),
	}
	if h.held < h.label {
		return header{}, fmt.Errorf("snapshot of index %d holds only %d", h.label, h.held)
	}
	return h, nil
}

// Snapshot implements raft.FSM. The copy is made by Persist, and may be newer.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.q.Err(); err != nil {
		return nil, err
	}
	m.written.Store(0)
	m.entries.Store(0)
	return &snapshot{m: m, label: m.db.Applied()}, nil
}

type snapshot struct {
	m     *machine
	label uint64
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() {}

// Persist implements raft.FSMSnapshot. When it returns, raft may shorten the log, so the database is synced first.
func (s *snapshot) Persist(out raft.SnapshotSink) error {
	err := s.write(out)
	if err == nil {
		err = s.m.db.Sync()
	}
	if err != nil {
		return errors.Join(err, out.Cancel())
	}
	return out.Close()
}

func (s *snapshot) write(out io.Writer) error {
	path := s.m.temporary("out")
	if err := removeOld(path); err != nil {
		return err
	}
	defer os.Remove(path)
	held, err := s.m.db.Snapshot(s.m.q.ctx, path)
	if err != nil {
		return err
	}
	if _, err := out.Write(header{label: s.label, held: held}.encode()); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, file, make([]byte, 1<<20))
	return err
}

// Restore implements raft.FSM: the leader sent a snapshot because it believes this node further behind than its log
// goes. Where it is not, the database stays as it is, for it holds all that the snapshot holds.
func (m *machine) Restore(in io.ReadCloser) error {
	defer in.Close()
	buffered := bufio.NewReaderSize(in, 1<<20)
	h, err := readHeader(buffered)
	if err == nil && h.held <= m.db.Applied() {
		m.q.log.Info("a snapshot is not newer than the database", "applied", m.db.Applied(), "held", h.held)
		return nil
	}
	if err == nil {
		err = m.restore(h, buffered)
	}
	if err != nil {
		m.q.fail(fmt.Errorf("restoring a snapshot: %w", err))
		return err
	}
	return nil
}

// restore puts the file that follows a header in the place of the database.
func (m *machine) restore(h header, in io.Reader) error {
	path := m.temporary("in")
	if err := removeOld(path); err != nil {
		return err
	}
	defer os.Remove(path)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(file, struct{ io.Reader }{in}, make([]byte, 1<<20))
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	about, err := store.Inspect(m.q.ctx, path)
	if err != nil {
		return err
	}
	if about.Applied != h.held {
		return fmt.Errorf("snapshot says it holds index %d, its file holds %d", h.held, about.Applied)
	}
	m.q.log.Info("restoring a snapshot", "applied", m.db.Applied(), "held", h.held)
	return m.db.Restore(m.q.ctx, path)
}

// temporary is beside the database, so that a snapshot can be renamed into its place.
func (m *machine) temporary(name string) string { return m.db.Path() + "-snapshot-" + name }

func removeOld(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
