package quorum

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// ErrNoSnapshot says that the database lacks entries which the log no longer has, and that there is no snapshot to
// make it anew from.
var ErrNoSnapshot = errors.New("no snapshot to restore")

// ErrAhead says that the database holds more than the log: the log's folder is lost, damaged, or another's.
var ErrAhead = errors.New("the database is ahead of the log")

// waysOut says what to do where log and database do not fit, from the best to the last.
const waysOut = "put the folder back as it was, where you can; or join the node to its site anew in an empty folder, where other nodes of the site live " +
	"(thatch node join); or, where it is the last one, make a site of one node of what is here (thatch node recover), or restore a backup (thatch restore)"

// reconcile makes sure that database, log and snapshot fit together before raft starts, and restores the snapshot
// where the database lacks what the log no longer has. Fresh: there is neither log nor snapshot nor anything applied.
func (q *Quorum) reconcile(snapshots raft.SnapshotStore) (fresh bool, err error) {
	first, err := q.logs.FirstIndex()
	if err != nil {
		return false, fmt.Errorf("reading the log: %w", err)
	}
	last, err := q.logs.LastIndex()
	if err != nil {
		return false, fmt.Errorf("reading the log: %w", err)
	}
	all, err := snapshots.List()
	if err != nil {
		return false, fmt.Errorf("listing the snapshots: %w", err)
	}
	applied := q.config.DB.Applied()
	if len(all) > 0 {
		return false, q.fitSnapshot(snapshots, all[0], first, last)
	}
	switch {
	case last == 0 && applied == 0:
		return true, nil
	case applied+1 < first:
		return false, fmt.Errorf("the database %s holds index %d, the log begins at %d, and there is %w: %s",
			q.config.DB.Path(), applied, first, ErrNoSnapshot, waysOut)
	case applied > last:
		return false, q.ahead(last)
	case first > 1: // the database is whole, but raft does not start with such a log
		return false, fmt.Errorf("the log in %s begins at %d, and the snapshot that it continues is gone, so there is %w: %s",
			q.config.Dir, first, ErrNoSnapshot, waysOut)
	}
	return false, nil
}

// fitSnapshot is reconcile where there is a snapshot. It is opened, which reads all of it, only where its index alone
// does not tell enough.
func (q *Quorum) fitSnapshot(snapshots raft.SnapshotStore, meta *raft.SnapshotMeta, first, last uint64) error {
	if first > meta.Index+1 {
		return fmt.Errorf("the log begins at %d, the last snapshot ends at %d, and there is %w between them: %s",
			first, meta.Index, ErrNoSnapshot, waysOut)
	}
	applied := q.config.DB.Applied()
	if applied >= meta.Index && applied <= last {
		return nil
	}
	_, in, err := snapshots.Open(meta.ID) // compares its checksum
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", meta.ID, err)
	}
	defer in.Close()
	h, err := readHeader(in)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", meta.ID, err)
	}
	if applied < h.label {
		if err := q.fsm.restore(h, in); err != nil {
			return fmt.Errorf("restoring snapshot %s: %w", meta.ID, err)
		}
		applied = q.config.DB.Applied()
	}
	if held := max(last, meta.Index, h.held); applied > held {
		return q.ahead(held)
	}
	return nil
}

func (q *Quorum) ahead(held uint64) error {
	return fmt.Errorf("%w: database %s holds index %d, the log in %s ends at %d, lost or damaged: %s",
		ErrAhead, q.config.DB.Path(), q.config.DB.Applied(), q.config.Dir, held, waysOut)
}
