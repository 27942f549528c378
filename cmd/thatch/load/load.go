// Package load makes many agents talk to the nodes of a site, and measures how the site stands it: anyone can find out
// what their own machines bear. The agents' calls are real (enrolment, certificates, rules, reports, orders); what they
// say of their computers is made up, and they say so.
package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"thatch/agentapi"
)

// Config says how many agents do what for how long.
type Config struct {
	Nodes       []string       // addresses; agents are dealt out to them in turn, and go to the next when theirs fails
	Token       agentapi.Token // enrols them; its use limit must be at least Agents
	Agents      int
	Connections int           // at a time; each belongs to one agent
	Calls       int           // over one connection before it is closed
	For         time.Duration // how long check-ins, and then reports, go on
	Rate        float64       // calls per second at most; 0: as fast as they are answered
	Seed        uint64        // of what computers lack
	Progress    func(phase string, done, of int)
}

// Check says what makes no sense.
func (c Config) Check() error {
	switch {
	case len(c.Nodes) == 0:
		return fmt.Errorf("no node is named: give --node https://HOST:PORT")
	case c.Agents < 1:
		return fmt.Errorf("%d agents: at least one is needed", c.Agents)
	case c.Connections < 1 || c.Calls < 1:
		return fmt.Errorf("%d connections of %d calls: at least one of each is needed", c.Connections, c.Calls)
	case c.For <= 0 || c.Rate < 0:
		return fmt.Errorf("%s at %g calls a second: neither may be less than nothing", c.For, c.Rate)
	}
	for _, node := range c.Nodes {
		if err := agentapi.CheckNode(node); err != nil {
			return err
		}
	}
	return nil
}

// Phase is what one kind of call came to.
type Phase struct {
	Name    string  `json:"name"`
	Calls   int     `json:"calls"` // answered
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"per_second"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Longest float64 `json:"longest_ms"`
	Refused int     `json:"refused"` // told to come again
	Failed  int     `json:"failed"`
	Error   string  `json:"error,omitempty"` // the first
}

// Phases of a run, in their order.
const (
	PhaseEnrol   = "enrolments"
	PhaseWhole   = "whole reports"
	PhaseCheckIn = "check-ins with nothing new"
	PhaseReport  = "reports with a change"
)

// Run enrols the agents, has each report once wholly, then has them check in with nothing new, then report changes. It
// returns what each phase came to, those begun when ctx ended too.
func Run(ctx context.Context, c Config) ([]Phase, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	f := &fleet{cfg: c, pace: rate.NewLimiter(rate.Inf, 1)}
	if c.Rate > 0 {
		f.pace = rate.NewLimiter(rate.Limit(c.Rate), max(1, int(c.Rate/10)))
	}
	for i := range c.Agents {
		f.agents = append(f.agents, newAgent(i, c))
	}
	var phases []Phase
	for _, p := range []struct {
		name string
		once bool
		call func(context.Context, *agent) error
	}{
		{PhaseEnrol, true, f.enrol},
		{PhaseWhole, true, func(ctx context.Context, a *agent) error { return a.reportAll(ctx, f) }},
		{PhaseCheckIn, false, func(ctx context.Context, a *agent) error { return a.checkIn(ctx) }},
		{PhaseReport, false, func(ctx context.Context, a *agent) error { return a.reportChange(ctx) }},
	} {
		phase := f.run(ctx, p.name, p.once, p.call)
		phases = append(phases, phase)
		if ctx.Err() != nil {
			return phases, fmt.Errorf("ended during %s: %w", p.name, context.Cause(ctx))
		}
		if p.once && phase.Calls < c.Agents {
			return phases, fmt.Errorf("%s: %d of %d agents got through; the first failure: %s", p.name, phase.Calls, c.Agents, phase.Error)
		}
	}
	return phases, nil
}

// fleet is all agents.
type fleet struct {
	cfg    Config
	agents []*agent
	pace   *rate.Limiter
	rules  rules
}

// run has agents call, on as many connections as there may be. Once: each agent until it got through; else again and
// again for as long as the configuration says.
func (f *fleet) run(ctx context.Context, name string, once bool, call func(context.Context, *agent) error) Phase {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	if !once {
		work, cancel = context.WithTimeout(ctx, f.cfg.For)
		defer cancel()
	}
	var (
		m       meter
		workers sync.WaitGroup
		done    atomic.Int64
	)
	got := func() {
		if n := done.Add(1); f.cfg.Progress != nil && n%progressEvery == 0 {
			f.cfg.Progress(name, int(n), len(f.agents))
		}
	}
	began := time.Now()
	share := (len(f.agents) + f.cfg.Connections - 1) / f.cfg.Connections
	for from := 0; from < len(f.agents); from += share {
		own := f.agents[from:min(from+share, len(f.agents))]
		workers.Go(func() {
			if once {
				f.through(work, own, call, &m, got)
			} else {
				f.around(work, own, call, &m)
			}
		})
	}
	workers.Wait()
	phase := m.phase(name, time.Since(began))
	if f.cfg.Progress != nil {
		f.cfg.Progress(name, phase.Calls, phase.Calls)
	}
	return phase
}

// through has each agent call until it got through, a few times at most, and tells of each that did.
func (f *fleet) through(ctx context.Context, own []*agent, call func(context.Context, *agent) error, m *meter, got func()) {
	for _, a := range own {
		for try := 0; try < tries && ctx.Err() == nil; try++ {
			if f.timed(ctx, a, call, m) {
				got()
				break
			}
			if a.final || a.rest(ctx) != nil {
				break
			}
		}
		a.hangUp()
	}
}

// around has the agents call in turn, each as often as one connection is good for, until ctx ends. Who was told to come
// again later is left out until then.
func (f *fleet) around(ctx context.Context, own []*agent, call func(context.Context, *agent) error, m *meter) {
	for ctx.Err() == nil {
		called := false
		for _, a := range own {
			for range f.cfg.Calls {
				if ctx.Err() != nil || !a.free() {
					break
				}
				called = true
				f.timed(ctx, a, call, m)
			}
			a.hangUp()
		}
		if !called && own[0].rest(ctx) != nil {
			return
		}
	}
}

const (
	tries         = 20
	progressEvery = 500
)

// timed makes one call and says whether it was answered.
func (f *fleet) timed(ctx context.Context, a *agent, call func(context.Context, *agent) error, m *meter) bool {
	if f.pace.Wait(ctx) != nil {
		return false
	}
	began := time.Now()
	err := call(ctx, a)
	if err != nil && ctx.Err() != nil {
		return false // the phase is over
	}
	m.add(time.Since(began), a.note(err))
	return err == nil
}

func (f *fleet) enrol(ctx context.Context, a *agent) error { return a.enrol(ctx, f.cfg.Token) }
