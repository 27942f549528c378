// Package gossip tells which nodes of a site are alive: each asks some other whether it is, every second, and what one finds
// out the others hear (SWIM, as hashicorp/memberlist does it). Nothing that anybody may do hangs on it.
package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"thatch/node/gossip/keys"
	"thatch/node/wire"
)

// Config is what gossip needs.
type Config struct {
	ID        string   // of this node
	Addresses []string // HOST:PORT at which it is reached
	Version   string
	Schema    int // newest that its program knows
	Port      *wire.Port
	Member    func(id string) bool // whether a node is one of the site's
	Sisters   func() []string      // ids of the other nodes
	Changed   func()               // who lives did, or where a node is; it does not wait
	Every     time.Duration        // how often another node is asked whether it lives; 0: 1 s
	Log       *slog.Logger
}

// Meta is what a node tells of itself.
type Meta struct {
	Addresses []string `json:"a,omitempty"` // as many as there is room for
	Version   string   `json:"v,omitempty"`
	Schema    int      `json:"s,omitempty"`
	Held      int      `json:"h,omitempty"` // newest key that it can decrypt with
	Used      int      `json:"u,omitempty"` // key that it encrypts with
}

// Gossip is this node's part. It is safe for use by several goroutines. Run it.
type Gossip struct {
	cfg   Config
	mu    sync.Mutex
	list  *memberlist.Memberlist // nil: no key yet
	rings *memberlist.Keyring
	ring  keys.Ring
	meta  []byte
	alive map[string]Meta // the other nodes; what the library hands out changes while it is read
}

// New says nothing to anybody before Run, and before it has a key.
func New(cfg Config) *Gossip {
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	return &Gossip{cfg: cfg, alive: map[string]Meta{}}
}

// Run gossips until ctx ends, with the keys that come from rings; then the others hear that this node goes.
func (g *Gossip) Run(ctx context.Context, rings <-chan keys.Ring) error {
	join := time.NewTicker(10 * g.cfg.Every)
	defer join.Stop()
	for {
		select {
		case ring := <-rings:
			if err := g.use(ring); err != nil {
				return errors.Join(err, g.leave())
			}
		case <-join.C:
		case <-ctx.Done():
			return g.leave()
		}
		g.join()
	}
}

// use has the keys of a ring be those with which packets are decrypted and encrypted.
func (g *Gossip) use(ring keys.Ring) error {
	g.mu.Lock()
	former, list := g.ring, g.list
	g.mu.Unlock()
	if ring.Use == 0 || list == nil && len(g.cfg.Sisters()) == 0 { // whoever is alone takes no port
		return nil
	}
	g.mu.Lock()
	g.ring, g.meta = ring, g.encode(ring)
	g.mu.Unlock()
	if list == nil {
		return g.create(ring)
	}
	for _, number := range slices.Sorted(maps.Keys(ring.Keys)) {
		if err := g.rings.AddKey(ring.Keys[number]); err != nil {
			return err
		}
	}
	if err := g.rings.UseKey(ring.Keys[ring.Use]); err != nil {
		return err
	}
	for number, key := range former.Keys {
		if _, still := ring.Keys[number]; !still {
			if err := g.rings.RemoveKey(key); err != nil {
				return err
			}
		}
	}
	if former.Held != ring.Held || former.Use != ring.Use {
		_ = list.UpdateNode(g.cfg.Every) // nobody there to hear it is no failure: whoever comes is told
	}
	return nil
}

func (g *Gossip) create(ring keys.Ring) (err error) {
	var all [][]byte
	for _, number := range slices.Sorted(maps.Keys(ring.Keys)) {
		all = append(all, ring.Keys[number])
	}
	if g.rings, err = memberlist.NewKeyring(all, ring.Keys[ring.Use]); err != nil {
		return err
	}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name, cfg.Keyring, cfg.Transport = g.cfg.ID, g.rings, newTransport(g.cfg.Port, g.cfg.Addresses, g.cfg.Log)
	cfg.ProbeInterval, cfg.ProbeTimeout, cfg.GossipInterval = g.cfg.Every, g.cfg.Every/2, g.cfg.Every/5
	cfg.PushPullInterval, cfg.DeadNodeReclaimTime, cfg.RequireNodeNames = 30*g.cfg.Every, g.cfg.Every, true
	cfg.SuspicionMaxTimeoutMult = 2 // a site has few nodes: what one suspects, hardly another can confirm
	cfg.Delegate, cfg.Events, cfg.Alive = g, g, g
	cfg.Logger, cfg.LogOutput = log.New(said{g.cfg.Log}, "", 0), nil
	list, err := memberlist.Create(cfg)
	if err != nil {
		return errors.Join(err, cfg.Transport.Shutdown())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = list
	return nil
}

// join looks for the nodes of the site that are not known to live.
func (g *Gossip) join() {
	list := g.members()
	if list == nil {
		return
	}
	alive := g.Told()
	var lost []string
	for _, id := range g.cfg.Sisters() {
		if _, is := alive[id]; !is {
			lost = append(lost, id+"/127.0.0.1:1") // a stream goes by the id, wherever that node is
		}
	}
	if len(lost) > 0 {
		_, _ = list.Join(lost) // who does not answer is tried again
	}
}

func (g *Gossip) leave() error {
	list := g.members()
	if list == nil {
		return nil
	}
	_ = list.Leave(g.cfg.Every) // the others notice by themselves
	return list.Shutdown()
}

func (g *Gossip) members() *memberlist.Memberlist {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list
}

// Living are the other nodes that are alive, as far as anybody knows, with the addresses that each says it has.
func (g *Gossip) Living() map[string][]string {
	living := map[string][]string{}
	for id, told := range g.Told() {
		living[id] = told.Addresses
	}
	return living
}

// Told is what the other nodes that are alive tell of themselves.
func (g *Gossip) Told() map[string]Meta {
	g.mu.Lock()
	living := maps.Clone(g.alive)
	g.mu.Unlock()
	maps.DeleteFunc(living, func(id string, _ Meta) bool { return !g.cfg.Member(id) })
	return living
}

// Own is what this node tells of itself.
func (g *Gossip) Own() Meta {
	g.mu.Lock()
	defer g.mu.Unlock()
	return decode(g.meta)
}

func (g *Gossip) encode(ring keys.Ring) []byte {
	meta := Meta{Addresses: g.cfg.Addresses, Version: g.cfg.Version, Schema: g.cfg.Schema, Held: ring.Held, Used: ring.Use}
	for {
		text, err := json.Marshal(meta)
		switch {
		case err == nil && len(text) <= memberlist.MetaMaxSize:
			return text
		case len(meta.Addresses) > 0:
			meta.Addresses = meta.Addresses[:len(meta.Addresses)-1]
		default:
			meta.Version = ""
		}
	}
}

// maxAddresses are so many as are taken of another node.
const maxAddresses = 16

func decode(text []byte) Meta {
	var m Meta
	if json.Unmarshal(text, &m) != nil {
		return Meta{}
	}
	m.Addresses = m.Addresses[:min(len(m.Addresses), maxAddresses)]
	return m
}

// NodeMeta implements memberlist.Delegate.
func (g *Gossip) NodeMeta(int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.meta
}

// NotifyMsg implements memberlist.Delegate.
func (g *Gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (g *Gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (g *Gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (g *Gossip) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (g *Gossip) NotifyJoin(n *memberlist.Node) { g.NotifyUpdate(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (g *Gossip) NotifyUpdate(n *memberlist.Node) {
	if n.Name != g.cfg.ID {
		g.mu.Lock()
		g.alive[n.Name] = decode(n.Meta)
		g.mu.Unlock()
	}
	g.cfg.Changed()
}

// NotifyLeave implements memberlist.EventDelegate.
func (g *Gossip) NotifyLeave(n *memberlist.Node) {
	g.mu.Lock()
	delete(g.alive, n.Name)
	g.mu.Unlock()
	g.cfg.Changed()
}

// NotifyAlive implements memberlist.AliveDelegate: who is no node of the site is no part of this.
func (g *Gossip) NotifyAlive(n *memberlist.Node) error {
	if n.Name != g.cfg.ID && !g.cfg.Member(n.Name) {
		return errors.New("it is no node of this site")
	}
	return nil
}

// said takes what the library would log. It calls a warning what is an everyday matter here, such as a node that is away.
type said struct{ log *slog.Logger }

// Write implements io.Writer.
func (s said) Write(line []byte) (int, error) {
	s.log.Debug(strings.TrimSpace(string(line)), "part", "gossip")
	return len(line), nil
}
