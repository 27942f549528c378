package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// dialStagger is after what time the next address of a node is tried beside the one that has not answered yet.
const dialStagger = 300 * time.Millisecond

// ErrUnreached says that no connection came about, so that nothing was said.
var ErrUnreached = errors.New("cannot be reached")

// Dial connects to a node of the site by its id, at whichever of its addresses it answers. The error wraps ErrUnreached.
func (p *Port) Dial(ctx context.Context, protocol, id string) (net.Conn, error) {
	addresses := p.addressesOf(id)
	if len(addresses) == 0 {
		return nil, fmt.Errorf("node %s %w: none of its addresses is known", id, ErrUnreached)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan dialled, len(addresses))
	next, pending := time.NewTimer(0), 0
	defer next.Stop()
	var errs []error
	for {
		select {
		case <-next.C:
			if len(addresses) == 0 {
				continue
			}
			at := addresses[0]
			addresses = addresses[1:]
			pending++
			go func() {
				conn, err := p.dialAt(ctx, protocol, id, at)
				answers <- dialled{conn, at, err}
			}()
			next.Reset(dialStagger)
		case a := <-answers:
			pending--
			if a.err == nil {
				p.good.Store(id, a.at)
				if at, is := a.conn.RemoteAddr().(*net.TCPAddr); is {
					p.reached.Store(id, at)
				}
				go drain(answers, pending)
				return p.streams.add(a.conn, id), nil
			}
			errs = append(errs, a.err)
			if len(addresses) == 0 && pending == 0 {
				return nil, fmt.Errorf("node %s %w: %w", id, ErrUnreached, errors.Join(errs...))
			}
			next.Reset(0)
		}
	}
}

// Reached is where a node was last reached; nil: it was not.
func (p *Port) Reached(id string) *net.TCPAddr {
	at, _ := p.reached.Load(id)
	reached, _ := at.(*net.TCPAddr)
	return reached
}

// dialled is what came of trying one address.
type dialled struct {
	conn *tls.Conn
	at   string
	err  error
}

// drain closes what comes after the first that answered.
func drain(answers <-chan dialled, pending int) {
	for range pending {
		if a := <-answers; a.err == nil {
			_ = a.conn.Close()
		}
	}
}

// addressesOf are those of a node, the one that was last good first.
func (p *Port) addressesOf(id string) []string {
	addresses := slices.Clone(p.cfg.Addresses(id))
	good, _ := p.good.Load(id)
	if at := slices.Index(addresses, fmt.Sprint(good)); at > 0 {
		addresses[0], addresses[at] = addresses[at], addresses[0]
	}
	return addresses
}

// dialAt connects to one address and goes on only with the node that is meant.
func (p *Port) dialAt(ctx context.Context, protocol, id, address string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	conn, err := p.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, Time: p.cfg.Now,
		InsecureSkipVerify: true, // VerifyConnection knows the site's authority and the node that is meant
		VerifyConnection: func(state tls.ConnectionState) error {
			peer, err := p.Judge(state)
			if err == nil && peer.ID != id {
				err = fmt.Errorf("node %s answers at %s, not node %s", peer.ID, address, id)
			}
			return err
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert := p.cfg.Credentials.Certificate(); cert != nil {
				return cert, nil
			}
			return &tls.Certificate{}, nil
		},
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if got := secure.ConnectionState().NegotiatedProtocol; got != protocol {
		_ = secure.Close()
		return nil, fmt.Errorf("%s speaks %q, not %s", address, got, protocol)
	}
	return secure, nil
}

// Cut ends every stream with the nodes that shut says are to be shut out, whoever opened it.
func (p *Port) Cut(shut func(id string) bool) { p.streams.cut(shut) }

// streams are the open connections with other nodes, so that one can be shut out at once.
type streams struct {
	mu   sync.Mutex
	open map[*stream]struct{}
}

// stream is one of them.
type stream struct {
	*tls.Conn
	id string
	of *streams
}

func (s *streams) add(conn *tls.Conn, id string) *stream {
	added := &stream{conn, id, s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*stream]struct{}{}
	}
	s.open[added] = struct{}{}
	return added
}

func (s *streams) cut(shut func(id string) bool) {
	s.mu.Lock()
	var cut []*stream
	for one := range s.open {
		if shut(one.id) {
			cut = append(cut, one)
		}
	}
	s.mu.Unlock()
	for _, one := range cut {
		_ = one.NetConn().Close() // at once: a goodbye would wait for whoever is gone
		_ = one.Close()
	}
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	s.of.mu.Unlock()
	return s.Conn.Close()
}

// Raft is the layer on which raft's transport stands. Addresses are ids of nodes.
func (p *Port) Raft() raft.StreamLayer { return &raftLayer{p, p.routes[ProtocolRaft]} }

type raftLayer struct {
	port *Port
	*route
}

// Dial implements raft.StreamLayer.
func (l *raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if string(address) == l.port.cfg.Credentials.ID() { // a node that votes alone tells itself to stand for election
		here, there := net.Pipe()
		go l.deliver(there)
		return here, nil
	}
	ctx, cancel := context.WithTimeout(l.port.ctx, timeout)
	defer cancel()
	return l.port.Dial(ctx, ProtocolRaft, string(address))
}

// Addr implements net.Listener: raft knows this node by its id.
func (l *raftLayer) Addr() net.Addr { return nodeAddr(l.port.cfg.Credentials.ID()) }

type nodeAddr string

// Network implements net.Addr.
func (nodeAddr) Network() string { return "thatch" }

// String implements net.Addr.
func (a nodeAddr) String() string { return string(a) }
