package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// leadership is whether this node leads and has applied all that leaders before it committed.
type leadership struct {
	mu      sync.Mutex
	leading bool
	term    uint64
	changed chan struct{} // closed at the next change
}

func (l *leadership) now() (leading bool, term uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leading, l.term, l.changed
}

func (l *leadership) set(leading bool, term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leading == leading && l.term == term {
		return
	}
	l.leading, l.term = leading, term
	close(l.changed)
	l.changed = make(chan struct{})
}

// Leading says whether this node leads, and has applied all that leaders before it committed; in which term; and gives
// a channel that is closed when that changes.
func (q *Quorum) Leading() (leading bool, term uint64, changed <-chan struct{}) {
	leading, term, changed = q.lead.now()
	return leading && q.Err() == nil, term, changed
}

// followLeadership keeps q.lead true to raft.
func (q *Quorum) followLeadership() {
	defer q.lead.set(false, 0)
	for {
		select {
		case leads := <-q.raft.LeaderCh():
			if !leads {
				q.lead.set(false, 0)
				continue
			}
			q.takeLead()
		case <-q.ctx.Done():
			return
		}
	}
}

// takeLead waits until everything committed before is applied here. Where that fails, leading has ended again, and the channel
// says so; or the lead was about to be handed over, which may come to nothing: then it is tried again.
func (q *Quorum) takeLead() {
	term := q.raft.CurrentTerm()
	for {
		err := q.await(q.ctx, q.raft.Barrier(0))
		if err == nil {
			break
		}
		q.log.Debug("could not take the lead", "term", term, "error", err)
		if q.raft.State() != raft.Leader || q.raft.CurrentTerm() != term || q.pause(q.ctx) != nil {
			return
		}
	}
	if applied, last := q.config.DB.Applied(), q.raft.LastIndex(); applied > last {
		// New batches would get indexes that the database believes to have applied.
		q.fail(fmt.Errorf("%w: it holds index %d, the log ends at %d: %s", ErrAhead, applied, last, waysOut))
		return
	}
	q.log.Info("this node leads the site", "term", term)
	q.lead.set(true, term)
}

// WhileLeading runs work whenever this node leads, in a context that ends when it does not any more; work that returns
// is run again at the next term only. It returns when ctx ends or the quorum stops, after work has returned.
func (q *Quorum) WhileLeading(ctx context.Context, work func(ctx context.Context, term uint64)) {
	for {
		leading, term, changed := q.Leading()
		if leading {
			q.workInTerm(ctx, term, changed, work)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-q.stop.done:
			return
		}
	}
}

func (q *Quorum) workInTerm(ctx context.Context, term uint64, changed <-chan struct{}, work func(context.Context, uint64)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-changed:
		case <-q.stop.done:
		case <-stop:
		}
		cancel()
	}()
	work(ctx, term)
}

// Ready returns when this node can serve: it leads, or follows a leader and has applied what that had committed when
// it last spoke.
func (q *Quorum) Ready(ctx context.Context) error {
	every := time.NewTicker(max(q.config.Tuning.Heartbeat/50, time.Millisecond))
	defer every.Stop()
	for {
		leading, _, changed := q.lead.now()
		if leading || q.follows() {
			return nil
		}
		select {
		case <-changed:
		case <-every.C:
		case <-q.stop.done:
			return q.Err()
		case <-ctx.Done():
			return fmt.Errorf("waiting for the site's quorum (%s): %w", q.Status(), ctx.Err())
		}
	}
}

func (q *Quorum) follows() bool {
	_, leader := q.raft.LeaderWithID()
	committed := q.raft.CommitIndex()
	return leader != "" && string(leader) != q.config.ID && q.raft.State() == raft.Follower && committed > 0 && q.holds(committed)
}

// holds says whether the database has every batch up to an index of the log. The database is asked, not raft: that counts as
// applied what it has handed over to be applied, and counts back where a leader that missed this node's answers sends it a
// snapshot of what it holds already.
func (q *Quorum) holds(index uint64) bool {
	var entry raft.Log
	for applied := q.config.DB.Applied(); index > applied; index-- {
		switch err := q.logs.logStore.GetLog(index, &entry); { // not the guarded one, which ends the goroutine of raft that reads
		case err != nil: // behind a snapshot, which the database holds
			return true
		case entry.Type == raft.LogCommand:
			return false
		}
	}
	return true
}

// Led says whether a node leads the site, as far as is known here.
func (q *Quorum) Led() bool {
	_, leader := q.raft.LeaderWithID()
	return leader != "" && q.Err() == nil
}

// Barrier returns when everything committed so far is applied here. Only the leader can: a linearizable read is a
// Barrier, then a View.
func (q *Quorum) Barrier(ctx context.Context) error {
	if leading, _, _ := q.Leading(); !leading {
		return ErrNotLeader
	}
	return q.await(ctx, q.raft.Barrier(q.config.Wait))
}

// Status is where this node stands.
type Status struct {
	ID        string  `json:"id"`
	State     string  `json:"state"` // leader, follower, candidate, shutdown
	Leader    string  `json:"leader"`
	Term      uint64  `json:"term"`
	Last      uint64  `json:"last"` // index of the log's last entry
	Committed uint64  `json:"committed"`
	Applied   uint64  `json:"applied"` // index of the last batch in the database
	Voters    []Voter `json:"voters"`
	NonVoters []Voter `json:"non_voters,omitempty"` // they hold everything and have no vote
}

// Status tells where this node stands.
func (q *Quorum) Status() Status {
	_, leader := q.raft.LeaderWithID()
	s := Status{
		ID: q.config.ID, State: q.raft.State().String(), Leader: string(leader), Term: q.raft.CurrentTerm(),
		Last: q.raft.LastIndex(), Committed: q.raft.CommitIndex(), Applied: q.config.DB.Applied(),
	}
	for _, server := range q.raft.GetConfiguration().Configuration().Servers {
		member := Voter{ID: string(server.ID), Address: string(server.Address)}
		if server.Suffrage == raft.Voter {
			s.Voters = append(s.Voters, member)
		} else {
			s.NonVoters = append(s.NonVoters, member)
		}
	}
	return s
}

func (s Status) String() string {
	leader := s.Leader
	if leader == "" {
		leader = "none"
	}
	return fmt.Sprintf("node %s, %s in term %d, leader %s, %d voters, log at %d, committed %d, applied %d",
		s.ID, s.State, s.Term, leader, len(s.Voters), s.Last, s.Committed, s.Applied)
}

// AddVoter adds a node, or changes its address, if this node leads. The other was opened with Join.
func (q *Quorum) AddVoter(ctx context.Context, v Voter) error {
	return q.await(ctx, q.raft.AddVoter(raft.ServerID(v.ID), raft.ServerAddress(v.Address), 0, q.config.Wait))
}

// AddNonVoter adds a node that has no vote, if this node leads. The other was opened with Join. The log is shortened first, so
// that the other begins with a snapshot: an empty file of its own is not the one from which the log begins.
func (q *Quorum) AddNonVoter(ctx context.Context, v Voter) error {
	if err := q.snapshot(0); err != nil {
		return err
	}
	return q.await(ctx, q.raft.AddNonvoter(raft.ServerID(v.ID), raft.ServerAddress(v.Address), 0, q.config.Wait))
}

// Demote takes a node's vote, if this node leads.
func (q *Quorum) Demote(ctx context.Context, id string) error {
	return q.await(ctx, q.raft.DemoteVoter(raft.ServerID(id), 0, q.config.Wait))
}

// Remove takes a node out of the quorum, if this node leads.
func (q *Quorum) Remove(ctx context.Context, id string) error {
	return q.await(ctx, q.raft.RemoveServer(raft.ServerID(id), 0, q.config.Wait))
}

// Transfer hands the lead to another node, if this one leads.
func (q *Quorum) Transfer(ctx context.Context) error {
	return q.await(ctx, q.raft.LeadershipTransfer())
}

// TransferTo hands the lead to a node that votes, if this one leads.
func (q *Quorum) TransferTo(ctx context.Context, v Voter) error {
	return q.await(ctx, q.raft.LeadershipTransferToServer(raft.ServerID(v.ID), raft.ServerAddress(v.Address)))
}

// Heard is when this node last heard from the one that leads; now, where it does so itself.
func (q *Quorum) Heard() time.Time {
	if q.raft.State() == raft.Leader {
		return time.Now()
	}
	return q.raft.LastContact()
}

// await returns the answer of raft. A future that comes to raft as it ends is never answered.
func (q *Quorum) await(ctx context.Context, future raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return q.failure(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())
	case <-q.stop.done:
	}
	// If it was answered before, that counts.
	select {
	case err := <-done:
		return q.failure(err)
	default:
		return fmt.Errorf("%w: %w", ErrUncertain, q.Err())
	}
}

// snapshotRetry is how long after a snapshot that failed the next is tried.
const snapshotRetry = time.Minute

// takeSnapshots makes one whenever enough log was written, and keeps of the log what followers that lag may need.
func (q *Quorum) takeSnapshots() {
	retry := time.NewTimer(snapshotRetry)
	retry.Stop()
	for {
		select {
		case <-q.fsm.due:
		case <-retry.C:
		case <-q.ctx.Done():
			return
		}
		if err := q.Snapshot(); err != nil && q.Err() == nil {
			q.log.Error("no snapshot could be made; the log grows until one can", "error", err, "again in", snapshotRetry)
			retry.Reset(snapshotRetry)
		}
	}
}

// Snapshot makes a snapshot now and shortens the log. That there is nothing new is no error.
func (q *Quorum) Snapshot() error {
	entries, written := max(q.fsm.entries.Load(), 1), max(q.fsm.written.Load(), entryCost)
	return q.snapshot(uint64(min(max(q.config.Tuning.TrailingBytes/(written/entries+1), 8), 100_000)))
}

// snapshot makes one and keeps as many entries of the log behind it.
func (q *Quorum) snapshot(trailing uint64) error {
	change := q.raft.ReloadableConfig()
	change.TrailingLogs = trailing
	if err := q.raft.ReloadConfig(change); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := q.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("snapshot: %w", err)
	}
	return q.compact()
}

// compact gives back what of the log's file is free. That this fails is an error only where the log is lost.
func (q *Quorum) compact() error {
	freed, err := q.logs.compact(q.config.Tuning.CompactBytes)
	switch {
	case errors.Is(err, errLost):
		return err
	case err != nil:
		q.log.Warn("the log's file keeps its free pages until after the next snapshot", "error", err)
	case freed > 0:
		q.log.Debug("the log's file was written anew", "freed", freed)
	}
	return nil
}
