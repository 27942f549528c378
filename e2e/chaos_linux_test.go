package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"thatch/node/store"
	"thatch/ringtest"
)

var (
	chaosFor  = flag.Duration("chaos", 30*time.Second, "for how long TestChaos disturbs a site of three nodes")
	chaosSeed = flag.Uint64("seed", 0, "repeats the order of TestChaos's events; 0: another one each time")
)

const (
	chaosNodes   = 3
	chaosClients = 5
	diskSize     = "192m"
)

// chaosNode is a node process on a host and a small disk of its own.
type chaosNode struct {
	*site
	door  *door
	clock string // file with the seconds by which its clock is off
	mu    sync.Mutex
	meant bool // its end was meant
}

// chaos disturbs a site while clients work on it.
type chaos struct {
	t      *testing.T
	hosts  *hosts
	nodes  []*chaosNode
	random *rand.Rand
	events []string
	ends   time.Time
}

// TestChaos kills, parts, freezes and fills three nodes on hosts of their own, and sets their clocks wrong, while
// clients read and write. At the end no acknowledged write is lost, every register's history is one that a single
// register could have had, and all databases are equal.
//
//	go test ./e2e -run TestChaos -chaos 1h -timeout 0 -seed 42
func TestChaos(t *testing.T) {
	ringtest.Need(t, ringtest.Namespaces)
	ringtest.Need(t, ringtest.FullDisk)
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./e2e -run TestChaos -chaos %s -seed %d", *chaosFor, seed)
	c := newChaos(t, seed)
	h := &history{began: time.Now(), refused: map[string]int{}}
	c.firstReadings(h)
	stop := make(chan struct{})
	var working sync.WaitGroup
	for n := range chaosClients {
		random := rand.New(rand.NewPCG(seed, uint64(n+1)))
		working.Go(func() { c.client(n, random, h, stop) })
	}
	c.ends = time.Now().Add(*chaosFor)
	for time.Now().Before(c.ends) && !t.Failed() {
		c.disturb()
	}
	close(stop)
	working.Wait()
	t.Logf("%d events: %s", len(c.events), strings.Join(c.events, ", "))
	c.settle()
	c.judge(h)
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	names := []string{"c1", "c2", "c3"}[:chaosNodes]
	c := &chaos{t: t, hosts: newHosts(t, names...), random: rand.New(rand.NewPCG(seed, 0))}
	for _, name := range names {
		c.nodes = append(c.nodes, c.newNode(name))
	}
	first := c.nodes[0]
	first.launch("--site", "Chaos", "--languages", "en", "--node-name", first.name)
	c.answers(first)
	for _, n := range c.nodes[1:] {
		var token struct {
			Token string `json:"token"`
		}
		first.must(&token, "node", "token", "create", "--name", n.name)
		join := exec.Command("ip", "netns", "exec", "thatch-"+n.name, chaosProgram(t), "node", "join", "--site-node", "https://"+first.listen,
			"--token", token.Token, "--listen", n.listen, "--node-name", n.name, "--data", n.folder)
		if out, err := join.CombinedOutput(); err != nil {
			t.Fatalf("join: %v\n%s", err, out)
		}
		n.launch()
	}
	c.whole()
	return c
}

// newNode lays out a node's disk.
func (c *chaos) newNode(name string) *chaosNode {
	c.t.Helper()
	disk, err := os.MkdirTemp("", "chaos") // short: a socket lies in it
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(disk) })
	if err := syscall.Mount("thatch-chaos", disk, "tmpfs", 0, "mode=700,size="+diskSize); err != nil {
		c.t.Fatalf("a small disk: %v", err)
	}
	c.t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	s := c.hosts.site(name)
	s.folder, s.log = filepath.Join(disk, "d"), &safeBuffer{}
	n := &chaosNode{site: s, door: newDoor(s.folder), clock: filepath.Join(c.t.TempDir(), "clock")}
	n.setClock(0)
	c.t.Cleanup(func() {
		n.end(syscall.SIGKILL)
		if c.t.Failed() {
			c.t.Logf("the log of %s:\n%s", n.name, n.log.tail(4000))
		}
	})
	return n
}

// chaosProgram is a thatch whose clock can be set wrong.
func chaosProgram(t *testing.T) string {
	t.Helper()
	chaotic.once.Do(func() {
		root, err := ringtest.Root()
		if err != nil {
			chaotic.err = err
			return
		}
		program(t, "thatch") // the folder of programs
		chaotic.path = filepath.Join(built.dir, "thatch-chaos")
		build := exec.Command("go", "build", "-tags", "wrongclock", "-o", chaotic.path, "./cmd/thatch")
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			chaotic.err = fmt.Errorf("build: %w: %s", err, out)
		}
	})
	if chaotic.err != nil {
		t.Fatal(chaotic.err)
	}
	return chaotic.path
}

var chaotic struct {
	once sync.Once
	path string
	err  error
}

func (n *chaosNode) setClock(off time.Duration) {
	if err := os.WriteFile(n.clock, fmt.Appendf(nil, "%d", int(off.Seconds())), 0o600); err != nil {
		n.t.Error(err)
	}
}

// launch starts the process and does not wait for it to answer.
func (n *chaosNode) launch(flags ...string) {
	n.t.Helper()
	words := append([]string{"netns", "exec", "thatch-" + n.name, chaosProgram(n.t), "node", "run", "--data", n.folder, "--listen", n.listen, "--log", "warn"}, flags...)
	cmd := exec.Command("ip", words...)
	cmd.Stdout, cmd.Stderr = n.log, n.log
	cmd.Env = append(os.Environ(), "THATCH_WRONG_CLOCK="+n.clock)
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan struct{})
	n.mu.Lock()
	n.cmd, n.ended, n.meant = cmd, ended, false
	n.mu.Unlock()
	go func() {
		err := cmd.Wait()
		n.mu.Lock()
		meant := n.meant || n.cmd != cmd
		n.mu.Unlock()
		if !meant {
			n.t.Errorf("%s ended by itself: %v\n%s", n.name, err, n.log.tail(2000))
		}
		close(ended)
	}()
}

// expect says that the process may end.
func (n *chaosNode) expect() {
	n.mu.Lock()
	n.meant = true
	n.mu.Unlock()
}

// end sends a signal and waits for the end.
func (n *chaosNode) end(signal syscall.Signal) {
	if n.cmd == nil {
		return
	}
	n.expect()
	_ = n.cmd.Process.Signal(signal)
	<-n.ended
}

func (n *chaosNode) running() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// standing is what a node says of the site.
type standing struct {
	Voters   int `json:"voters"`
	Living   int `json:"living"`
	Problems []struct{ Level, Text string }
	Nodes    []struct {
		Name, Role string
		Index      uint64
		Lag        int
	}
}

func (n *chaosNode) standing() (standing, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var s standing
	_, err := n.door.ask(ctx, "GET", "/site/status", 0, nil, &s)
	return s, err
}

func (c *chaos) answers(n *chaosNode) {
	c.t.Helper()
	within(c.t, time.Minute, n.name+" answers", func() bool { _, err := n.standing(); return err == nil })
}

// whole waits until every node says that all of them vote and live.
func (c *chaos) whole() {
	c.t.Helper()
	var last string
	limit := time.Now().Add(2 * time.Minute)
	within(c.t, 3*time.Minute, "the site is whole", func() bool {
		for _, n := range c.nodes {
			s, err := n.standing()
			if err != nil || s.Voters != len(c.nodes) || s.Living != len(c.nodes) || !slices.ContainsFunc(s.Nodes, func(n struct {
				Name, Role string
				Index      uint64
				Lag        int
			},
			) bool {
				return n.Role == "leader"
			}) {
				if last = fmt.Sprintf("%s: %+v, %v", n.name, s, err); time.Now().After(limit) {
					c.t.Log(last)
				}
				return false
			}
		}
		return true
	})
}

// leader is the node that says that it leads, or any.
func (c *chaos) leader() *chaosNode {
	for _, n := range c.nodes {
		s, err := n.standing()
		if err != nil {
			continue
		}
		for _, other := range s.Nodes {
			if other.Role == "leader" {
				return c.nodes[slices.IndexFunc(c.nodes, func(n *chaosNode) bool { return n.name == other.Name })]
			}
		}
	}
	return c.any()
}

func (c *chaos) any() *chaosNode { return c.nodes[c.random.IntN(len(c.nodes))] }

func (c *chaos) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.random.Int64N(int64(most-least)))
}

// wait lets the site be for a while.
func (c *chaos) wait(least, most time.Duration) {
	timer := time.NewTimer(c.between(least, most))
	defer timer.Stop()
	<-timer.C
}

// disturb does one thing to the site, and mends it.
func (c *chaos) disturb() {
	events := []struct {
		name string
		do   func() string
	}{
		{"kill", func() string { return c.kill(c.any()) }},
		{"kill the leader", func() string { return c.kill(c.leader()) }},
		{"kill two", func() string { n := c.any(); return c.kill(n, c.other(n)) }},
		{"kill all", func() string { return c.kill(c.nodes...) }},
		{"part", func() string { return c.part(c.any(), true) }},
		{"part the leader", func() string { return c.part(c.leader(), true) }},
		{"one-way", func() string { return c.part(c.any(), false) }},
		{"one-way leader", func() string { return c.part(c.leader(), false) }},
		{"freeze", func() string { return c.freeze(c.any()) }},
		{"freeze the leader", func() string { return c.freeze(c.leader()) }},
		{"fill the disk", func() string { return c.fill(c.any()) }},
		{"wrong clock", func() string { return c.wrongClock(c.any()) }},
		{"hand over", c.handOver},
		{"restart", func() string { return c.restart(c.any()) }},
	}
	e := events[c.random.IntN(len(events))]
	c.events = append(c.events, e.name+" "+e.do())
	c.wait(200*time.Millisecond, 4*time.Second)
}

func (c *chaos) other(than *chaosNode) *chaosNode {
	for {
		if n := c.any(); n != than {
			return n
		}
	}
}

func (c *chaos) kill(who ...*chaosNode) string {
	var names []string
	for _, n := range who {
		n.end(syscall.SIGKILL)
		names = append(names, n.name)
	}
	c.wait(0, 4*time.Second)
	for _, n := range who {
		n.launch()
	}
	return strings.Join(names, " ")
}

func (c *chaos) restart(n *chaosNode) string {
	n.end(syscall.SIGINT)
	n.launch()
	return n.name
}

// part cuts a node off from the others: both ways, or so that only what it sends is lost.
func (c *chaos) part(n *chaosNode, both bool) string {
	route := func(verb, on string, to *chaosNode) {
		address, _, _ := strings.Cut(to.listen, ":")
		c.hosts.ip("-n", "thatch-"+on, "route", verb, "blackhole", address+"/32")
	}
	each := func(verb string) {
		for _, other := range c.nodes {
			if other == n {
				continue
			}
			route(verb, n.name, other)
			if both {
				route(verb, other.name, n)
			}
		}
	}
	each("add")
	c.wait(time.Second, 8*time.Second)
	each("del")
	return n.name
}

func (c *chaos) freeze(n *chaosNode) string {
	_ = n.cmd.Process.Signal(syscall.SIGSTOP)
	c.wait(100*time.Millisecond, 6*time.Second)
	_ = n.cmd.Process.Signal(syscall.SIGCONT)
	return n.name
}

// fill leaves no room on a node's disk. The node may stop with a message; it starts again when there is room.
func (c *chaos) fill(n *chaosNode) string {
	n.expect()
	ballast := filepath.Join(filepath.Dir(n.folder), "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		c.t.Errorf("fill the disk: %v", err)
		return n.name
	}
	_, err = io.Copy(f, zeros{})
	if err = errors.Join(ignore(err, syscall.ENOSPC), f.Close()); err != nil {
		c.t.Errorf("fill the disk: %v", err)
	}
	c.wait(time.Second, 5*time.Second)
	if err := os.Remove(ballast); err != nil {
		c.t.Error(err)
	}
	if !n.running() {
		n.launch()
		return n.name + " (it stopped)"
	}
	n.end(syscall.SIGINT)
	n.launch()
	return n.name
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func (c *chaos) wrongClock(n *chaosNode) string {
	off := c.between(-6*time.Hour, 6*time.Hour)
	n.setClock(off)
	c.wait(time.Second, 4*time.Second)
	n.setClock(0)
	return fmt.Sprintf("%s by %s", n.name, off.Truncate(time.Minute))
}

func (c *chaos) handOver() string {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	n := c.any()
	_, err := n.door.ask(ctx, "PUT", "/site/leader", 0, map[string]string{"node": n.name}, nil)
	return fmt.Sprintf("to %s (%v)", n.name, err)
}

// settle mends everything and waits until the site is whole and says that nothing is wrong.
func (c *chaos) settle() {
	c.t.Helper()
	for _, n := range c.nodes {
		if !n.running() {
			n.launch()
		}
	}
	c.whole()
}

// registersOfSite are settings that hold any number.
var registersOfSite = []string{"agents.check_in", "agents.scan", "downloads.rate", "downloads.payload_size"}

const nonce = "agents.attempts" // written so that what is read then is the latest

// firstReadings begins the history of every register.
func (c *chaos) firstReadings(h *history) {
	c.t.Helper()
	for _, name := range registersOfSite {
		if !c.read(0, c.nodes[0], name, h) {
			c.t.Fatalf("%s cannot be read", name)
		}
	}
}

func setting(name string) string { return "/settings/" + name }

// read reads a register at some node, after a write of its own: what that node holds then was there after the reading
// began.
func (c *chaos) read(client int, n *chaosNode, name string, h *history) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	call := h.now()
	index, err := c.nodes[client%len(c.nodes)].door.ask(ctx, "PUT", setting(nonce), 0, map[string]int{"value": 1 + client}, nil)
	var e register
	if err == nil {
		_, err = n.door.ask(ctx, "GET", setting(name), index, nil, &e)
	}
	if err != nil {
		h.refuse(err)
		return false
	}
	h.add(client, input{name: name, kind: "read"}, output{known: true, register: e}, call)
	return true
}

// change sets a register, or swaps it if it has a version still.
func (c *chaos) change(client int, n *chaosNode, in input, h *history) (register, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	body := map[string]int{"value": in.value}
	if in.kind == "swap" {
		body["version"] = in.from
	}
	var e register
	call := h.now()
	_, err := n.door.ask(ctx, "PUT", setting(in.name), 0, body, &e)
	switch {
	case err == nil:
		h.add(client, in, output{known: true, register: e}, call)
	case code(err) == "conflict":
		h.add(client, in, output{known: true, conflict: true}, call)
	case never(err):
	default:
		h.add(client, in, output{}, call)
	}
	if err != nil {
		h.refuse(err)
	}
	return e, err == nil
}

func (h *history) refuse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := code(err)
	if what == "" {
		what = "no answer"
	}
	h.refused[what]++
}

// client works on the site until it is told to stop.
func (c *chaos) client(number int, random *rand.Rand, h *history, stop <-chan struct{}) {
	seen := map[string]register{}
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for count := 0; ; count++ {
		select {
		case <-stop:
			return
		case <-pause.C:
		}
		n := c.nodes[random.IntN(len(c.nodes))]
		name := registersOfSite[random.IntN(len(registersOfSite))]
		in := input{name: name, kind: "set", value: 1000 + count*chaosClients + number}
		switch chance := random.IntN(10); {
		case chance < 2:
			c.read(number, n, name, h)
		case chance < 5:
			if e, ok := c.change(number, n, in, h); ok {
				seen[name] = e
			}
		case chance < 8:
			in.kind, in.from = "swap", seen[name].Version
			if e, ok := c.change(number, n, in, h); ok {
				seen[name] = e
			} else {
				seen[name] = register{Version: seen[name].Version + random.IntN(3)}
			}
		default:
			c.token(n, fmt.Sprintf("t%d-%d", number, count), h)
		}
	}
}

// token makes an enrolment token: one that is acknowledged is never lost.
func (c *chaos) token(n *chaosNode, name string, h *history) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if _, err := n.door.ask(ctx, "POST", "/tokens/enrolment", 0, map[string]string{"name": name}, nil); err != nil {
		h.refuse(err)
		if code(err) == "conflict" {
			c.t.Logf("a new token is a conflict: %v", err)
		}
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acknowledged = append(h.acknowledged, name)
}

// judge compares what clients were told with what is there.
func (c *chaos) judge(h *history) {
	c.t.Helper()
	c.t.Logf("%d operations on registers, %d of them of unknown end, %d tokens acknowledged, refused: %v", len(h.operations), h.unknown, len(h.acknowledged), h.refused)
	if len(h.operations) < 50 || len(h.acknowledged) < 5 {
		c.t.Errorf("hardly anything was done: nothing is proved")
	}
	for _, n := range c.nodes {
		made := c.tokens(n)
		for _, name := range h.acknowledged {
			if made[name] != 1 {
				c.t.Errorf("%s has the acknowledged token %s %d times", n.name, name, made[name])
			}
		}
	}
	result, info := porcupine.CheckOperationsVerbose(registers, h.operations, 3*time.Minute)
	if result == porcupine.Unknown {
		c.t.Log("the history of the registers is too long to be judged in three minutes")
	}
	if result == porcupine.Illegal {
		path := filepath.Join(os.TempDir(), "thatch-chaos.html")
		c.t.Errorf("the history of the registers is %s; a drawing: %s (%v)", result, path, porcupine.VisualizePath(registers, info, path))
	}
	c.equal()
}

func (c *chaos) tokens(n *chaosNode) map[string]int {
	c.t.Helper()
	made := map[string]int{}
	for page := 1; ; page++ {
		var list struct {
			Items []struct{ Name string }
			Total int
		}
		if _, err := n.door.ask(c.t.Context(), "GET", fmt.Sprintf("/tokens/enrolment?limit=1000&page=%d", page), 0, nil, &list); err != nil {
			c.t.Fatal(err)
		}
		for _, item := range list.Items {
			made[item.Name]++
		}
		if len(list.Items) == 0 || len(made) >= list.Total {
			return made
		}
	}
}

// equal compares the databases of all nodes, frozen at one index, table by table.
func (c *chaos) equal() {
	c.t.Helper()
	var first []store.Table
	within(c.t, time.Minute, "all nodes stand at one index", func() bool {
		for _, n := range c.nodes {
			_ = n.cmd.Process.Signal(syscall.SIGSTOP)
			defer func() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }()
		}
		index := uint64(0)
		first = nil
		for _, n := range c.nodes {
			applied, tables := c.copyOf(n)
			if index != 0 && applied != index {
				return false
			}
			index = applied
			if first == nil {
				first = tables
			}
			for i, table := range tables {
				if i >= len(first) || table.Name != first[i].Name || table.Rows != first[i].Rows || string(table.Digest[:]) != string(first[i].Digest[:]) {
					c.t.Errorf("at index %d table %s of %s differs from that of %s", index, table.Name, n.name, c.nodes[0].name)
				}
			}
		}
		return true
	})
	c.t.Logf("%d tables are equal on %d nodes", len(first), len(c.nodes))
}

// copyOf reads a copy of the database of a frozen node.
func (c *chaos) copyOf(n *chaosNode) (uint64, []store.Table) {
	c.t.Helper()
	folder := c.t.TempDir()
	for _, name := range []string{"site.db", "site.db-wal"} {
		content, err := os.ReadFile(filepath.Join(n.folder, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), content, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	db, err := store.Open(c.t.Context(), store.Config{Path: filepath.Join(folder, "site.db")})
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	tables, err := db.Tables(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return db.Applied(), tables
}
