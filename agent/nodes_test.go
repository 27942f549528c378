package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/agent/line"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
)

// doors is a site of several nodes, with an agent that waits between its rounds.
type doors struct {
	*idler
	open []*agentapitest.Door
}

func newDoors(t *testing.T, count int) *doors {
	t.Helper()
	s, _ := orderedSite(t, "set app=2")
	d := &doors{idler: newIdler(s)}
	s.agent.cfg.Random = nil
	for range count {
		d.open = append(d.open, s.node.Open(t))
	}
	s.node.Lock()
	s.node.Wait = func(agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
		return &agentapi.WaitResponse{After: 2}, nil
	}
	s.node.Unlock()
	d.list("1", -1)
	return d
}

// list makes the list of nodes: all doors, one of them hinted at.
func (d *doors) list(version string, hinted int, more ...agentapi.SiteNode) {
	list := agentapi.NodesResponse{Version: version, MoveSeconds: 3, Nodes: more}
	for i, door := range d.open {
		list.Nodes = append(list.Nodes, agentapi.SiteNode{
			ID: fmt.Sprint("node-", i), Name: fmt.Sprint("node-", i), Addresses: []string{strings.TrimPrefix(door.URL(), "https://")}, Hinted: i == hinted,
		})
	}
	d.node.Lock()
	defer d.node.Unlock()
	d.node.Nodes = list
}

// present is the door that the agent talks to, -1 for the address of the enrolment.
func (d *doors) present() int {
	return slices.IndexFunc(d.open, func(door *agentapitest.Door) bool { return door.URL() == d.agent.node.Present() })
}

// until runs the agent until something is so, for no longer than a time of its clock; it returns how long that took.
func (d *doors) until(what string, most time.Duration, so func() bool) time.Duration {
	d.Helper()
	began := d.clock.at
	d.run(func() bool { return !so() && d.clock.at.Sub(began) <= most })
	took := d.clock.at.Sub(began)
	if took > most {
		d.Fatalf("not within %s: %s; it talks to %s", most, what, d.agent.node.Present())
	}
	return took
}

func TestAgentLearnsNodesAndMovesWhenItsDies(t *testing.T) {
	d := newDoors(t, 3)
	d.until("a node of the list", time.Hour, func() bool { return d.present() >= 0 })
	first := d.present()
	for _, door := range d.open {
		door.Calls()
	}
	d.open[first].Stop()
	took := d.until("another node", 10*time.Second, func() bool {
		now := d.present()
		return now >= 0 && now != first && slices.Contains(d.open[now].Calls(), agentapi.PathWait)
	})
	t.Logf("moved within %s", took)
	status, err := ReadStatus(d.dir)
	if err != nil || status.Node != d.open[d.present()].URL() || len(status.Nodes) != 4 {
		t.Errorf("status: %s of %v, %v", status.Node, status.Nodes, err)
	}
	second := d.present()
	d.start() // it stays over a start of the program
	if err := d.agent.node.Connect(); err != nil || d.agent.node.Client.Node() != d.open[second].URL() {
		t.Errorf("after a start it talks to %s, %v", d.agent.node.Present(), err)
	}
	d.agent.cfg.Random = nil
	for _, door := range d.open {
		door.Stop()
	}
	d.until("the address of the enrolment, as the last way", time.Minute, func() bool { return d.agent.node.Present() == d.node.URL() })
	d.round()
}

func TestHintsAreFollowed(t *testing.T) {
	d := newDoors(t, 3)
	for hinted := range 3 {
		d.list(fmt.Sprint("hint-", hinted), hinted)
		d.until("the node that was hinted at", 20*time.Minute, func() bool { return d.present() == hinted })
	}
	d.computer.machine.Addresses = []string{"10.9.0.1"} // it is carried elsewhere: the site says what is near there
	asked := len(d.node.Calls)
	d.until("asks with its new address", time.Hour, func() bool {
		d.node.Lock()
		defer d.node.Unlock()
		return slices.Contains(d.node.Calls[asked:], agentapi.PathNodes)
	})
}

func TestSlowNodeIsLeft(t *testing.T) {
	d := newDoors(t, 2)
	d.list("hint", 0)
	d.until("the node that was hinted at", 20*time.Minute, func() bool { return d.present() == 0 })
	d.list("no hint", -1)
	d.until("the list without the hint", time.Hour, func() bool { return d.agent.node.List().Version == "no hint" })
	d.node.Lock()
	d.node.Wait = func(agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
		return &agentapi.WaitResponse{After: 60}, nil
	}
	d.node.Unlock()
	d.open[d.present()].Slow(40 * time.Millisecond)
	slow := d.present()
	d.until("the node that is not slow", 2*time.Hour, func() bool { return d.present() == 1-slow })
}

// A list that is wrong or empty locks no agent out.
func TestWrongLists(t *testing.T) {
	stranger := agentapitest.NewNode(t, time.Now)
	d := newDoors(t, 0)
	for version, nodes := range map[string][]agentapi.SiteNode{
		"empty": nil, "nobody": {{ID: "x", Addresses: []string{"127.0.0.1:1", "::bad", ""}, Hinted: true}},
		"another site": {{ID: "y", Addresses: []string{strings.TrimPrefix(stranger.URL(), "https://")}, Hinted: true}},
	} {
		d.list(version, -1, nodes...)
		reports := d.node.View().Reports
		d.until("reports under the list "+version, 2*time.Hour, func() bool { return d.node.View().Reports > reports+1 })
		if d.agent.node.List().Version != version {
			t.Errorf("%s: it holds the list %q", version, d.agent.node.List().Version)
		}
	}
	stranger.Lock()
	defer stranger.Unlock()
	if slices.ContainsFunc(stranger.Calls, func(path string) bool { return path != agentapi.PathHere }) || len(stranger.Calls) > 0 {
		t.Errorf("something was said to a stranger: %v", stranger.Calls)
	}
}

// A node that is busy is called again at the time that it names; where it is so for long, another one is.
func TestBusyNodeIsObeyed(t *testing.T) {
	d := newDoors(t, 2)
	d.until("a node of the list", time.Hour, func() bool { return d.present() >= 0 })
	first := d.present()
	var asked []time.Time
	d.node.Lock()
	d.node.Wait = func(agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
		asked = append(asked, d.clock.at)
		return nil, &agentapi.Error{Code: agentapi.CodeBusy, Text: "busy", After: 40}
	}
	d.node.Unlock()
	d.until("another node", time.Hour, func() bool { return d.present() != first })
	if len(asked) < line.MostRefusals {
		t.Errorf("it left after %d refusals", len(asked))
	}
	for i := 1; i < line.MostRefusals; i++ {
		if asked[i].Sub(asked[i-1]) < 40*time.Second {
			t.Errorf("told to wait for 40 seconds, it came again after %s", asked[i].Sub(asked[i-1]))
		}
	}
}
