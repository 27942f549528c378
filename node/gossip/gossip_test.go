package gossip_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/node/gossip"
	"thatch/node/gossip/keys"
	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/store/storetest"
	"thatch/node/wire"
)

const (
	every = 50 * time.Millisecond
	limit = 60 * time.Second // for anything to come about
)

// cluster is nodes that gossip over ports of this machine.
type cluster struct {
	t       *testing.T
	site    *identity.Identity
	nodes   map[string]*one
	changed chan struct{}
	mu      sync.Mutex
	shut    map[string]bool // none of the site's any more
}

// one is a node.
type one struct {
	*gossip.Gossip
	port  *wire.Port
	rings chan keys.Ring
	stop  func() // and wait
}

func newCluster(t *testing.T, ids ...string) *cluster {
	c := &cluster{
		t: t, site: identitytest.Open(t, t.TempDir(), storetest.Open(t), time.Now), nodes: map[string]*one{},
		changed: make(chan struct{}, 1), shut: map[string]bool{},
	}
	for _, id := range ids {
		c.bind(id)
	}
	for _, id := range ids {
		c.start(id)
	}
	return c
}

func (c *cluster) bind(id string) {
	c.t.Helper()
	creds, err := wire.OpenCredentials(c.t.TempDir(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	csr, err := creds.Request()
	if err != nil {
		c.t.Fatal(err)
	}
	chain, err := c.site.CertifyNode(id, csr, nil)
	if err = errors.Join(err, creds.Keep(chain)); err != nil {
		c.t.Fatal(err)
	}
	port, err := wire.Bind("127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[id] = &one{port: port}
	port.Configure(wire.Config{
		Credentials: creds, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Judge: func(p wire.Peer) error {
			if !c.member(p.ID) {
				return errors.New("shut out")
			}
			return nil
		},
		Addresses: func(id string) []string {
			if n := c.nodes[id]; n != nil {
				return []string{n.port.Addr().String()}
			}
			return nil
		},
	})
	port.Open()
	c.t.Cleanup(func() { _ = port.Close() })
}

func (c *cluster) start(id string) {
	n := c.nodes[id]
	n.Gossip = gossip.New(gossip.Config{
		ID: id, Addresses: []string{n.port.Addr().String()}, Version: "1.2.3", Schema: 4, Port: n.port, Member: c.member, Every: every,
		Sisters: func() []string {
			return slices.DeleteFunc(slices.Collect(maps.Keys(c.nodes)), func(other string) bool { return other == id })
		},
		Changed: func() {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	n.rings = make(chan keys.Ring)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, n.rings) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("%s: %v", id, err)
		}
	})
	c.t.Cleanup(n.stop)
}

func (c *cluster) member(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id] != nil && !c.shut[id]
}

// until waits for something to be true, and looks again when gossip tells of a change, and now and then.
func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	deadline, look := time.NewTimer(limit), time.NewTicker(every)
	defer deadline.Stop()
	defer look.Stop()
	for !is() {
		select {
		case <-c.changed:
		case <-look.C:
		case <-deadline.C:
			for id, n := range c.nodes {
				c.t.Logf("%s hears of %v", id, n.Told())
			}
			c.t.Fatalf("it did not come to be that %s", what)
		}
	}
}

func (c *cluster) allHear(of ...string) func() bool {
	return func() bool {
		for _, id := range of {
			if heard := slices.Sorted(maps.Keys(c.nodes[id].Told())); len(heard) != len(of)-1 {
				return false
			}
		}
		return true
	}
}

func ring(use int, numbers ...int) keys.Ring {
	r := keys.Ring{Keys: map[int][]byte{}, Use: use}
	for _, n := range numbers {
		r.Keys[n], r.Held = bytes.Repeat([]byte{byte(n)}, 32), n
	}
	return r
}

func (c *cluster) give(r keys.Ring, to ...string) {
	c.t.Helper()
	for _, id := range to {
		select {
		case c.nodes[id].rings <- r:
		case <-time.After(limit):
			c.t.Fatalf("%s does not take keys", id)
		}
	}
}

func TestWhoLives(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	if heard := c.nodes["a"].Told(); len(heard) != 0 {
		t.Errorf("without a key: %v", heard)
	}
	c.give(ring(1, 1), "a", "b", "c")
	c.until("all hear of all", c.allHear("a", "b", "c"))
	want := gossip.Meta{Addresses: []string{c.nodes["b"].port.Addr().String()}, Version: "1.2.3", Schema: 4, Held: 1, Used: 1}
	if got := c.nodes["a"].Told()["b"]; fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(c.nodes["b"].Own()) != fmt.Sprint(want) {
		t.Errorf("b tells of itself %+v, and thinks %+v; want %+v", got, c.nodes["b"].Own(), want)
	}
	// One that goes in good order says so; one that is gone is missed.
	c.nodes["b"].stop()
	c.until("b is known to be gone", c.allHear("a", "c"))
	c.start("b")
	c.give(ring(1, 1), "b")
	c.until("b is back", c.allHear("a", "b", "c"))
	_ = c.nodes["c"].port.Close()
	c.nodes["c"].stop()
	c.until("c is missed", c.allHear("a", "b"))
}

func TestKeysChangeWhileNodesTalk(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.give(ring(1, 1), "a", "b", "c")
	c.until("all hear of all", c.allHear("a", "b", "c"))
	hears := func(of func(gossip.Meta) bool) func() bool {
		return func() bool {
			for _, n := range c.nodes {
				for _, told := range n.Told() {
					if !of(told) {
						return false
					}
				}
			}
			return c.allHear("a", "b", "c")()
		}
	}
	c.give(ring(1, 1, 2), "a")
	c.give(ring(1, 1, 2), "c", "b")
	c.until("all hold the new key", hears(func(m gossip.Meta) bool { return m.Held == 2 && m.Used == 1 }))
	c.give(ring(2, 1, 2), "b")
	c.give(ring(2, 1, 2), "a", "c")
	c.until("all use the new key", hears(func(m gossip.Meta) bool { return m.Used == 2 }))
	c.give(ring(2, 2), "a", "b", "c")
	// One that still has the former key alone is not understood, and does not understand.
	c.nodes["c"].stop()
	c.until("c is gone", c.allHear("a", "b"))
	c.start("c")
	c.give(ring(1, 1), "c")
	c.give(ring(2, 2), "a", "b")
	for range 20 {
		select {
		case <-c.changed:
		case <-time.After(every):
		}
		if _, heard := c.nodes["a"].Told()["c"]; heard || len(c.nodes["c"].Told()) > 0 {
			t.Fatalf("c has a former key, and hears of %v; a hears of %v", c.nodes["c"].Told(), c.nodes["a"].Told())
		}
	}
	c.give(ring(2, 2), "c")
	c.until("c has the key and is heard", c.allHear("a", "b", "c"))
}

// TestWhoIsShutOut holds the right key, and is none of the site's nodes any more.
func TestWhoIsShutOut(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.give(ring(1, 1), "a", "b", "c")
	c.until("all hear of all", c.allHear("a", "b", "c"))
	c.mu.Lock()
	c.shut["c"] = true
	c.mu.Unlock()
	if heard := c.nodes["a"].Told(); len(heard) > 1 || len(heard["c"].Addresses) > 0 {
		t.Errorf("a node that was removed is said to live: %v", heard)
	}
	conn, err := c.nodes["c"].port.Dial(t.Context(), wire.ProtocolGossip, "a")
	if err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(limit))
		if _, err = conn.Read(make([]byte, 1)); err == nil {
			t.Error("it is let in")
		}
	}
}

func TestGarbageAndASecondListener(t *testing.T) {
	c := newCluster(t, "a")
	// The port of UDP is taken at b: streams alone.
	c.bind("b")
	taken, err := net.ListenPacket("udp", c.nodes["b"].port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c.start("b")
	c.give(ring(1, 1), "a", "b")
	c.until("both hear of each other", c.allHear("a", "b"))
	conn, err := net.Dial("udp", c.nodes["a"].port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, packet := range []string{"", "x", strings.Repeat("\x00", 70), strings.Repeat("\xff", 60_000), "GET / HTTP/1.1\r\n\r\n"} {
		if _, err := conn.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := c.nodes["b"].port.Dial(t.Context(), wire.ProtocolGossip, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write(bytes.Repeat([]byte{0xff}, 100_000)); err == nil {
		_ = stream.Close()
	}
	c.give(ring(1, 1, 2), "a", "b")
	c.until("after garbage both hear what is new of each other", func() bool {
		return c.nodes["a"].Told()["b"].Held == 2 && c.nodes["b"].Told()["a"].Held == 2
	})
}

// TestMetaFits has a node with more addresses than there is room for.
func TestMetaFits(t *testing.T) {
	port, err := wire.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	cfg := gossip.Config{ID: "a", Version: strings.Repeat("v", 600), Port: port, Sisters: func() []string { return []string{"b"} }, Every: time.Hour, Log: slog.New(slog.DiscardHandler)}
	cfg.Member = func(string) bool { return true }
	cfg.Changed = func() {}
	for i := range 40 {
		cfg.Addresses = append(cfg.Addresses, fmt.Sprintf("node-%d.example.org:8743", i))
	}
	port.Configure(wire.Config{Addresses: func(string) []string { return nil }})
	g, rings := gossip.New(cfg), make(chan keys.Ring)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, rings) }()
	rings <- ring(1, 1)
	rings <- ring(1, 1)
	if own := g.Own(); own.Used != 1 || len(own.Version) > 0 {
		t.Errorf("%+v", own)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
