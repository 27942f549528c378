package server

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"thatch/agent/nearest"
	"thatch/agentapi"
)

// storm is a site whose clock is that of the test: agents choose, nodes let them in.
type storm struct {
	at     time.Time
	nodes  map[string]*arrivals
	down   map[string]bool
	agents []*stormy
	calls  map[string]map[int64]int // by node and second
}

type stormy struct {
	id      string
	chooser *nearest.Chooser
	next    time.Time // when it calls
	at      string    // node that let it in
	came    time.Time
	open    string // node to which it has a connection
}

func newStorm(t *testing.T, agents, rate int, hinted string) *storm {
	t.Helper()
	s := &storm{
		at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), nodes: map[string]*arrivals{}, down: map[string]bool{}, calls: map[string]map[int64]int{},
	}
	list := nearest.List{NodesResponse: agentapi.NodesResponse{Version: "1", MoveSeconds: moveSeconds(agents, 3, rate)}}
	for _, name := range []string{"a", "b", "c"} {
		s.nodes["https://"+name+":1"] = newArrivals(rate)
		s.calls["https://"+name+":1"] = map[int64]int{}
		list.Nodes = append(list.Nodes, agentapi.SiteNode{ID: name, Addresses: []string{name + ":1"}, Hinted: name == hinted})
	}
	for i := range agents {
		a := &stormy{id: fmt.Sprint("computer-", i)}
		random := rand.New(rand.NewPCG(7, uint64(i)))
		a.chooser = nearest.New(a.id, []string{"a:1"}, list, func() time.Time { return s.at }, random.Float64)
		a.at, a.open = a.chooser.Present(), a.chooser.Present()
		s.nodes[a.at].welcome(a.id, s.at)
		s.agents = append(s.agents, a)
	}
	return s
}

// kill ends a node: whoever talked to it notices at once.
func (s *storm) kill(node string) {
	s.down[node] = true
	for _, a := range s.agents {
		if a.at == node {
			a.at, a.open = "", ""
			a.next = s.at.Add(a.chooser.Failed())
		}
	}
}

// step moves the clock on by a tenth of a second.
func (s *storm) step() {
	s.at = s.at.Add(100 * time.Millisecond)
	for _, a := range s.agents {
		if s.at.Before(a.next) {
			continue
		}
		if a.at != "" { // a waiting call is over
			for _, address := range a.chooser.Measure() {
				if s.down[address] {
					a.chooser.Measured(address, 0, fmt.Errorf("down"))
				} else {
					a.chooser.Measured(address, 10*time.Millisecond, nil)
				}
			}
			if !a.chooser.Settle() {
				a.next = s.at.Add(min(time.Minute, a.chooser.Until()+time.Second))
				continue
			}
			a.at = ""
		}
		s.call(a)
	}
}

func (s *storm) call(a *stormy) {
	node := a.chooser.Present()
	if a.open != node {
		s.calls[node][s.at.Unix()]++
		a.open = node
	}
	if s.down[node] {
		a.next = s.at.Add(a.chooser.Failed())
		return
	}
	if after := s.nodes[node].admit(a.id, s.at); after > 0 {
		a.next = s.at.Add((after/time.Second + 1) * time.Second) // as Error.After says
		return
	}
	a.chooser.Worked()
	a.at, a.came, a.next = node, s.at, s.at.Add(time.Minute)
}

func (s *storm) most(node string) (most int) {
	for _, n := range s.calls[node] {
		most = max(most, n)
	}
	return most
}

// A thousand agents of one node are at the others within ten seconds, and no node has more than its share of connections a
// second; when theirs comes back, they come back one by one.
func TestThousandAgentsMove(t *testing.T) {
	const agents, rate, most = 1000, 100, 250
	s := newStorm(t, agents, rate, "a")
	s.kill("https://a:1")
	died := s.at
	for s.at.Sub(died) < 20*time.Second {
		s.step()
	}
	last := time.Duration(0)
	for _, a := range s.agents {
		if a.at == "" || a.at == "https://a:1" {
			t.Fatalf("%s talks to %q after 20 seconds", a.id, a.at)
		}
		last = max(last, a.came.Sub(died))
	}
	if last > 10*time.Second {
		t.Errorf("the last agent has moved after %s", last)
	}
	for node := range s.nodes {
		if n := s.most(node); n > most {
			t.Errorf("%s has %d new connections in a second", node, n)
		}
	}
	t.Logf("moved within %s, at most %d and %d connections a second", last, s.most("https://b:1"), s.most("https://c:1"))

	s.down, s.nodes["https://a:1"] = map[string]bool{}, newArrivals(rate)
	back := s.at
	for s.at.Sub(back) < 40*time.Minute {
		s.step()
	}
	for _, a := range s.agents {
		if a.at != "https://a:1" {
			t.Fatalf("%s talks to %q 40 minutes after its node came back", a.id, a.at)
		}
		if a.came.Sub(back) < time.Minute {
			t.Fatalf("%s came back after %s", a.id, a.came.Sub(back))
		}
	}
	if n := s.most("https://a:1"); n > 20 {
		t.Errorf("the node that came back has %d new connections in a second", n)
	}
}

// Fifty thousand computers come to a node at once, as when a site of one node starts again: it lets them in at its rate, each
// at the time that it was told.
func TestArrivalsAreLetInAtARate(t *testing.T) {
	const rate = 500
	a := newArrivals(rate)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	turns, in := map[int64][]string{}, map[int64]int{}
	for i := range 50_000 {
		id := fmt.Sprint(i)
		after := a.admit(id, at)
		if after == 0 {
			in[at.Unix()]++
			continue
		}
		if again := a.admit(id, at); again != after {
			t.Fatalf("asked again at once: %s, then %s", after, again)
		}
		turn := at.Add((after/time.Second + 1) * time.Second).Unix()
		turns[turn] = append(turns[turn], id)
	}
	for range 200 {
		at = at.Add(time.Second)
		for _, id := range turns[at.Unix()] {
			if after := a.admit(id, at); after > 0 {
				t.Fatalf("%s came at its time and is told to wait for %s more", id, after)
			}
			in[at.Unix()]++
		}
	}
	total := 0
	for second, n := range in {
		if total += n; n > 3*rate+1 {
			t.Errorf("%d are let in in second %d", n, second)
		}
	}
	if total != 50_000 {
		t.Errorf("%d were let in", total)
	}
	if after := a.admit("17", at.Add(stays/2)); after != 0 {
		t.Errorf("who is this node's is told to wait for %s", after)
	}
}
