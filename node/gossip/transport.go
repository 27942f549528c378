package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"thatch/node/wire"
)

// maxPacket is the size of the largest packet that is read, in bytes.
const maxPacket = 64 << 10

// transport carries packets over UDP, at the number of the node's one port, and streams over that port. Nodes are found by
// their ids: where the others say that they are is only taken where nothing better is known.
type transport struct {
	port    *wire.Port
	packets net.PacketConn // nil: that port of UDP could not be had, and streams alone are used
	own     *net.TCPAddr   // what the others are told of where this node is
	inward  chan *memberlist.Packet
	streams chan net.Conn
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
}

// newTransport begins to listen.
func newTransport(port *wire.Port, addresses []string, log *slog.Logger) *transport {
	t := &transport{port: port, own: firstOf(addresses), inward: make(chan *memberlist.Packet), streams: make(chan net.Conn)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	var err error
	if t.packets, err = net.ListenPacket("udp", port.Addr().String()); err != nil {
		log.Warn("packets between nodes cannot be received; they use streams alone, and notice later that one is gone", "error", err)
		t.packets = nil
	} else {
		t.working.Go(t.read)
	}
	t.working.Go(t.accept)
	return t
}

// firstOf is the first of some HOST:PORT that has an IP address.
func firstOf(addresses []string) *net.TCPAddr {
	for _, a := range addresses {
		if at, err := net.ResolveTCPAddr("tcp", a); err == nil && at.IP != nil && !at.IP.IsUnspecified() {
			return at
		}
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
}

func (t *transport) read() {
	for {
		buffer := make([]byte, maxPacket)
		n, from, err := t.packets.ReadFrom(buffer)
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == 0 { // of some systems, also that a packet sent before met nobody
			continue
		}
		select {
		case t.inward <- &memberlist.Packet{Buf: append([]byte(nil), buffer[:n]...), From: from, Timestamp: time.Now()}:
		case <-t.ctx.Done():
			return
		}
	}
}

func (t *transport) accept() {
	listener := t.port.Listener(wire.ProtocolGossip)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		select {
		case t.streams <- conn:
		case <-t.ctx.Done():
			_ = conn.Close()
			return
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.own.IP, t.own.Port, nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(packet []byte, address string) (time.Time, error) {
	return t.WriteToAddress(packet, memberlist.Address{Addr: address})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	if t.packets == nil {
		return time.Time{}, errors.New("no port of UDP")
	}
	var at *net.UDPAddr
	if reached := t.port.Reached(to.Name); to.Name != "" && reached != nil {
		at = &net.UDPAddr{IP: reached.IP, Port: reached.Port, Zone: reached.Zone}
	} else {
		var err error
		if at, err = net.ResolveUDPAddr("udp", to.Addr); err != nil {
			return time.Time{}, err
		}
	}
	_, err := t.packets.WriteTo(packet, at)
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.inward }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(address string, _ time.Duration) (net.Conn, error) {
	return nil, fmt.Errorf("which node is at %s is not known", address)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if to.Name == "" {
		return t.DialTimeout(to.Addr, timeout)
	}
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	return t.port.Dial(ctx, wire.ProtocolGossip, to.Name)
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport.
func (t *transport) Shutdown() error {
	t.cancel()
	err := t.port.Listener(wire.ProtocolGossip).Close()
	if t.packets != nil {
		err = errors.Join(err, t.packets.Close())
	}
	t.working.Wait()
	return err
}
