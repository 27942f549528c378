// Package replication is the child's half of the wire between a site and its parent: it holds the link, pulls what the
// parent's rules send, pushes what goes up, verifies both ends against each other, and fetches payloads. The parent's half
// is replication/server, what they say to each other replication/wire.
package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/orders"
	"thatch/replication/payloads"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

// Waits between attempts to reach the parent.
const (
	firstWait = time.Second
	mostWait  = time.Minute
)

// Link is what a child does with its parent: the node of it that leads. Make it with New before the node runs.
type Link struct {
	node *node.Node
	log  *slog.Logger
	now  func() time.Time
	plan *timing.Plan // of the worker, of which there is one at a time

	orders *orders.Book // of the parent

	mu      sync.Mutex
	session *session // nil while there is no connection
	last    string   // address at which the parent answered last
	state   State
	hurry   chan struct{} // somebody wants the parent reached now
}

// State is how the link stands, for people.
type State struct {
	Parent    string             `json:"parent"` // id of the site, "" there is none
	Name      string             `json:"name"`
	Address   string             `json:"address"`
	Connected bool               `json:"connected"`
	Since     time.Time          `json:"since,omitzero"` // connected, or not
	Error     string             `json:"error,omitempty"`
	Waits     string             `json:"waits,omitempty"`    // what data replication waits for
	Withheld  []document.Kind    `json:"withheld,omitempty"` // kinds that do not go up: the parent does not know them
	Link      *wire.LinkResponse `json:"link,omitempty"`     // as the parent said it last
}

// New makes the link of a node. It registers the kind of task that runs are.
func New(n *node.Node) *Link {
	l := &Link{node: n, log: n.Log().With("part", "replication"), now: n.Now, orders: orders.New(), hurry: make(chan struct{}, 1)}
	l.plan = timing.New(n.Now)
	n.WhileLeading("link with the parent", l.run)
	n.Tasks.Register(l.kind())
	n.Staging.Follow(payloads.New(n.Sites, l))
	return l
}

// State tells how the link stands, at the node that leads.
func (l *Link) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// leads says whether this is the node that holds the link.
func (l *Link) leads() bool {
	leads, _, _ := l.node.Votes().Leading()
	return leads
}

func (l *Link) set(change func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
}

// run holds the link until ctx ends.
func (l *Link) run(ctx context.Context) error {
	defer l.set(func(s *State) { *s = State{} })
	watch := l.node.Watch(sites.Topic)
	defer watch.Close()
	failures := 0
	for ctx.Err() == nil {
		parent, err := l.node.Sites.Parent(ctx)
		switch {
		case errors.Is(err, store.ErrNotFound):
			l.set(func(s *State) { *s = State{} })
			select { // until the site has joined one
			case <-watch.C:
			case <-ctx.Done():
			}
			continue
		case err == nil:
			l.set(func(s *State) { s.Parent, s.Name = parent.ID, parent.Name })
			var begun bool
			if begun, err = l.connect(ctx, parent, watch); begun {
				failures = 0
			}
		}
		failures++
		l.tellShutOut(ctx, parent, err)
		l.tellCut(ctx, err)
		if !l.rest(ctx, failures, err, watch) {
			break
		}
	}
	return nil
}

// tellCut records why there is no connection, and logs it once for each reason.
func (l *Link) tellCut(ctx context.Context, err error) {
	if ctx.Err() != nil || err == nil {
		return
	}
	text := err.Error()
	l.mu.Lock()
	again := !l.state.Connected && l.state.Error == text
	if l.state.Connected || l.state.Since.IsZero() {
		l.state.Since = l.now()
	}
	l.state.Connected, l.state.Error = false, text
	l.mu.Unlock()
	if !again && !errors.Is(err, io.EOF) {
		l.log.Warn("the link to the parent is down; the site goes on alone and tries again", "error", err)
	}
}

// tellShutOut raises an alarm where the parent says that this site is its child no more.
func (l *Link) tellShutOut(ctx context.Context, parent sites.Parent, err error) {
	var said *wire.Error
	if !errors.As(err, &said) || said.Code != wire.CodeRevoked && said.Code != wire.CodeUnknown {
		return
	}
	if err := l.node.Sites.RaiseShutOut(ctx, parent, said.Text); err != nil {
		l.log.Error("an alarm could not be raised", "alarm", said.Text, "error", err)
	}
}

// rest waits before the next attempt: longer after each failure, half of it by chance, so that children do not come back
// together; as long as the parent asks for; not at all when something about the parent changed, or a person wants a run now.
func (l *Link) rest(ctx context.Context, failures int, err error, changed *store.Watch) bool {
	wait := firstWait << min(failures-1, 6)
	wait = min(wait, mostWait)
	wait = max(wait/2+rand.N(wait/2), wire.After(err))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed.C:
	case <-l.hurry:
	case <-ctx.Done():
		return false
	}
	return true
}

// maxTried is how many addresses are tried in a row: a parent whose nodes name ever more of them is asked again later.
const maxTried = 32

// find opens a session with the node of the parent that talks with children: where it was last, or where another node says that
// it is, else at each address in turn.
func (l *Link) find(ctx context.Context, parent sites.Parent) (*session, error) {
	untried := wire.Addresses(parent)
	if at := slices.Index(untried, l.last); at > 0 {
		untried[0], untried[at] = untried[at], untried[0]
	}
	if len(untried) == 0 {
		return nil, fmt.Errorf("no address of the parent %s is known; give one with: thatch child move --parent URL", parent.Name)
	}
	tried := map[string]bool{}
	var first error
	for len(untried) > 0 && len(tried) < maxTried && ctx.Err() == nil {
		address := untried[0]
		untried = untried[1:]
		if tried[address] {
			continue
		}
		tried[address] = true
		s, err := l.open(ctx, parent, address)
		if err == nil {
			l.last = address
			return s, nil
		}
		if leader := wire.LeaderOf(err); leader != "" {
			untried = append([]string{leader}, untried...)
		}
		if code := wire.CodeOf(err); code == wire.CodeRevoked || code == wire.CodeUnknown {
			return nil, err // the others say so too
		}
		if first == nil || wire.CodeOf(first) == wire.CodeNotLeader {
			first = err
		}
	}
	if first == nil { // the link ended before anything was tried
		first = ctx.Err()
	}
	return nil, first
}

// connect opens a session and holds it until it breaks. begun says whether the parent answered as it should.
func (l *Link) connect(ctx context.Context, parent sites.Parent, changed *store.Watch) (begun bool, err error) {
	s, err := l.find(ctx, parent)
	if err != nil {
		return false, err
	}
	defer s.client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel(errEnded)
	l.begin(s)
	defer l.end()
	if err := l.node.Sites.Clear(ctx, sites.ShutOut, parent.ID); err != nil {
		return false, err
	}
	for _, work := range []func(context.Context) error{s.listen, s.work, s.refuse, s.up.Run, s.urgent} {
		working.Go(func() { cancel(work(ctx)) })
	}
	for {
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case <-changed.C:
			if now, err := l.node.Sites.Parent(ctx); err != nil || now.ID != parent.ID || now.Joined != parent.Joined {
				return true, errEnded
			}
		}
	}
}

var errEnded = errors.New("the session ended")

func (l *Link) begin(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	l.state.Parent, l.state.Name, l.state.Address = s.parent.ID, s.parent.Name, s.client.Address()
	l.state.Connected, l.state.Since, l.state.Error = true, l.now(), ""
	l.log.Info("linked with the parent", "parent", s.parent.Name, "address", s.client.Address())
	l.node.Staging.Again()
}

func (l *Link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = nil
}

// current is the session that stands, or why there is none.
func (l *Link) current() (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.session != nil:
		return l.session, nil
	case l.state.Parent == "" && l.leads():
		return nil, store.Invalid("this site has no parent; it joins one with: thatch child join")
	case !l.leads():
		return nil, wire.NoLink("the node that leads this site holds the link to the parent, and this one does not lead")
	}
	return nil, wire.NoLink("there is no connection to the parent: %s; this site tries again by itself", cmp.Or(l.state.Error, "none was made yet"))
}

// Client is that of the connection with the parent, or why there is none.
func (l *Link) Client() (*wire.Client, error) {
	s, err := l.current()
	if err != nil {
		return nil, err
	}
	return s.client, nil
}

// Window says whether the link may be used now, and in how long that changes.
func (l *Link) Window() (open bool, change time.Duration) {
	s, err := l.current()
	if err != nil {
		return true, timing.FarOff // whoever tries hears why there is no connection
	}
	return l.plan.Window(s.said().Limits)
}

// types in the order in which they are served: what others need comes first.
var types = dataset.Types(dataset.Down)
