// Package membership has the nodes of a site work together: who is let in, where each is reached, how a node joins, and how
// the quorum follows the table of nodes.
package membership

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"thatch/node/identity"
	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/wire"
)

// Config is what the room needs.
type Config struct {
	Dir   string       // the data folder
	Self  members.Node // what this node tells of itself
	Named bool         // it was told its name now; else it keeps the one that it has
	Port  *wire.Port
	DB    *store.DB
	Every time.Duration // how often nodes call each other; 0: 3 s
	Now   func() time.Time
	Log   *slog.Logger
	// Local is what this node alone knows of itself, for its Status.
	Local func() Local
	// Send answers a node that asks for a payload file, by its SHA-256.
	Send func(w http.ResponseWriter, r *http.Request, sum string) error
	// More is what else is to be said of the site in a Report; nil: nothing.
	More func(ctx context.Context) []Problem
}

const every = 3 * time.Second

// Membership is this node's part in its site. It is safe for use by several goroutines. Close it.
type Membership struct {
	cfg    Config
	creds  *wire.Credentials
	caller *wire.Caller
	guide  *guide // what a node that joins knows before it has the site's database; nil after
	table  atomic.Pointer[[]members.Node]
	quorum atomic.Pointer[quorum.Quorum]
	rooms  atomic.Pointer[rooms]
	heard  heard
	ended  ended
	going
	changed *signal // the table did
	telling sync.Once
	door    *http.Server
}

// going is what goes on until Close.
type going struct {
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
}

// rooms are those that exist once the site's database does.
type rooms struct {
	members  *members.Room
	identity *identity.Identity
}

// New makes it from what the data folder holds, and configures the port. Nothing is said to other nodes before Start.
func New(ctx context.Context, cfg Config, creds *wire.Credentials) (*Membership, error) {
	if cfg.Every <= 0 {
		cfg.Every = every
	}
	m := &Membership{cfg: cfg, creds: creds, changed: newSignal()}
	m.ended.done = make(chan struct{})
	var err error
	if m.guide, err = readGuide(cfg.Dir); err != nil {
		return nil, err
	}
	m.caller = cfg.Port.Caller()
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := m.refresh(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// Start answers other nodes, and calls them. The node has a certificate by then.
func (m *Membership) Start() {
	m.door = &http.Server{
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(m.cfg.Log.Handler(), slog.LevelDebug),
	}
	m.working.Go(func() { _ = m.handler().Serve(m.door) }) // it ends with Close
	m.working.Go(m.follow)
	m.working.Go(m.greetAll)
}

// Self is what this node tells of itself.
func (m *Membership) Self() members.Node { return m.cfg.Self }

// Voter says whether this node is to vote, as far as is known here.
func (m *Membership) Voter() bool {
	self, known := m.find(m.cfg.Self.ID)
	return !known || self.Votes
}

// Quorum gives this node's part in the quorum, as soon as there is one.
func (m *Membership) Quorum(q *quorum.Quorum) { m.quorum.Store(q) }

// Rooms gives the rooms that exist once the site's database does; from then on the node tells of itself, lets others join, and
// has the quorum follow the table while it leads.
func (m *Membership) Rooms(room *members.Room, id *identity.Identity) {
	m.rooms.Store(&rooms{room, id})
	m.tellWith(room)
	m.working.Go(func() { m.quorum.Load().WhileLeading(m.ctx, m.steward) })
}

// Close ends what Start and Rooms began.
func (m *Membership) Close() error {
	m.cancel()
	var err error
	if m.door != nil {
		err = m.door.Close()
	}
	m.working.Wait()
	return err
}

// Done is closed when this node has to stop: it was removed. Err says why.
func (m *Membership) Done() <-chan struct{} { return m.ended.done }

// Err is nil until Done is closed.
func (m *Membership) Err() error { return m.ended.reason() }

// ended is why a node has to stop.
type ended struct {
	mu   sync.Mutex
	err  error
	done chan struct{}
}

func (e *ended) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
		close(e.done)
	}
}

func (e *ended) reason() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// signal wakes all who wait for a change.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

func newSignal() *signal { return &signal{c: make(chan struct{})} }

func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}

func (s *signal) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.c)
	s.c = make(chan struct{})
}

// noTable is the first version of the schema that has the table of nodes, less one.
const noTable = 3

// refresh reads the table of nodes.
func (m *Membership) refresh(ctx context.Context) error {
	var all []members.Node
	if m.cfg.DB.Schema() > noTable {
		var err error
		if all, err = members.Read(ctx, m.cfg.DB); err != nil {
			return err
		}
	}
	m.table.Store(&all)
	for _, n := range all {
		if n.ID == m.cfg.Self.ID && !n.Removed.IsZero() {
			m.ended.set(members.Removed(n))
		}
	}
	m.cfg.Port.Cut(func(id string) bool {
		n, known := m.find(id)
		return known && !n.Removed.IsZero()
	})
	m.changed.tell()
	return nil
}

// readAgain is how long after it could not be read the table is read again.
const readAgain = 5 * time.Second

// follow keeps what is known of the table true to it, and cuts off who was removed.
func (m *Membership) follow() {
	watch := m.cfg.DB.Watch(members.Topic)
	defer watch.Close()
	again := time.NewTimer(readAgain)
	defer again.Stop()
	again.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-watch.C:
		case <-again.C:
		}
		err := m.refresh(m.ctx)
		if err != nil && m.ctx.Err() == nil {
			m.cfg.Log.Error("the table of nodes could not be read; what was known of it stays, and it is tried again", "error", err, "again in", readAgain)
		}
		if rooms := m.rooms.Load(); rooms != nil && m.Voter() { // it may have got its vote just now, and the site's keys with it
			failed := rooms.identity.Reload(m.ctx)
			if failed != nil && m.ctx.Err() == nil {
				m.cfg.Log.Error("this node is to vote, and cannot open the site's keys; it is tried again", "error", failed, "again in", readAgain)
			}
			err = errors.Join(err, failed)
		}
		if err != nil {
			again.Reset(readAgain)
		}
	}
}

func (m *Membership) find(id string) (members.Node, bool) {
	all := *m.table.Load()
	at := slices.IndexFunc(all, func(n members.Node) bool { return n.ID == id })
	if at < 0 {
		return members.Node{}, false
	}
	return all[at], true
}

// Judge lets a node in that shows a certificate of the site's authority, unless it was removed or the certificate is for
// another key than the one on record. One that is not on record is refused by the node that leads, which knows all there
// are; to others it may have been added after what they hold, and it may be the very one that tells them.
func (m *Membership) Judge(p wire.Peer) error {
	n, known := m.find(p.ID)
	switch {
	case known && !n.Removed.IsZero():
		return members.Removed(n)
	case known && !bytes.Equal(n.TLSKey, p.KeyHash):
		return members.Refuse(members.CodeStranger, "the certificate names node %s, and is for another key than that node's", p.ID)
	case !known && m.leads():
		return members.Refuse(members.CodeStranger, "there is no node %s in this site", p.ID)
	}
	return nil
}

func (m *Membership) leads() bool {
	q := m.quorum.Load()
	if q == nil {
		return false
	}
	leading, _, _ := q.Leading()
	return leading
}

// Addresses are those at which a node is to be reached, the newest first.
func (m *Membership) Addresses(id string) []string {
	var onRecord []string
	if n, known := m.find(id); known {
		onRecord = n.Addresses
	} else if m.guide != nil {
		onRecord = m.guide.addresses(id)
	}
	return m.reachedAt(id, onRecord)
}

// reachedAt is where a node is reached that is on record with addresses.
func (m *Membership) reachedAt(id string, onRecord []string) []string {
	own, told := m.heard.addresses(id)
	return distinct(slices.Concat(m.living()[id], own, told, onRecord))
}

// distinct keeps the first of each.
func distinct(addresses []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(addresses, func(a string) bool {
		again := seen[a]
		seen[a] = true
		return again
	})
}

// Member says whether a node is one of the site's, as far as is known here.
func (m *Membership) Member(id string) bool {
	n, known := m.find(id)
	return known && n.Removed.IsZero()
}

// Others are the ids of the other nodes of the site, as far as they are known here.
func (m *Membership) Others() []string {
	var ids []string
	for _, n := range *m.table.Load() {
		if n.Removed.IsZero() && n.ID != m.cfg.Self.ID {
			ids = append(ids, n.ID)
		}
	}
	if m.guide != nil {
		for _, n := range m.guide.Nodes {
			if _, known := m.find(n.ID); !known && n.ID != m.cfg.Self.ID {
				ids = append(ids, n.ID)
			}
		}
	}
	return ids
}

const tellAgain = 5 * time.Second

// Tell has the table say what this node is and where it is reached, before the rooms are open. Only the first call counts.
func (m *Membership) Tell(w store.Writer) {
	if m.cfg.DB.Schema() > noTable {
		m.tellWith(members.New(nil, m.cfg.DB, w, m.cfg.Now))
	}
}

func (m *Membership) tellWith(room *members.Room) {
	m.telling.Do(func() { m.working.Go(func() { m.tell(room) }) })
}

// tell has the table say what this node is and where it is reached.
func (m *Membership) tell(room *members.Room) {
	self := m.cfg.Self
	if key, err := sealed.ReadNodeKey(m.cfg.Dir); err == nil && key != nil {
		self.SealKey = key.Public() // a change of it that was cut is settled by now
	}
	for {
		ctx := store.WithCaller(m.ctx, &store.Caller{Actor: "node " + m.cfg.Self.ID})
		if known, is := m.find(self.ID); is && !m.cfg.Named {
			self.Name = known.Name
		}
		err := room.Tell(ctx, self)
		if err == nil || m.ctx.Err() != nil {
			return
		}
		m.cfg.Log.Warn("the site could not be told what this node is and where it is reached; it is tried again", "error", err, "again in", tellAgain)
		again := time.NewTimer(tellAgain)
		select {
		case <-again.C:
		case <-m.ctx.Done():
			again.Stop()
			return
		}
	}
}

// Behind are the nodes whose program does not know a schema, as people know them.
func (m *Membership) Behind(schema int) []string {
	var names []string
	for _, n := range *m.table.Load() {
		if n.Removed.IsZero() && n.ID != m.cfg.Self.ID && n.Schema < schema {
			names = append(names, fmt.Sprintf("node %s (%s)", n.Name, n.Version))
		}
	}
	return names
}

// Pending says whether this node is joining a site and does not hold its database yet.
func (m *Membership) Pending() bool { return m.guide != nil }

// Settled waits until this node holds what the site had agreed on when it was asked: its own row among it.
func (m *Membership) Settled(ctx context.Context) error {
	for {
		changed := m.changed.next()
		if _, known := m.find(m.cfg.Self.ID); known {
			return nil
		}
		select {
		case <-changed:
		case <-m.ended.done:
			return m.Err()
		case <-ctx.Done():
			return fmt.Errorf("waiting for the site's data: %w", ctx.Err())
		}
	}
}

// Joined forgets what was only for the time before.
func (m *Membership) Joined() error {
	if m.guide == nil {
		return nil
	}
	return removeGuide(m.cfg.Dir)
}

// errStarting is what a node answers with that is not far enough.
var errStarting = errors.New("the node is starting; try again")
