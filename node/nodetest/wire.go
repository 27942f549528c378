package nodetest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"thatch/node/quorum"
	"thatch/node/store"
)

// Wire is what the nodes of a Site talk over: one in-process transport for each, between which pairs can be parted.
type Wire struct {
	mu     sync.Mutex
	ends   map[string]*raft.InmemTransport // of nodes that run
	parted map[[2]string]bool              // which node does not hear which
	cutter *cutter                         // of the next snapshot; nil: it arrives
}

func newWire() *Wire {
	return &Wire{ends: map[string]*raft.InmemTransport{}, parted: map[[2]string]bool{}}
}

// open makes the transport of a node that starts.
func (w *Wire) open(id string) raft.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	address, end := raft.NewInmemTransport(raft.ServerAddress(id))
	end.Connect(address, end)
	w.ends[id] = end
	for other := range w.ends {
		w.apply(id, other)
		w.apply(other, id)
	}
	return &sending{end, w}
}

// sending is the transport of a node, whose snapshots may be cut.
type sending struct {
	*raft.InmemTransport
	wire *Wire
}

// InstallSnapshot implements raft.Transport.
func (s *sending) InstallSnapshot(
	id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader,
) error {
	s.wire.mu.Lock()
	cut := s.wire.cutter
	s.wire.cutter = nil
	s.wire.mu.Unlock()
	if cut != nil {
		cut.Reader = io.LimitReader(data, args.Size/2)
		data = cut
	}
	return s.InmemTransport.InstallSnapshot(id, target, args, resp, data)
}

// cutter breaks a snapshot off in its middle.
type cutter struct {
	io.Reader
	once          sync.Once // what is left is read again, to be thrown away
	came, release chan struct{}
}

func (c *cutter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == nil {
		return n, nil
	}
	c.once.Do(func() { close(c.came) })
	<-c.release
	return n, io.ErrUnexpectedEOF
}

// CutSnapshot has the next snapshot that a node sends break off in its middle: came is closed when it is there, and it breaks off
// when release is closed.
func (w *Wire) CutSnapshot() (came <-chan struct{}, release chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutter = &cutter{came: make(chan struct{}), release: make(chan struct{})}
	return w.cutter.came, w.cutter.release
}

// close takes a node away from all others.
func (w *Wire) close(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ends {
		end.Disconnect(raft.ServerAddress(id))
	}
	if end := w.ends[id]; end != nil {
		end.DisconnectAll()
	}
	delete(w.ends, id)
}

// apply connects one node to another, or not. The caller holds mu.
func (w *Wire) apply(from, to string) {
	a, b := w.ends[from], w.ends[to]
	if a == nil || b == nil || from == to {
		return
	}
	if w.parted[[2]string{from, to}] {
		a.Disconnect(b.LocalAddr())
		return
	}
	a.Connect(b.LocalAddr(), b)
}

// Part has what one node sends to another arrive no more, or again.
func (w *Wire) Part(from, to string, parted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parted[[2]string{from, to}] = parted
	w.apply(from, to)
}

// cut parts a node from all others in both directions.
func (w *Wire) cut(id string, parted bool) {
	w.mu.Lock()
	var others []string
	for other := range w.ends {
		if other != id {
			others = append(others, other)
		}
	}
	w.mu.Unlock()
	for _, other := range others {
		w.Part(id, other, parted)
		w.Part(other, id, parted)
	}
}

func (w *Wire) hears(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends[from] != nil && w.ends[to] != nil && !w.parted[[2]string{from, to}]
}

// isParted says whether a node that runs hears no other.
func (w *Wire) isParted(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for other := range w.ends {
		if other != id && !w.parted[[2]string{other, id}] && !w.parted[[2]string{id, other}] {
			return false
		}
	}
	return len(w.ends) > 1
}

// forwarder carries the writes of one node to the one that leads.
type forwarder struct {
	site *Site
	from string
}

// Forward implements quorum.Forwarder. An answer that cannot come back any more is lost.
func (f forwarder) Forward(ctx context.Context, leader quorum.Voter, encoded []byte) (store.Applied, error) {
	for i, m := range f.site.members {
		n := f.site.Node(i)
		if m.id != leader.ID || n == nil || !f.site.Wire.hears(f.from, m.id) {
			continue
		}
		applied, err := n.Votes().Accept(ctx, encoded)
		if !f.site.Wire.hears(m.id, f.from) {
			return store.Applied{}, fmt.Errorf("the answer of node %s was lost", m.id)
		}
		return applied, err
	}
	return store.Applied{}, fmt.Errorf("%w: node %s cannot be reached", quorum.ErrNotLeader, leader.ID)
}
