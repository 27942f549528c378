package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"thatch/agent/nearest"
	"thatch/agentapi"
)

// measureTime is how long a node may take to be measured.
const measureTime = 5 * time.Second

// loadNodes reads what is known of the site's nodes. What cannot be read is learnt again.
func (a *Agent) loadNodes() {
	a.nodes = nil
	if a.identity == nil {
		return
	}
	var list nearest.List
	if err := a.folder.Read(nodesFile, &list); err != nil {
		a.cfg.Log.Warn("the list of the site's nodes is not readable; the addresses of the enrolment are used", "error", err)
		list = nearest.List{}
	}
	a.nodes = nearest.New(a.identity.Computer, a.identity.Nodes, list, a.cfg.Now, a.cfg.Random)
}

// dial makes a client of a node.
func (a *Agent) dial(address string) (*agentapi.Client, error) {
	id := a.identity
	trust := agentapi.Trust{Authority: id.authority, Now: a.cfg.Now}
	return agentapi.NewClient(address, trust, &tls.Certificate{Certificate: [][]byte{id.Certificate}, PrivateKey: id.key})
}

// connect makes the client of the node that was chosen.
func (a *Agent) connect() error {
	if a.client != nil {
		return nil
	}
	if a.nodes == nil {
		a.loadNodes()
	}
	address := a.nodes.Present()
	if address == "" {
		return errors.New("the folder names no address of a node: enrol this computer again")
	}
	client, err := a.dial(address)
	if err != nil {
		return err
	}
	a.client = client
	return nil
}

// hangUp ends the connection to the present node.
func (a *Agent) hangUp() {
	if a.client != nil {
		a.client.Close()
		a.client = nil
	}
}

// move goes over to another node, because of an error of the present one, and returns how long to wait before that is called.
// A node that is busy, or has refused, is there: it is called again.
func (a *Agent) move(ctx context.Context, err error) (wait time.Duration, moved bool) {
	var answer *agentapi.Error
	if errors.As(err, &answer) && answer.Code != "" && answer.Code != agentapi.CodeLeaving {
		if a.refusals++; a.refusals < maxRefusals || !a.nodes.Others() {
			return 0, false
		}
	} else if answer == nil && a.client != nil { // the connection may have been cut on the way
		check, cancel := context.WithTimeout(ctx, measureTime)
		defer cancel()
		if _, failed := a.client.Here(check); failed == nil || ctx.Err() != nil {
			return 0, false
		}
	}
	former := a.nodes.Present()
	wait = a.nodes.Failed()
	a.refusals = 0
	a.hangUp()
	if a.nodes.Present() != former {
		a.cfg.Log.Info("goes over to another node", "from", former, "to", a.nodes.Present(), "in", wait, "because", err)
		a.keepNodes()
	}
	return wait, true
}

// maxRefusals is how often in turn a node may say that it is busy.
const maxRefusals = 3

// keepNodes writes down what is known of the nodes.
func (a *Agent) keepNodes() {
	if err := a.folder.Write(nodesFile, a.nodes.List()); err != nil {
		a.cfg.Log.Warn("the list of the site's nodes is not written down", "error", err)
	}
}

// heard notes that the present node answered, and learns the site's nodes anew where they, or the computer's addresses, are
// not what they were.
func (a *Agent) heard(ctx context.Context) {
	a.nodes.Worked()
	a.refusals = 0
	version := a.client.NodesVersion()
	if version == "" {
		return // a node of an earlier version
	}
	machine, err := a.machine(ctx)
	if err != nil {
		return // the round says it
	}
	held := a.nodes.List()
	if version == held.Version && slices.Equal(machine.Addresses, held.For) {
		return
	}
	answer, err := a.client.Nodes(ctx, agentapi.NodesRequest{Addresses: machine.Addresses})
	if err != nil {
		a.cfg.Log.Debug("the list of the site's nodes was not told", "error", err)
		return
	}
	held.NodesResponse, held.For = answer, machine.Addresses
	a.nodes.Learn(held)
	if a.client.Node() != a.nodes.Present() { // it is the site's no more
		a.hangUp()
	}
	a.keepNodes()
}

// survey measures the nodes that are to be measured, and goes over to a better one where it is time.
func (a *Agent) survey(ctx context.Context) {
	for _, address := range a.nodes.Measure() {
		took, err := a.measure(ctx, address)
		if ctx.Err() != nil {
			return
		}
		a.nodes.Measured(address, took, err)
	}
	former := a.nodes.Present()
	if a.nodes.Settle() {
		a.cfg.Log.Info("goes over to a better node", "from", former, "to", a.nodes.Present())
		a.hangUp()
		a.keepNodes()
	}
}

func (a *Agent) measure(ctx context.Context, address string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	if a.client != nil && a.client.Node() == address {
		return a.client.Here(ctx)
	}
	client, err := a.dial(address)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.Here(ctx)
}
