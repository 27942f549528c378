package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"thatch/node/disk"
	"thatch/node/doors"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/quorum"
	"thatch/node/reach"
	"thatch/node/wire"
)

// front is where a node meets others: the one port, the doors behind it, and the other nodes of the site.
type front struct {
	port    *wire.Port
	creds   *wire.Credentials
	sisters *membership.Membership
	doors   doors.Mux
	server  *http.Server               // of the public doors
	failed  chan error                 // it ended by itself
	public  atomic.Pointer[tls.Config] // nil: the rooms are not open yet
	open    atomic.Bool                // Run has begun
	waits   atomic.Pointer[string]     // for what the node waits, before
	listens chan struct{}              // closed when Run has begun
	stop    chan struct{}              // closed when Run begins to end
}

// raftTimeout is how long the others may take for an answer; snapshots have it for each 256 KiB.
const raftTimeout = 10 * time.Second

// bind takes the port, and looks whether the folder is one that can be run.
func (n *Node) bind() (err error) {
	// A first start that is bound to fail makes no site: what it was called could not be mended by starting again.
	if n.front.port, err = wire.Bind(n.cfg.Listen); err != nil {
		return err
	}
	if n.front.creds, err = wire.OpenCredentials(n.cfg.Dir, n.folder.ID); err != nil {
		return err
	}
	return membership.Lost(n.cfg.Dir, n.front.creds)
}

// meet finds out what is known of the site's other nodes, and answers those that there are.
func (n *Node) meet(ctx context.Context) (err error) {
	f := &n.front
	self, err := n.self()
	if err != nil {
		return err
	}
	f.sisters, err = membership.New(ctx, membership.Config{
		Dir: n.cfg.Dir, Self: self, Named: n.cfg.Name != "", Port: f.port, DB: n.db, Now: n.cfg.Now, Log: n.cfg.Log, Local: n.local,
		More: n.comeback, Send: n.sendPayload,
	}, f.creds)
	if err != nil {
		return err
	}
	f.port.Configure(wire.Config{
		Credentials: f.creds, Judge: f.sisters.Judge, Addresses: f.sisters.Addresses, Public: n.publicTLS, Now: n.cfg.Now, Log: n.cfg.Log,
	})
	f.server = n.server(f)
	if f.creds.Known() {
		n.greet()
	}
	return nil
}

// greet begins to answer at the port: other nodes at once, everybody else that the node is starting.
func (n *Node) greet() {
	n.front.port.Open()
	n.front.sisters.Start()
	n.front.failed = make(chan error, 1)
	go func() { n.front.failed <- n.front.server.Serve(n.front.port.Listener("")) }()
}

// publicTLS is for everybody who is no node of the site.
func (n *Node) publicTLS() *tls.Config {
	if config := n.front.public.Load(); config != nil {
		return config
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, Time: n.cfg.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.front.creds.Certificate(), nil },
	}
}

// voting is how this node takes part in the quorum.
func (n *Node) voting() quorum.Config {
	votes := n.cfg.Quorum
	votes.ID, votes.Dir, votes.DB, votes.Log = n.folder.ID, n.folder.Path(folder.QuorumFolder), n.db, n.cfg.Log
	votes.Join = votes.Join || n.front.creds.Known()
	if votes.Transport == nil {
		votes.Transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: n.front.port.Raft(), MaxPool: 3, Timeout: raftTimeout, MsgpackUseNewTimeFormat: true, Logger: quorum.Logger(n.cfg.Log),
		})
		votes.Forward = n.front.sisters
	}
	return votes
}

// self is what this node tells the others of itself.
func (n *Node) self() (members.Node, error) {
	seal, err := sealed.ReadNodeKey(n.cfg.Dir)
	if err == nil && seal == nil && n.front.creds.Known() {
		return members.Node{}, identity.NodeKeyMissing(n.cfg.Dir)
	}
	if err == nil && seal == nil {
		seal, err = sealed.NodeKey(n.cfg.Dir)
	}
	if err != nil {
		return members.Node{}, err
	}
	key, err := n.front.creds.KeyHash()
	return members.Node{
		ID: n.folder.ID, Name: reach.Name(n.cfg.Name), Addresses: reach.Addresses(n.cfg.Listen, n.cfg.Names, n.front.port.Addr().String()), Votes: true, TLSKey: key, SealKey: seal.Public(),
		Version: n.cfg.Version, Schema: n.cfg.Schema.Version,
	}, err
}

// local is what this node alone knows of itself.
func (n *Node) local() membership.Local {
	l := membership.Local{State: "starting", Started: n.started, Database: n.db.Size()}
	if n.front.open.Load() {
		l.State = "running"
	} else if why := n.front.waits.Load(); why != nil {
		l.Reason = *why
	}
	if cert := n.front.creds.Certificate(); cert != nil {
		l.Certificate = cert.Leaf.NotAfter
	}
	space, err := disk.Of(n.cfg.Dir)
	if err != nil {
		l.Problem = err.Error()
		return l
	}
	l.Disk = &space
	return l
}

// waitFor waits for something before the node can serve, and says so to whoever asks. A node that has to stop does.
func (n *Node) waitFor(ctx context.Context, what string, wait func(ctx context.Context) error) error {
	n.front.waits.Store(&what)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-n.front.sisters.Done():
			cancel()
		case <-over:
		}
	}()
	err := wait(ctx)
	if err == nil {
		return nil
	}
	if shut := n.front.sisters.Err(); shut != nil {
		return shut
	}
	return fmt.Errorf("wait for %s: %w", what, err)
}

// serveWithout is how long a node that holds its site's data waits for a quorum before it serves without one: longer than the
// others take to elect one that leads.
const serveWithout = 10 * time.Second

// awaitQuorum waits until this node holds what its site has agreed on. Where no quorum comes about, one that holds the site's
// data serves what it holds, as nodes do that lose their quorum while they run; writes wait, and answers say that they may be old.
func (n *Node) awaitQuorum(ctx context.Context) error {
	wait := ctx
	if _, _, err := n.readSite(ctx); err == nil && !n.front.sisters.Pending() && n.db.Schema() == n.cfg.Schema.Version {
		limited, cancel := context.WithTimeout(ctx, serveWithout)
		defer cancel()
		wait = limited
	}
	err := n.waitFor(wait, "the site's quorum", n.quorum.Ready)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	n.cfg.Log.Warn("the site has no quorum: the node serves what it holds, and takes writes once there is one", "waited", serveWithout, "quorum", n.quorum.Status())
	return nil
}

// upgradeEvery is how often a node that waits for others to be upgraded looks again, if nothing tells it to before.
const upgradeEvery = 500 * time.Millisecond

// upgrade brings the site's database to the version that this program knows, or waits until another node does: whoever leads
// proposes it once every node of the site has told that it knows it.
func (n *Node) upgrade(ctx context.Context) error {
	want := n.cfg.Schema.Version
	for n.db.Schema() < want {
		n.front.sisters.Tell(n.writer)
		behind := n.front.sisters.Behind(want)
		if leading, _, _ := n.quorum.Leading(); leading && len(behind) == 0 {
			if err := n.db.Migrate(ctx, n.quorum, want, n.cfg.Now()); err != nil {
				return fmt.Errorf("bring the site's database to this version: %w", err)
			}
			continue
		}
		why := "the node that leads to bring the site's database to this version"
		if len(behind) > 0 {
			why = fmt.Sprintf("%s to be upgraded to %s", strings.Join(behind, " and "), n.cfg.Version)
		}
		if former := n.front.waits.Swap(&why); former == nil || *former != why {
			n.cfg.Log.Info("this node takes part in the quorum, and waits before it answers anybody", "for", why)
		}
		again := time.NewTimer(upgradeEvery)
		select {
		case <-again.C:
		case <-n.quorum.Done():
			return n.quorum.Err()
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// handOver has another node lead before this one goes, where there is one.
func (n *Node) handOver(ctx context.Context) {
	leading, _, _ := n.quorum.Leading()
	if !leading || len(n.quorum.Status().Voters) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	if err := n.quorum.Transfer(ctx); err != nil {
		n.cfg.Log.Warn("the lead could not be handed over; the others find out by themselves", "error", err)
	}
}

const handOverTimeout = 3 * time.Second

// ServeHTTP answers the doors from Run on. Before, it says that the node is starting, and ends the connection: who is let in
// is asked where a connection begins, and cannot be yet.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.open.Load() {
		f.doors.ServeHTTP(w, r)
		return
	}
	text := "the node is starting; try again"
	if why := f.waits.Load(); why != nil {
		text = "the node is starting: it waits for " + *why
	}
	body, _ := json.Marshal(map[string]string{"code": "starting", "error": text}) // two texts have a JSON
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "2")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(body)
}

// close ends what meet and greet began, but for the port, which the quorum needs until its own end.
func (f *front) close() error {
	var errs []error
	if f.sisters != nil {
		errs = append(errs, f.sisters.Close())
	}
	if f.server != nil {
		errs = append(errs, f.server.Close())
	}
	return errors.Join(errs...)
}
