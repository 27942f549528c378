// Package node is a member of a site: it opens the rooms below it in their order, gives them the site's database and
// writer, and serves the doors that are mounted on it.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"thatch/node/folder"
	"thatch/node/imports"

	"github.com/prometheus/client_golang/prometheus"

	"thatch/catalog/content"
	"thatch/node/backup"
	"thatch/node/bulletins"
	"thatch/node/bulletins/staging"
	"thatch/node/check"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/copies"
	"thatch/node/gossip"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/operators"
	"thatch/node/past"
	"thatch/node/policies"
	"thatch/node/policies/authoring"
	"thatch/node/policies/windows"
	"thatch/node/quorum"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/rollups"
	"thatch/node/settings"
	"thatch/node/sites"
	"thatch/node/sites/rules"
	"thatch/node/store"
	"thatch/node/store/local"
	"thatch/node/tasks"
	"thatch/node/uploads"
)

// People are who works at a site, and by what they are known.
type People struct {
	Identity  *identity.Identity
	Operators *operators.Room
}

// Standing is what a site consists of, and among which others it stands.
type Standing struct {
	Members *members.Room
	Sites   *sites.Room
	Backups *backup.Room
	Gossip  *gossip.Follower
}

// Figures are how the computers of the site, and of those below it, fare.
type Figures struct {
	Compliance *compliance.Room
	RollUps    *rollups.Room
	Past       *past.Room // day by day
}

// Payloads are the payload files of this node, what fills it with them, and the copies at the others.
type Payloads struct {
	Content *content.Store
	Staging *staging.Stager
	Copies  *copies.Keeper
}

// Rooms are the nouns of a site; each owns its tables and verbs.
type Rooms struct {
	People
	Figures
	Standing
	Payloads
	Tasks     *tasks.Room
	Settings  *settings.Room
	Bulletins *bulletins.Bulletins
	Computers *computers.Room
	Policies  *policies.Room
	Windows   *windows.Room
	Replicas  *replicas.Room
	Sender    *dataset.Sender
	Check     *check.Checker
	Imports   *imports.Room
}

// Node is a member of a site. Make one with New, mount doors, call Run, then Close.
type Node struct {
	Rooms
	cfg          Config
	folder       *folder.Folder
	db           *store.DB
	own          *local.Local
	quorum       *quorum.Quorum
	writer       store.Writer
	site         Site
	started      time.Time
	shown        shown
	front        front
	lostPayloads atomic.Int64 // found altered since the start
	background   background
}

// shown is what is known of the node after it started.
type shown struct {
	name atomic.Pointer[string] // of the site, where it was renamed since
}

// New opens the data folder of a node, which nobody else may have open, and every room. The first start makes the
// site. Close the node in any case.
func New(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, started: cfg.Now()}
	n.front.doors.Log, n.front.listens, n.front.stop = cfg.Log, make(chan struct{}), make(chan struct{})
	if n.folder, err = folder.Open(cfg.Dir); err != nil {
		return nil, err
	}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// open opens everything. Whoever adds a room adds it to openRooms.
func (n *Node) open(ctx context.Context) error {
	var err error
	if err := n.bind(); err != nil {
		return err
	}
	if err := n.folder.Private(folder.DatabaseFile); err != nil {
		return err
	}
	if n.db, err = store.Open(ctx, store.Config{Path: n.folder.Path(folder.DatabaseFile), Schema: n.cfg.Schema, Log: n.cfg.Log}); err != nil {
		return fmt.Errorf("open the site's database: %w", err)
	}
	if err := n.openOwn(); err != nil {
		return err
	}
	if err := n.meet(ctx); err != nil {
		return err
	}
	if n.quorum, err = quorum.Open(ctx, n.voting()); err != nil {
		return err
	}
	n.front.sisters.Quorum(n.quorum)
	n.front.doors.Stale = func() bool { return !n.quorum.Led() }
	if err := n.awaitQuorum(ctx); err != nil {
		return err
	}
	if n.front.sisters.Pending() {
		if err := n.waitFor(ctx, "the site's data", n.front.sisters.Settled); err != nil {
			return err
		}
	}
	n.writer = store.Signed(settled{n.quorum, n.db}, n.cfg.Now, identity.Audited)
	if err := n.waitFor(ctx, "the site's database to come to this version", n.upgrade); err != nil {
		return err
	}
	if n.site, err = n.seed(ctx); err != nil {
		return err
	}
	if err := n.openRooms(ctx); err != nil {
		return err
	}
	return n.letIn()
}

// letIn has the node met as one of its site.
func (n *Node) letIn() error {
	public := n.Identity.TLS()
	public.NextProtos = []string{"h2", "http/1.1"}
	n.front.public.Store(public)
	if n.front.server != nil && n.front.failed == nil { // the first start: there was no certificate before
		n.greet()
	}
	n.openGossip()
	n.front.sisters.Rooms(n.Members, n.Identity)
	return n.front.sisters.Joined()
}

// openOwn opens the node's own file, of which nothing is missed that was lost.
func (n *Node) openOwn() error {
	if err := n.folder.Private(folder.OwnFile); err != nil {
		return err
	}
	own, lost, err := local.OpenOrRenew(n.folder.Path(folder.OwnFile))
	if err != nil {
		return fmt.Errorf("open the node's own file: %w", err)
	}
	if lost != nil {
		n.cfg.Log.Warn("the node's own file could not be used and was made anew: payloads and documents are checked again", "error", lost)
	}
	n.own = own
	return nil
}

// openRooms opens the rooms in the order in which they need each other.
func (n *Node) openRooms(ctx context.Context) error {
	var err error
	n.Identity, err = identity.Open(ctx, identity.Config{
		Dir: n.cfg.Dir, Site: n.site.ID, Name: n.site.Name, Node: n.folder.ID, Names: n.cfg.names(n.site.ID),
		Own: n.front.creds, Keyless: !n.front.sisters.Voter(), Reader: n.db, Writer: n.writer, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.Members = members.New(n.Identity.Authority(), n.db, n.writer, n.cfg.Now)
	n.openSites()
	n.Tasks = tasks.New(tasks.Config{
		Node: n.folder.ID, Reader: n.db, Writer: n.writer, Watch: n.db.Watch, Leads: n.leads, Members: n.memberIDs, Now: n.cfg.Now, Log: n.cfg.Log,
	})
	n.Tasks.Register(n.housekeeping())
	n.openBackups()
	n.Settings = settings.New(n.db, n.writer, n.Identity)
	n.Operators = operators.New(operators.Config{
		Site: n.site.ID, Reader: n.db, Writer: n.writer, Settings: n.Settings, Sealer: n.Identity, Cost: n.cfg.Passwords, Now: n.cfg.Now, Log: n.cfg.Log,
	})
	n.Bulletins = bulletins.New(bulletins.Config{
		Site: n.site.ID, Reader: n.db, Writer: n.writer, Signer: n.Identity, Now: n.cfg.Now, Log: n.cfg.Log,
		Covered: func(source string) []store.Statement { return []store.Statement{tasks.SwitchOff(imports.Task(source))} },
	})
	if err := n.openContent(ctx); err != nil {
		return err
	}
	n.Check = check.New(check.Config{
		Own: n.own, Reader: n.db, Content: n.Content, First: firstCheck, Now: n.cfg.Now, Log: n.cfg.Log,
	})
	n.Tasks.Register(n.stagingKind())
	n.Imports = imports.New(imports.Config{
		Tasks: n.Tasks, Settings: n.Settings, Bulletins: n.Bulletins, Languages: n.Languages, Now: n.cfg.Now,
		Uploads: uploads.Folder{Dir: n.folder.Path(folder.UploadsFolder), Now: n.cfg.Now}, Scratch: n.folder.Path(folder.ScratchFolder),
	})
	for _, kind := range n.contentKinds() {
		n.Tasks.Register(kind)
	}
	if n.Computers, err = computers.New(ctx, n.db, n.writer, n.cfg.Now); err != nil {
		return fmt.Errorf("open the computers: %w", err)
	}
	n.Computers.At(n.folder.ID)
	n.Compliance = compliance.New(n.Computers, n.Bulletins.Catalog())
	author := authoring.Author{Site: n.site.ID, Writer: n.writer, Signer: n.Identity, Now: n.cfg.Now}
	n.Policies = policies.New(policies.Config{
		Author: author, Reader: n.db, Bulletins: n.Bulletins, Computers: n.Computers, Selected: rules.Selected,
		Approval: n.asksApproval,
	})
	n.Windows = windows.Open(windows.Config{Author: author, Reader: n.db, Computers: n.Computers})
	n.Bulletins.CountPolicies(n.Policies.CountByBulletin)
	n.Bulletins.CountNeeded(n.Compliance.Needed)
	return n.openFederation(ctx)
}

// Close ends what New opened, in reverse.
func (n *Node) Close() error {
	var errs []error
	if n.Tasks != nil {
		n.Tasks.Stop()
	}
	errs = append(errs, n.front.close())
	if n.quorum != nil {
		errs = append(errs, n.quorum.Close())
	}
	if n.front.port != nil {
		errs = append(errs, n.front.port.Close())
	}
	if n.own != nil {
		errs = append(errs, n.own.Close())
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.folder != nil {
		errs = append(errs, n.folder.Close())
		n.folder = nil // closing again does nothing
	}
	return errors.Join(errs...)
}

// Reader reads the site's database.
func (n *Node) Reader() store.Reader { return n.db }

// Writer takes the site's batches. They are completed from the caller of the context (see store.Caller) and audited.
func (n *Node) Writer() store.Writer { return n.writer }

// Log is where the node says what happens.
func (n *Node) Log() *slog.Logger { return n.cfg.Log }

// Now reads the node's clock.
func (n *Node) Now() time.Time { return n.cfg.Now() }

// Version is the program's.
func (n *Node) Version() string { return n.cfg.Version }

// Dir is the data folder.
func (n *Node) Dir() string { return n.cfg.Dir }

// Index is that of the last batch in this node's database.
func (n *Node) Index() uint64 { return n.db.Applied() }

// Quorum is where this node stands among those of the site, and the size of its database on disk.
func (n *Node) Quorum() (status quorum.Status, database int64) { return n.quorum.Status(), n.db.Size() }

// Votes is this node's part in the quorum of its site: who leads, and who takes part.
func (n *Node) Votes() *quorum.Quorum { return n.quorum }

// Sisters is this node's part among the nodes of its site: who they are, how they fare, who joins and goes.
func (n *Node) Sisters() *membership.Membership { return n.front.sisters }

// Collect registers the metrics of the node and its rooms.
func (n *Node) Collect(into prometheus.Registerer) {
	gauge := func(name, help string, read func() float64) {
		into.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "thatch_" + name, Help: help}, read))
	}
	gauge("applied_index", "Index of the last batch in the database.", func() float64 { return float64(n.Index()) })
	gauge("database_bytes", "Size of the database on disk.", func() float64 { return float64(n.db.Size()) })
	gauge("runs_live", "Runs of tasks going on at this node.", func() float64 { return float64(n.Tasks.Live()) })
	gauge("documents_damaged", "Documents whose body in this node's database is not what it was.", func() float64 {
		return float64(n.Check.Damaged())
	})
	n.Copies.Collect(into)
	into.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "thatch_payloads_altered_total", Help: "Payloads found altered on this node's disk since its start.",
	}, func() float64 { return float64(n.lostPayloads.Load()) }))
	gauge("computers", "Computers of the site.", func() float64 { return float64(len(n.Computers.Computers())) })
	gauge("certificate_seconds", "Until the node's certificate ends.", func() float64 {
		return n.Identity.NodeCertificate().NotAfter.Sub(n.cfg.Now()).Seconds()
	})
	gauge("backup_time_seconds", "When the newest backup was made, in Unix time; 0 where there is none.", func() float64 {
		if last := n.backups().Last; last != nil {
			return float64(last.Made.Unix())
		}
		return 0
	})
	gauge("backup_trouble", "1 while backups that are made by schedule are missing, or fail.", func() float64 {
		if n.backups().Trouble != nil {
			return 1
		}
		return 0
	})
	gauge("leading", "1 while this node leads the site.", func() float64 {
		if n.leads() {
			return 1
		}
		return 0
	})
}

// Listening is closed when the doors are open.
func (n *Node) Listening() <-chan struct{} { return n.front.listens }

// Stopping is closed when the node begins to stop: whoever holds a connection open ends it then.
func (n *Node) Stopping() <-chan struct{} { return n.front.stop }

// Mount has requests whose path begins with prefix answered by h; the longest prefix wins. Mount before Run.
func (n *Node) Mount(prefix string, h http.Handler) { n.front.doors.Mount(prefix, h) }
