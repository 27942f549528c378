package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"thatch/agent"
	"thatch/agent/simulated"
)

// atOnce is how many computers work at the same time.
const atOnce = 4

// computer is a simulated computer with its real agent.
type computer struct {
	made
	simulated *simulated.Computer
	agent     *agent.Agent
	runs      int // installers seen so far
}

// enrol makes the computers, each at its site; one token serves all of a site.
func (d *demo) enrol(ctx context.Context) error {
	d.chapter("A dozen simulated computers enrol, each at the nearest site")
	for _, s := range d.sites {
		var own []made
		for _, one := range dozen {
			if one.site == s.name {
				own = append(own, one)
			}
		}
		args := []string{"tokens", "create", "--name", "computers", "--group", "demo", "--limit", fmt.Sprint(len(own))}
		d.prompt(s, args...)
		var token struct{ Token string }
		if err := d.ask(ctx, s, &token, args...); err != nil {
			return err
		}
		d.say("%s...", token.Token[:min(len(token.Token), 12)])
		for _, one := range own {
			c, err := d.openComputer(one)
			if err != nil {
				return err
			}
			d.agents = append(d.agents, c)
			if err := c.agent.Enrol(ctx, []string{"https://" + s.address}, token.Token); err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			d.say("  %-10s (simulated) %s, %s", one.name, one.system.product, one.language)
		}
	}
	return nil
}

func (d *demo) openComputer(one made) (*computer, error) {
	dir := filepath.Join(d.dir, "computers", one.name)
	c := &computer{made: one, simulated: simulated.New(one.definition())}
	var err error
	c.agent, err = agent.Open(agent.Config{
		Dir: dir, Source: c.simulated, Runner: c.simulated, Version: "demo", Simulated: true,
		Now: d.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, fmt.Errorf("agent of %s: %w", one.name, err)
	}
	return c, nil
}

func (d *demo) closeAgents() {
	for _, c := range d.agents {
		if err := c.agent.Close(); err != nil {
			d.say("close the agent of %s: %v", c.name, err)
		}
	}
}

// rounds has every agent make one round, and tells what was installed.
func (d *demo) rounds(ctx context.Context, round int) error {
	lines := make([][]string, len(d.agents))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, c := range d.agents {
		group.Go(func() error {
			cycle, err := c.agent.RunOnce(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("round %d of %s: %w", round, c.name, err)
			}
			runs := c.simulated.Runs()
			for _, run := range runs[min(c.runs, len(runs)):] {
				lines[i] = append(lines[i], fmt.Sprintf("  %-10s ran %s, exit code %d", c.name, filepath.Base(run.File), run.Code))
			}
			c.runs = len(runs)
			if round == 1 {
				lines[i] = append(lines[i], fmt.Sprintf("  %-10s %d updates apply, %d of them installed, %d cannot be told",
					c.name, cycle.Counts.Applicable, cycle.Counts.Installed, cycle.Counts.Unknown))
			}
			return nil
		})
	}
	err := group.Wait()
	for _, own := range lines {
		for _, line := range own {
			d.say("%s", line)
		}
	}
	return err
}
