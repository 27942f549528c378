// Package quorum orders the batches of a site: raft, with this node as the single voter by default. It is the
// store.Writer of a node; what it orders it has applied to the node's store.DB.
package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"thatch/node/store"
)

// ErrStopped says that the quorum of this node was closed.
var ErrStopped = errors.New("the node's quorum is closed")

// ErrUnavailable says that no node of the site led, or could be reached, for as long as a write may wait. Nothing is
// known to be written; with a request id it can be tried again safely.
var ErrUnavailable = store.ErrUnavailable

// ErrUncertain says that the outcome of a write is unknown: it may have been applied or may still be. With a request
// id it can be tried again safely.
var ErrUncertain = store.ErrUncertain

// ErrNotLeader says that another node, or none, leads.
var ErrNotLeader = errors.New("this node does not lead")

// Voter is a node of the site as raft knows it.
type Voter struct {
	ID      string // of the node, never changes
	Address string // as its transport understands it
}

// Config says how to take part. ID, Dir and DB are needed.
type Config struct {
	ID        string         // of this node, never changes
	Dir       string         // for the log and snapshots; made if missing
	DB        *store.DB      // open; the caller closes it after the Quorum
	Transport raft.Transport // closed with the quorum; nil: one in this process, for a node that is alone
	// Voters are the first voters of a new site; none means this node alone. Used by the very first start only.
	Voters  []Voter
	Join    bool          // the first start waits to be added by a site that lives (see AddVoter)
	Forward Forwarder     // carries writes to the leader; nil: this node's writes work while it leads
	Wait    time.Duration // for how long a write waits for a leader; 0: 10 s
	Log     *slog.Logger  // nil: slog.Default
	Tuning  Tuning
}

// Tuning holds what tests and large sites change; zero values mean the defaults.
type Tuning struct {
	Heartbeat     time.Duration // without word from a leader for this long, a follower stands for election; 1 s
	SnapshotBytes int64         // of log written until the next snapshot; half the database, 32 MiB to 256 MiB
	TrailingBytes int64         // of log kept behind a snapshot for followers that lag; 32 MiB
	CompactBytes  int64         // from which size on the log's file is rid of its free pages; 8 MiB
}

// Quorum is this node's part in the site's quorum. All methods may be used at once.
type Quorum struct {
	config Config
	log    *slog.Logger
	raft   *raft.Raft
	logs   *guardedLog
	fsm    *machine
	lead   leadership
	stop   stopping
	tasks  sync.WaitGroup
	ctx    context.Context // ends when the quorum stops
	cancel context.CancelFunc
}

// Open starts taking part. It returns once the log and the database are known to fit together, restoring the last
// snapshot where the database is gone or behind the log; see Ready for when writes are taken.
func Open(ctx context.Context, config Config) (*Quorum, error) {
	config.setDefaults()
	q := &Quorum{config: config, log: config.Log}
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.stop.done = make(chan struct{})
	q.lead.changed = make(chan struct{})
	q.fsm = &machine{q: q, db: config.DB, due: make(chan struct{}, 1)}
	if err := q.start(ctx); err != nil {
		q.cancel()
		if q.logs != nil {
			err = errors.Join(err, q.logs.Close())
		}
		return nil, fmt.Errorf("quorum of node %s in %s: %w", config.ID, config.Dir, err)
	}
	q.tasks.Go(q.followLeadership)
	q.tasks.Go(q.takeSnapshots)
	q.tasks.Go(q.watchDatabase)
	q.tasks.Go(q.endRaft)
	return q, nil
}

func (c *Config) setDefaults() {
	if c.Wait <= 0 {
		c.Wait = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	t := &c.Tuning
	if t.Heartbeat <= 0 {
		t.Heartbeat = time.Second
	}
	if t.TrailingBytes <= 0 {
		t.TrailingBytes = 32 << 20
	}
	if t.CompactBytes <= 0 {
		t.CompactBytes = 8 << 20
	}
}

func (q *Quorum) start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, dir := range []string{"log", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(q.config.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	logs, err := openLog(filepath.Join(q.config.Dir, "log"))
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	q.logs = &guardedLog{logStore: logs, failed: q.fail}
	if err := q.compact(); err != nil {
		return err
	}
	logger := Logger(q.log)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(q.config.Dir, "snapshots"), 1, logger)
	if err != nil {
		return fmt.Errorf("opening the snapshots: %w", err)
	}
	fresh, err := q.reconcile(snapshots)
	if err != nil {
		return err
	}
	if q.config.Transport == nil {
		address, transport := raft.NewInmemTransport(raft.ServerAddress(q.config.ID))
		transport.Connect(address, transport)
		q.config.Transport = transport
	}
	settings := q.settings()
	settings.Logger = logger
	if fresh && !q.config.Join {
		first := q.firstVoters()
		if err := raft.BootstrapCluster(settings, q.logs, q.logs, snapshots, q.config.Transport, first); err != nil {
			return fmt.Errorf("making a new site: %w", err)
		}
	}
	if err := q.newRaft(settings, snapshots); err != nil {
		return err
	}
	q.hurry()
	return nil
}

func (q *Quorum) settings() *raft.Config {
	s := raft.DefaultConfig()
	s.LocalID = raft.ServerID(q.config.ID)
	s.HeartbeatTimeout = q.config.Tuning.Heartbeat
	s.ElectionTimeout = q.config.Tuning.Heartbeat
	s.LeaderLeaseTimeout = q.config.Tuning.Heartbeat * 3 / 4 // busy machines miss shorter ones
	s.CommitTimeout = min(s.CommitTimeout, q.config.Tuning.Heartbeat/10)
	s.BatchApplyCh = true // all writes that wait share one flush of the log
	s.NoSnapshotRestoreOnStart = true
	s.SnapshotThreshold = 1 << 62 // takeSnapshots decides, by size
	s.SnapshotInterval = time.Hour
	s.NoLegacyTelemetry = true
	return s
}

func (q *Quorum) firstVoters() raft.Configuration {
	voters := q.config.Voters
	if len(voters) == 0 {
		voters = []Voter{{ID: q.config.ID, Address: string(q.config.Transport.LocalAddr())}}
	}
	var c raft.Configuration
	for _, v := range voters {
		c.Servers = append(c.Servers, raft.Server{
			Suffrage: raft.Voter, ID: raft.ServerID(v.ID), Address: raft.ServerAddress(v.Address),
		})
	}
	return c
}

// newRaft starts raft, which panics where the log cannot be read.
func (q *Quorum) newRaft(settings *raft.Config, snapshots raft.SnapshotStore) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("reading the log: %v", r)
		}
	}()
	q.raft, err = raft.NewRaft(settings, q.fsm, q.logs, q.logs, snapshots, q.config.Transport)
	if err != nil {
		return err
	}
	q.logs.started.Store(true)
	return nil
}

// hurry makes a node that is the only voter stand for election at once: nobody can be leading.
func (q *Quorum) hurry() {
	servers := q.raft.GetConfiguration().Configuration().Servers
	if len(servers) != 1 || servers[0].ID != raft.ServerID(q.config.ID) {
		return
	}
	transport, self := q.config.Transport, raft.ServerID(q.config.ID)
	q.tasks.Go(func() {
		request := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(self),
			Addr: transport.EncodePeer(self, transport.LocalAddr()),
		}}
		// If this fails, the node stands for election when its time has come.
		if err := transport.TimeoutNow(self, transport.LocalAddr(), &request, &raft.TimeoutNowResponse{}); err != nil {
			q.log.Debug("the single voter waits for its election timeout", "error", err)
		}
	})
}

// Close leaves the quorum, though not the site: writes under way end with ErrUncertain or ErrStopped. The database
// stays open.
func (q *Quorum) Close() error {
	q.stop.set(ErrStopped)
	q.cancel()
	err := q.raft.Shutdown().Error()
	q.tasks.Wait()
	if closer, ok := q.config.Transport.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	if err = errors.Join(err, q.logs.Close()); err != nil {
		return fmt.Errorf("closing the quorum of node %s: %w", q.config.ID, err)
	}
	return nil
}

// Done is closed when the quorum has stopped: by Close, or because the log or the database failed. Err says why.
func (q *Quorum) Done() <-chan struct{} { return q.stop.done }

// Err is nil while the quorum runs, then ErrStopped or what made it stop.
func (q *Quorum) Err() error { return q.stop.reason() }

// fail stops the quorum for good: nothing may be skipped.
func (q *Quorum) fail(err error) {
	if !q.stop.set(err) {
		return
	}
	q.log.Error("the node stops", "error", err)
	q.cancel() // see endRaft
}

func (q *Quorum) endRaft() {
	<-q.ctx.Done()
	q.raft.Shutdown()
}

func (q *Quorum) watchDatabase() {
	select {
	case <-q.config.DB.Failed():
		q.fail(q.config.DB.Err())
	case <-q.ctx.Done():
	}
}

// stopping is why a quorum stopped.
type stopping struct {
	mu   sync.Mutex
	err  error
	done chan struct{}
}

// set keeps the first reason and says whether this is it.
func (s *stopping) set(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.err = err
	close(s.done)
	return true
}

func (s *stopping) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
