package nearest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/agent/nearest"
	"thatch/agentapi"
)

var errDown = errors.New("nobody answers")

// agent is a chooser on a clock.
type agent struct {
	*nearest.Chooser
	at time.Time
}

func newAgent(name string, list nearest.List, first ...string) *agent {
	a := &agent{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	random := rand.New(rand.NewPCG(1, uint64(len(name))))
	a.Chooser = nearest.New(name, first, list, func() time.Time { return a.at }, random.Float64)
	return a
}

func listOf(nodes ...agentapi.SiteNode) nearest.List {
	return nearest.List{NodesResponse: agentapi.NodesResponse{Version: "1", Nodes: nodes, MoveSeconds: 4}}
}

func node(name string) agentapi.SiteNode {
	return agentapi.SiteNode{ID: name, Name: name, Addresses: []string{name + ":1"}}
}

func hinted(name string) agentapi.SiteNode {
	n := node(name)
	n.Hinted = true
	return n
}

func (a *agent) want(t *testing.T, address string) {
	t.Helper()
	if a.Present() != address {
		t.Fatalf("it talks to %s, want %s", a.Present(), address)
	}
}

func TestNodesThatAreAsGoodShareTheComputers(t *testing.T) {
	count := map[string]int{}
	for i := range 3000 {
		count[newAgent(fmt.Sprint("computer-", i), listOf(node("a"), node("b"), node("c")), "first:1").Present()]++
	}
	for _, address := range []string{"https://a:1", "https://b:1", "https://c:1"} {
		if n := count[address]; n < 850 || n > 1150 {
			t.Errorf("%d of 3000 computers talk to %s: %v", n, address, count)
		}
	}
}

func TestHintThenLatencyThenStay(t *testing.T) {
	a := newAgent("pc", listOf(node("a"), node("b"), hinted("c")), "first:1")
	a.want(t, "https://c:1")
	a.Learn(listOf(node("a"), node("b"), node("c")))
	a.want(t, "https://c:1") // it stays
	for address, took := range map[string]time.Duration{"https://a:1": time.Millisecond, "https://b:1": 90 * time.Millisecond, "https://c:1": 100 * time.Millisecond} {
		a.Measured(address, took, nil)
	}
	for range 100 {
		a.at = a.at.Add(5 * time.Second)
		if a.Settle() {
			break
		}
	}
	a.want(t, "https://a:1")
	a.Measured("https://b:1", 600*time.Microsecond, nil) // a bit quicker is no reason to go
	for range 1000 {
		a.at = a.at.Add(time.Minute)
		if a.Settle() && a.Present() != "https://a:1" {
			break
		}
	}
	if a.Present() != "https://a:1" && a.Present() != "https://b:1" {
		t.Errorf("it talks to %s", a.Present())
	}
	a.Learn(listOf(node("a"), node("b"), hinted("c"))) // an administrator says so
	moved := a.at
	for !a.Settle() {
		if a.at = a.at.Add(time.Second); a.at.Sub(moved) > 5*time.Minute {
			t.Fatalf("a hint is not followed: it talks to %s", a.Present())
		}
	}
	a.want(t, "https://c:1") // although it is slow
}

func TestDeadNodes(t *testing.T) {
	a := newAgent("pc", listOf(hinted("a"), node("b")), "first:1")
	if wait := a.Failed(); wait > 4*time.Second {
		t.Errorf("it waits %s", wait)
	}
	a.want(t, "https://b:1")
	a.Failed()
	a.want(t, "https://first:1") // the last way
	a.Failed()
	a.want(t, "https://a:1") // the one that failed first is tried first
	longest := time.Duration(0)
	for range 30 {
		wait := a.Failed()
		if wait <= 0 || wait > 5*time.Minute+10*time.Second {
			t.Fatalf("it waits %s", wait)
		}
		longest = max(longest, wait)
		a.at = a.at.Add(wait)
	}
	if longest < time.Minute {
		t.Errorf("it asks ever so often: after %s at most", longest)
	}
	a.Worked()
	present := a.Present()
	a.Measured("https://a:1", time.Millisecond, nil)
	if a.Settle() {
		t.Error("it goes back as soon as the node is there again")
	}
	a.want(t, present)
	for range 600 {
		a.at = a.at.Add(time.Second)
		a.Settle()
	}
	a.want(t, "https://a:1")
}

// A list that is wrong or empty locks nobody out.
func TestAnyListLeavesTheLastWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.SampledFrom([]string{"a:1", "b:1", "first:1", "", "://", "http://a:1", "https://", "c:1/", "[::1]:2"})
		nodes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) agentapi.SiteNode {
			return agentapi.SiteNode{
				ID: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "id"), Addresses: rapid.SliceOfN(address, 0, 3).Draw(t, "addresses"),
				Hinted: rapid.Bool().Draw(t, "hinted"),
			}
		}), 0, 4)
		a := newAgent("pc", listOf(nodes.Draw(t, "nodes")...), "first:1", "second:1")
		tried := map[string]bool{}
		for range rapid.IntRange(60, 90).Draw(t, "steps") {
			if a.Present() == "" {
				t.Fatal("it has no way at all")
			}
			tried[a.Present()] = true
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				a.Learn(listOf(nodes.Draw(t, "other nodes")...))
			case 1:
				a.Measured(rapid.SampledFrom(a.Addresses()).Draw(t, "measured"), 0, errDown)
			default:
				a.at = a.at.Add(a.Failed())
			}
		}
		if !tried["https://first:1"] || !tried["https://second:1"] {
			t.Fatalf("tried were %v", tried)
		}
	})
}

func TestWhatIsMeasured(t *testing.T) {
	if alone := newAgent("pc", listOf(node("a")), "a:1"); len(alone.Measure()) > 0 {
		t.Error("the only node is measured")
	}
	a := newAgent("pc", listOf(node("a"), node("b")), "first:1")
	count := map[string]int{}
	for range 24 * 60 {
		for _, address := range a.Measure() {
			count[address]++
			a.Measured(address, 10*time.Millisecond, nil)
		}
		a.at = a.at.Add(time.Minute)
	}
	for _, address := range []string{"https://a:1", "https://b:1"} {
		least, most := 2, 6
		if address == a.Present() {
			least, most = 40, 100
		}
		if n := count[address]; n < least || n > most {
			t.Errorf("%s is measured %d times a day, of it is talked to %s", address, n, a.Present())
		}
	}
	if count["https://first:1"] > 0 {
		t.Error("an address that the list does not have is measured")
	}
	if a.Present() != "https://b:1" {
		a.Measured("https://b:1", 0, errDown)
	} else {
		a.Measured("https://a:1", 0, errDown)
	}
	clear(count)
	for range 24 * 60 {
		for _, address := range a.Measure() {
			count[address]++
			if address != a.Present() {
				a.Measured(address, 0, errDown)
			}
		}
		a.at = a.at.Add(time.Minute)
	}
	for address, n := range count {
		if address != a.Present() && (n < 100 || n > 300) {
			t.Errorf("a node that is down is measured %d times a day", n)
		}
	}
}

func TestListIsKept(t *testing.T) {
	a := newAgent("pc", listOf(node("a"), node("b"), node("c")), "first:1")
	a.Failed()
	kept := a.List()
	if again := newAgent("pc", kept, "first:1"); again.Present() != a.Present() {
		t.Errorf("after a start it talks to %s, not to %s", again.Present(), a.Present())
	}
	kept.Nodes = slices.DeleteFunc(slices.Clone(kept.Nodes), func(n agentapi.SiteNode) bool { return "https://"+n.Addresses[0] == a.Present() })
	a.Learn(kept)
	if a.Present() == kept.Present {
		t.Error("it stays with a node that is the site's no more")
	}
}
