// Package line is the way to the node that an agent talks to: it holds the connection, measures the nodes of the site, goes over
// to another one when its own does not answer, and keeps what it learnt of them.
package line

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"thatch/agent/folder"
	"thatch/agent/nearest"
	"thatch/agentapi"
)

// File in the agent's folder holds what is known of the site's nodes.
const File = "nodes.json"

// Limits of how long a node is waited for, and how often it may refuse.
const (
	measureTime = 5 * time.Second
	checkTime   = 2 * time.Second // of a node whose call broke off
	// MostRefusals is how often in turn a node may say that it is busy.
	MostRefusals = 3
)

// Config is what a line is made of.
type Config struct {
	Folder folder.Folder
	Log    *slog.Logger
	Now    func() time.Time
	Random func() float64 // from 0 up to 1; nil: math/rand
	// Dial makes a client of the node at an address.
	Dial func(address string) (*agentapi.Client, error)
	// Addresses are those of the computer.
	Addresses func(ctx context.Context) ([]string, error)
}

// Line is the way to one node at a time. It is for one goroutine.
type Line struct {
	Client *agentapi.Client // of the node that was chosen; nil: not connected

	cfg      Config
	nodes    *nearest.Chooser // nil before Load
	refusals int              // of the present node in turn
}

// New makes a line that knows no node.
func New(cfg Config) *Line { return &Line{cfg: cfg} }

// Known are the addresses of the site's nodes that the folder of a computer knows, and the one of the node that it talks to.
func Known(f folder.Folder, computer string, first []string) (all []string, present string) {
	var list nearest.List
	if f.Read(File, &list) != nil {
		list = nearest.List{} // the agent learns it again
	}
	chosen := nearest.New(computer, first, list, time.Now, nil)
	return chosen.Addresses(), chosen.Present()
}

// Load reads what is known of the site's nodes, for a computer that was enrolled at some addresses. What cannot be read is
// learnt again.
func (l *Line) Load(computer string, first []string) {
	var list nearest.List
	if err := l.cfg.Folder.Read(File, &list); err != nil {
		l.cfg.Log.Warn("the list of the site's nodes is not readable; the addresses of the enrolment are used", "error", err)
		list = nearest.List{}
	}
	l.nodes = nearest.New(computer, first, list, l.cfg.Now, l.cfg.Random)
}

// Present is the address of the node that was chosen.
func (l *Line) Present() string { return l.nodes.Present() }

// List is what is known of the nodes.
func (l *Line) List() nearest.List { return l.nodes.List() }

// Until is how long to wait at most until Survey is called again.
func (l *Line) Until() time.Duration { return l.nodes.Until() }

// Connect makes the client of the node that was chosen.
func (l *Line) Connect() error {
	if l.Client != nil {
		return nil
	}
	address := l.nodes.Present()
	if address == "" {
		return errors.New("the folder names no address of a node: enrol this computer again")
	}
	client, err := l.cfg.Dial(address)
	if err == nil {
		l.Client = client
	}
	return err
}

// HangUp ends the connection to the present node.
func (l *Line) HangUp() {
	if l.Client != nil {
		l.Client.Close()
		l.Client = nil
	}
}

// Move goes over to another node, because of an error of the present one, and returns how long to wait before that is called.
// A node that is busy, or has refused, is there: it is called again.
func (l *Line) Move(ctx context.Context, err error) (wait time.Duration, moved bool) {
	began := l.cfg.Now()
	var answer *agentapi.Error
	if errors.As(err, &answer) && answer.Code != "" && answer.Code != agentapi.CodeLeaving {
		if l.refusals++; l.refusals < MostRefusals || !l.nodes.Others() {
			return 0, false
		}
	} else if answer == nil && l.Client != nil { // the connection may have been cut on the way
		check, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		if failed := l.Client.There(check); failed == nil || ctx.Err() != nil {
			return 0, false
		}
	}
	former := l.nodes.Present()
	wait = max(l.nodes.Failed()-l.cfg.Now().Sub(began), 0)
	l.refusals = 0
	l.HangUp()
	if l.nodes.Present() != former {
		l.cfg.Log.Info("goes over to another node", "from", former, "to", l.nodes.Present(), "in", wait, "because", err)
		l.keep()
	}
	return wait, l.nodes.Others()
}

// keep writes down what is known of the nodes.
func (l *Line) keep() {
	if err := l.cfg.Folder.Write(File, l.nodes.List()); err != nil {
		l.cfg.Log.Warn("the list of the site's nodes is not written down", "error", err)
	}
}

// Heard notes that the present node answered, and learns the site's nodes anew where they, or the computer's addresses, are
// not what they were.
func (l *Line) Heard(ctx context.Context) {
	l.nodes.Worked()
	l.refusals = 0
	version := l.Client.NodesVersion()
	if version == "" {
		return // a node of an earlier version
	}
	addresses, err := l.cfg.Addresses(ctx)
	if err != nil {
		return // the round says it
	}
	held := l.nodes.List()
	if version == held.Version && slices.Equal(addresses, held.For) {
		return
	}
	answer, err := l.Client.Nodes(ctx, agentapi.NodesRequest{Addresses: addresses})
	if err != nil {
		l.cfg.Log.Debug("the list of the site's nodes was not told", "error", err)
		return
	}
	held.NodesResponse, held.For = answer, addresses
	l.nodes.Learn(held)
	if l.Client.Node() != l.nodes.Present() { // it is the site's no more
		l.HangUp()
	}
	l.keep()
}

// Survey measures the nodes that are to be measured, and goes over to a better one where it is time.
func (l *Line) Survey(ctx context.Context) {
	for _, address := range l.nodes.Measure() {
		took, err := l.measure(ctx, address)
		if ctx.Err() != nil {
			return
		}
		l.nodes.Measured(address, took, err)
	}
	former := l.nodes.Present()
	if l.nodes.Settle() {
		l.cfg.Log.Info("goes over to a better node", "from", former, "to", l.nodes.Present())
		l.HangUp()
		l.keep()
	}
}

func (l *Line) measure(ctx context.Context, address string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	if l.Client != nil && l.Client.Node() == address {
		return l.Client.Here(ctx)
	}
	client, err := l.cfg.Dial(address)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.Here(ctx)
}
