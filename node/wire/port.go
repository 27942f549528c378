// Package wire is what the nodes of a site say to each other, and how: TLS 1.3 on the one port that a node has, told apart
// by ALPN, by certificates that name the node. Addresses are ids of nodes; where one is reached is looked up at each dial.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Protocols (ALPN) that nodes of a site speak with each other. What comes with another is for the public doors.
const (
	ProtocolRaft   = "thatch-raft/1"
	ProtocolGossip = "thatch-gossip/1"
	ProtocolCalls  = "thatch-node/1" // HTTP/1.1, below Prefix
)

var protocols = []string{ProtocolRaft, ProtocolGossip, ProtocolCalls}

// greetTimeout is how long a handshake may take.
var greetTimeout = 10 * time.Second

// acceptAgain is how long after an error such as too many open files the next connection is taken.
const acceptAgain = 50 * time.Millisecond

// Config is what a port needs to know of the site.
type Config struct {
	Credentials *Credentials
	Judge       func(p Peer) error                                                   // nil: the node at the other end is let in, now
	Addresses   func(id string) []string                                             // HOST:PORT of a node, those to try first first
	Public      func() *tls.Config                                                   // for the public doors
	Dial        func(ctx context.Context, network, address string) (net.Conn, error) // nil: a plain dialer
	Now         func() time.Time
	Log         *slog.Logger
}

// Port is the one port that a node listens at. Make one with Bind, give it its Config with Open, then Close it.
type Port struct {
	listener net.Listener
	cfg      Config
	routes   map[string]*route // by protocol; "" the public doors
	hello    *tls.Config       // one for all connections: it holds the keys of session tickets
	streams  streams
	good     sync.Map // node id -> address that was last found good
	reached  sync.Map // node id -> *net.TCPAddr at which it was found then
	opened   atomic.Bool
	ctx      context.Context // ends when the port is closed
	cancel   context.CancelFunc
	working  sync.WaitGroup
}

// Bind takes an address, HOST:PORT. Nothing is answered before Open.
func Bind(address string) (*Port, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w; is another node there? choose another place with --listen", address, err)
	}
	p := &Port{listener: listener, routes: map[string]*route{}}
	p.hello = &tls.Config{GetConfigForClient: p.configFor, MinVersion: tls.VersionTLS13}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, protocol := range append([]string{""}, protocols...) {
		p.routes[protocol] = &route{addr: listener.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	}
	return p, nil
}

// Configure says what the port needs to know; it may dial from then on.
func (p *Port) Configure(cfg Config) {
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	p.cfg = cfg
}

// Open begins to accept connections. Calling it again does nothing.
func (p *Port) Open() {
	if !p.opened.Swap(true) {
		p.working.Go(p.accept)
	}
}

// Addr is where the port listens.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Listener gives the connections of one protocol; "" those for the public doors. Each is a *tls.Conn, or wraps one.
func (p *Port) Listener(protocol string) net.Listener { return p.routes[protocol] }

// Close ends the listening, and every connection with other nodes.
func (p *Port) Close() error {
	p.cancel()
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	for _, r := range p.routes {
		_ = r.Close()
	}
	p.streams.cut(func(string) bool { return true })
	p.working.Wait()
	return err
}

func (p *Port) accept() {
	for {
		conn, err := p.listener.Accept()
		if err == nil {
			p.working.Go(func() { p.greet(conn) })
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.cfg.Log.Warn("a connection could not be taken", "error", err)
		again := time.NewTimer(acceptAgain)
		select {
		case <-again.C:
		case <-p.ctx.Done():
			again.Stop()
			return
		}
	}
}

// greet shakes hands and hands the connection on to whom it is for.
func (p *Port) greet(conn net.Conn) {
	ctx, cancel := context.WithTimeout(p.ctx, greetTimeout)
	defer cancel()
	secure := tls.Server(conn, p.hello)
	err := secure.HandshakeContext(ctx)
	if err == nil {
		p.hand(secure)
		return
	}
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
		_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks HTTPS: write https:// in the address.\n")
	}
	p.cfg.Log.Debug("no connection came about", "from", conn.RemoteAddr(), "error", err)
	_ = conn.Close()
}

func looksLikeHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET":
		return true
	}
	return false
}

func (p *Port) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if p.cfg.Credentials.Certificate() == nil {
		return nil, errors.New("this node belongs to no site yet")
	}
	for _, protocol := range protocols {
		if slices.Contains(hello.SupportedProtos, protocol) {
			return p.nodeConfig(protocol), nil
		}
	}
	config := p.cfg.Public()
	if config.GetConfigForClient == nil {
		return config, nil
	}
	if special, err := config.GetConfigForClient(hello); special != nil || err != nil {
		return special, err
	}
	return config, nil
}

// nodeConfig is for connections of other nodes. Streams need a certificate; calls may come from a node that joins and has
// none yet, so that each is judged by itself.
func (p *Port) nodeConfig(protocol string) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, ClientAuth: tls.RequireAnyClientCert, Time: p.cfg.Now,
		SessionTicketsDisabled: true, // nodes stay connected, and what lets them in is looked at each time
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.cfg.Credentials.Certificate(), nil },
	}
	if protocol == ProtocolCalls {
		config.ClientAuth = tls.RequestClientCert
		return config
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := p.Judge(state)
		return err
	}
	return config
}

// Judge tells which node of the site is at the other end of a connection, and whether it is let in, now.
func (p *Port) Judge(state tls.ConnectionState) (Peer, error) {
	peer, err := p.cfg.Credentials.peer(state, p.cfg.Now())
	if err != nil {
		return peer, err
	}
	return peer, p.cfg.Judge(peer)
}

func (p *Port) hand(conn *tls.Conn) {
	state := conn.ConnectionState()
	to, ours := p.routes[state.NegotiatedProtocol]
	switch {
	case !ours || state.NegotiatedProtocol == "":
		p.routes[""].deliver(conn)
	case state.NegotiatedProtocol == ProtocolCalls: // judged call by call
		peer, _ := p.Judge(state) // a node that joins is none yet
		to.deliver(p.streams.add(conn, peer.ID))
	default:
		peer, err := p.Judge(state)
		if err != nil { // shut out since the handshake
			_ = conn.Close()
			return
		}
		to.deliver(p.streams.add(conn, peer.ID))
	}
}

// route gives the connections of one protocol.
type route struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (r *route) deliver(conn net.Conn) {
	select {
	case r.conns <- conn:
	case <-r.closed:
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (r *route) Accept() (net.Conn, error) {
	select {
	case conn := <-r.conns:
		return conn, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The port goes on with other protocols.
func (r *route) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// Addr implements net.Listener.
func (r *route) Addr() net.Addr { return r.addr }
