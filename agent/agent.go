// Package agent is the life of a managed computer: it enrols, learns the rules of the updates that could concern it,
// scans, reports, and installs what is ordered and verified. What it decides on is written down at every step, so that
// a power cut at any of them loses nothing.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"thatch/agent/facts"
	"thatch/agent/folder"
	"thatch/agent/install"
	"thatch/agent/line"
	"thatch/agent/order"
	"thatch/agent/progress"
	"thatch/agent/report"
	"thatch/agent/rulebook"
	"thatch/catalog/content"
)

var (
	// ErrNotEnrolled says that the folder holds no identity.
	ErrNotEnrolled = errors.New("this agent is not enrolled")
	// ErrClone says that the folder's identity belongs to another computer.
	ErrClone = errors.New("the identity in this folder was made on another computer")
	// ErrLocked says that another agent works in the folder.
	ErrLocked = folder.ErrLocked
	// ErrRefused wraps everything that an agent will not install because it cannot be verified.
	ErrRefused = order.ErrRefused
)

// Config is what an agent is made of.
type Config struct {
	Dir       string         // its folder; made when missing
	Source    facts.Source   // of the computer it runs on
	Runner    install.Runner // of installers
	Version   string         // of the program
	Simulated bool           // the computer is made up, and says so

	Now    func() time.Time                       // nil: time.Now
	After  func(d time.Duration) <-chan time.Time // nil: time.After
	Zone   *time.Location                         // the computer's own; nil: time.Local
	Log    *slog.Logger                           // nil: slog.Default()
	Limit  time.Duration                          // of one installer; 0: install.DefaultLimit
	Retry  time.Duration                          // from a failed install to the next try; 0: ten minutes
	Resume time.Duration                          // before a cut download goes on; 0: one second
	Random func() float64                         // from 0 up to 1; nil: math/rand
}

// Agent is one agent in its folder. Its methods may not be called at once, but for Close.
type Agent struct {
	cfg      Config
	folder   folder.Folder
	mu       sync.Mutex // of the next two
	closed   bool
	unlock   func() error // nil: another agent may work in the folder
	payloads *content.Store
	node     *line.Line // to the node that was chosen

	identity *identity
	memory   report.Memory
	rules    *rulebook.Book
	orders   *progress.Store
	ordered  *order.Assignments // as the node said last

	next   time.Time // when the next round is due
	errand errand    // what an operator asked for

	step func(string) // tests end the process here
}

// Open opens the agent of a folder. It needs no node.
func Open(cfg Config) (*Agent, error) { return open(cfg, func(string) {}) }

func open(cfg Config, step func(string)) (*Agent, error) {
	cfg.complete()
	if err := folder.MakePrivate(cfg.Dir); err != nil {
		return nil, fmt.Errorf("folder of the agent: %w", err)
	}
	a := &Agent{cfg: cfg, folder: folder.Folder{Dir: cfg.Dir, Step: step}, step: step}
	a.node = line.New(line.Config{Folder: a.folder, Log: cfg.Log, Now: cfg.Now, Random: cfg.Random, Dial: a.dial, Addresses: a.addresses})
	if err := a.acquire(); err != nil {
		return nil, err
	}
	return a, nil
}

// acquire keeps other agents out of the folder, and reads it.
func (a *Agent) acquire() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fmt.Errorf("open the agent's folder: %w", os.ErrClosed)
	}
	unlock, err := folder.Lock(a.folder.Path("lock"))
	if err != nil {
		return err
	}
	a.unlock = unlock
	if err := a.load(); err != nil {
		return errors.Join(err, a.leave())
	}
	return nil
}

// release lets another agent work in the folder, until acquire.
func (a *Agent) release() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leave()
}

func (a *Agent) leave() error {
	if a.unlock == nil {
		return nil
	}
	a.node.HangUp()
	var err error
	if a.rules != nil {
		err = a.rules.Close()
	}
	err = errors.Join(err, a.unlock())
	a.rules, a.ordered, a.unlock = nil, nil, nil
	return err
}

func (a *Agent) load() error {
	var err error
	if a.payloads, err = content.Open(filepath.Join(a.cfg.Dir, "payloads"), content.Options{Now: a.cfg.Now, Backoff: a.cfg.Resume}); err != nil {
		return err
	}
	if a.identity, err = loadIdentity(a.folder); err != nil {
		return err
	}
	if a.identity != nil {
		a.node.Load(a.identity.Computer, a.identity.Nodes)
	}
	a.memory = report.Memory{}
	if err := a.folder.Read(memoryFile, &a.memory); err != nil {
		// It is made again by a whole report; an agent that does not start patches nothing.
		a.cfg.Log.Warn("what was reported is not readable, a whole report follows", "error", err)
		a.memory = report.Memory{}
	}
	if a.rules, err = rulebook.Open(a.folder); err != nil {
		return err
	}
	a.orders, err = progress.Open(a.folder, a.cfg.Log)
	return err
}

func (c *Config) complete() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.Zone == nil {
		c.Zone = time.Local
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Retry <= 0 {
		c.Retry = 10 * time.Minute
	}
}

// Close lets another agent work in the folder.
func (a *Agent) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	return a.leave()
}

// Enrolled says whether the agent is a computer of a site.
func (a *Agent) Enrolled() bool { return a.identity != nil }

// Forget removes everything but downloaded payloads, so that the agent can enrol anew.
func (a *Agent) Forget() error {
	if err := a.rules.Close(); err != nil {
		return err
	}
	for _, name := range []string{identityFile, line.File, memoryFile, assignmentsFile, rulebook.File, outcomeFile} {
		if err := os.Remove(filepath.Join(a.cfg.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget the former enrolment: %w", err)
		}
	}
	if err := a.orders.Clear(); err != nil {
		return err
	}
	a.node.HangUp()
	a.identity, a.memory, a.ordered = nil, report.Memory{}, nil
	var err error
	a.rules, err = rulebook.Open(a.folder)
	return err
}

// machine reads what tells the computer from others, and refuses to act under another's identity.
func (a *Agent) machine(ctx context.Context) (facts.Machine, error) {
	machine, err := a.cfg.Source.Machine(ctx)
	if err != nil {
		return machine, err
	}
	if a.identity != nil && a.identity.MachineID != "" && machine.ID != "" && machine.ID != a.identity.MachineID {
		return machine, fmt.Errorf("%w: it was enrolled with machine id %s, this one is %s; enrol this computer with a token", ErrClone, a.identity.MachineID, machine.ID)
	}
	return machine, nil
}

func (a *Agent) addresses(ctx context.Context) ([]string, error) {
	machine, err := a.machine(ctx)
	return machine.Addresses, err
}
