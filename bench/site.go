package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"thatch/cmd/thatch/load"
)

const (
	siteNodes   = 3
	fewAgents   = 2_000
	manyAgents  = 50_000
	failovers   = 3
	siteStarts  = 2 * time.Minute
	writesAgain = time.Minute
)

// benchSite has agents talk to a site of three nodes, each a process of its own on the loopback, and kills its leader.
func benchSite(ctx context.Context, s settings) ([]row, error) {
	return site(ctx, s, fewAgents, 5*time.Second)
}

// benchAgents does so with as many agents as a large site has.
func benchAgents(ctx context.Context, s settings) ([]row, error) {
	return site(ctx, s, manyAgents, time.Minute)
}

func site(ctx context.Context, _ settings, agents int, lasts time.Duration) ([]row, error) {
	folder, err := os.MkdirTemp("", "thatch-bench-bin-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	binary, err := buildThatch(ctx, folder)
	if err != nil {
		return nil, err
	}
	nodes, err := startSite(ctx, binary)
	defer func() {
		for _, n := range nodes {
			n.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	rows, err := loadRows(ctx, nodes, agents, lasts)
	if err != nil {
		return rows, err
	}
	took, err := failover(ctx, nodes)
	if err != nil {
		return rows, err
	}
	return append(rows, row{
		"leader killed, until a write is accepted", seconds(median(took)), "aim: under 5 s",
		fmt.Sprintf("median of %d; at another node of the site, each asked again at once", len(took)),
	}), nil
}

// startSite starts one node and has two more join it. It returns those that run, also with an error.
func startSite(ctx context.Context, binary string) ([]*nodeProcess, error) {
	first, err := startNode(ctx, binary)
	if err != nil {
		return nil, err
	}
	nodes := []*nodeProcess{first}
	address, err := first.address(ctx)
	if err != nil {
		return nodes, err
	}
	for i := 1; i < siteNodes; i++ {
		name := fmt.Sprint("n", i+1)
		var token struct {
			Token string `json:"token"`
		}
		if err := first.answer(ctx, &token, "node", "token", "create", "--name", name); err != nil {
			return nodes, err
		}
		folder, err := os.MkdirTemp("", "thatch-bench-")
		if err != nil {
			return nodes, err
		}
		n := &nodeProcess{binary: binary, folder: folder}
		if _, err := n.thatch(ctx, "node", "join", "--site-node", "https://"+address, "--token", token.Token, "--listen", "127.0.0.1:0", "--node-name", name); err != nil {
			return nodes, errors.Join(err, os.RemoveAll(folder))
		}
		if err := n.run(ctx); err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	return nodes, whole(ctx, first)
}

// run starts the process of a node whose folder has joined.
func (n *nodeProcess) run(ctx context.Context) error {
	n.cmd = exec.CommandContext(ctx, n.binary, "node", "run", "--data", n.folder, "--listen", "127.0.0.1:0", "--log", "error")
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start a node: %w", err)
	}
	return nil
}

func (n *nodeProcess) answer(ctx context.Context, into any, args ...string) error {
	out, err := n.thatch(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("thatch %s printed no object: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (n *nodeProcess) address(ctx context.Context) (string, error) {
	var site struct {
		Address string `json:"address"`
	}
	err := n.answer(ctx, &site, "site", "show")
	return site.Address, err
}

// fares is how a node says that the site fares.
type fares struct {
	Voters int `json:"voters"`
	Living int `json:"living"`
	Nodes  []struct {
		Name string `json:"name"`
		Role string `json:"role"`
	} `json:"nodes"`
}

// status is what a node says of the site, whether something is wrong with it or not.
func (n *nodeProcess) status(ctx context.Context) (f fares, err error) {
	out, err := n.thatch(ctx, "site", "status", "--json")
	if json.Unmarshal(out, &f) == nil && f.Voters > 0 {
		return f, nil
	}
	return f, err
}

// whole waits until all nodes vote and live.
func whole(ctx context.Context, n *nodeProcess) error {
	ctx, cancel := context.WithTimeout(ctx, siteStarts)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := n.status(ctx)
		if err == nil && f.Voters == siteNodes && f.Living == siteNodes {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the site of %d nodes is not whole after %s: %+v, %w", siteNodes, siteStarts, f, err)
		}
	}
}

// loadRows runs thatch load, as a process of its own, against all nodes.
func loadRows(ctx context.Context, nodes []*nodeProcess, agents int, lasts time.Duration) ([]row, error) {
	var token struct {
		Token string `json:"token"`
	}
	if err := nodes[0].answer(ctx, &token, "tokens", "create", "--name", "load", "--limit", fmt.Sprint(agents), "--for", "24h"); err != nil {
		return nil, err
	}
	args := []string{"load", "--enrol", token.Token, "--agents", fmt.Sprint(agents), "--connections", "128", "--for", lasts.String()}
	for _, n := range nodes {
		address, err := n.address(ctx)
		if err != nil {
			return nil, err
		}
		args = append(args, "--node", "https://"+address)
	}
	before, err := usageOfAll(nodes)
	if err != nil {
		return nil, err
	}
	var phases []load.Phase
	if err := nodes[0].answer(ctx, &phases, args...); err != nil {
		return nil, err
	}
	after, err := usageOfAll(nodes)
	if err != nil {
		return nil, err
	}
	aims := map[string]string{load.PhaseReport: "aim: 2,000 durable a second"}
	var rows []row
	calls := 0
	for _, p := range phases {
		calls += p.Calls
		rows = append(rows, row{
			fmt.Sprintf("%s, %d agents, %d nodes", p.Name, agents, len(nodes)), fmt.Sprintf("%.0f a second", p.Rate), aims[p.Name],
			fmt.Sprintf("p50 %.1f ms, p99 %.1f ms; %d calls, %d told to come again", p.P50, p.P99, p.Calls, p.Refused),
		})
	}
	return append(rows, row{
		fmt.Sprintf("memory of a node, %d agents", agents), fmt.Sprintf("%d MB", after.peak>>20), "aim: under 1 GB",
		fmt.Sprintf("the most that one of them had; %.2f ms of processor time for a call, all nodes together", (after.cpu-before.cpu).Seconds()*1e3/float64(calls)),
	}), nil
}

// usageOfAll is the processor time of all nodes and the memory of the one that took most.
func usageOfAll(nodes []*nodeProcess) (usage, error) {
	var all usage
	for _, n := range nodes {
		u, err := usageOf(n.cmd.Process.Pid)
		if err != nil {
			return all, err
		}
		all.cpu, all.peak = all.cpu+u.cpu, max(all.peak, u.peak)
	}
	return all, nil
}

// failover kills the leader a few times, and measures until the next write is accepted.
func failover(ctx context.Context, nodes []*nodeProcess) ([]time.Duration, error) {
	var took []time.Duration
	for range failovers {
		f, err := nodes[0].status(ctx)
		if err != nil {
			return took, err
		}
		leader := nodes[0]
		for i, n := range f.Nodes {
			if n.Role == "leader" {
				leader = named(nodes, f.Nodes[i].Name)
			}
		}
		other := nodes[0]
		if leader == other {
			other = nodes[1]
		}
		killed := time.Now()
		_ = leader.cmd.Process.Kill()
		_ = leader.cmd.Wait()
		if err := accepted(ctx, other); err != nil {
			return took, err
		}
		took = append(took, time.Since(killed))
		if err := errors.Join(leader.run(ctx), whole(ctx, other), whole(ctx, leader)); err != nil {
			return took, err
		}
	}
	return took, nil
}

// named is the node with a name; the first one bears its machine's.
func named(nodes []*nodeProcess, name string) *nodeProcess {
	for i, n := range nodes {
		if fmt.Sprint("n", i+1) == name {
			return n
		}
	}
	return nodes[0]
}

// accepted asks for a write until one is taken.
func accepted(ctx context.Context, n *nodeProcess) error {
	ctx, cancel := context.WithTimeout(ctx, writesAgain)
	defer cancel()
	for {
		_, err := n.thatch(ctx, "settings", "set", "agents.attempts", "4")
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}
