package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/store/storetest"
	"thatch/node/wire"
)

// limit is how long a test waits for what has to come.
const limit = 20 * time.Second

// site makes credentials by one authority, and ports that know each other's addresses.
type site struct {
	t         testing.TB
	authority *identity.Identity

	mu        sync.Mutex
	addresses map[string][]string
	shut      map[string]error // who is not let in, and why
	now       time.Time
}

func newSite(t testing.TB) *site {
	t.Helper()
	return &site{
		t: t, authority: identitytest.Open(t, t.TempDir(), storetest.Open(t), time.Now),
		addresses: map[string][]string{}, shut: map[string]error{}, now: time.Now(),
	}
}

// credentials are those of a node that was certified.
func (s *site) credentials(id string) *wire.Credentials {
	s.t.Helper()
	creds, err := wire.OpenCredentials(s.t.TempDir(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	csr, err := creds.Request()
	if err != nil {
		s.t.Fatal(err)
	}
	chain, err := s.authority.CertifyNode(id, csr, []string{"127.0.0.1"})
	if err == nil {
		err = creds.Keep(chain)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return creds
}

// node is a port that is open, of a node of the site.
func (s *site) node(id string) *wire.Port {
	s.t.Helper()
	port, err := wire.Bind("127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	creds := s.credentials(id)
	port.Configure(wire.Config{
		Credentials: creds, Judge: s.judge, Now: s.clock, Log: slog.New(slog.DiscardHandler),
		Addresses: func(id string) []string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.addresses[id]
		},
		Public: func() *tls.Config {
			return &tls.Config{NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{*creds.Certificate()}}
		},
	})
	port.Open()
	s.set(func() { s.addresses[id] = []string{port.Addr().String()} })
	s.t.Cleanup(func() {
		if err := port.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return port
}

func (s *site) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *site) judge(p wire.Peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut[p.ID]
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// echo sends back what comes over a protocol.
func echo(port *wire.Port, protocol string) {
	go func() {
		for {
			conn, err := port.Listener(protocol).Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
}

// hears says something, and hears it again; or is the error that ended the connection.
func hears(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(limit))
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 5))
	return err
}

func TestAStreamIsWithTheNodeThatIsMeant(t *testing.T) {
	s, other := newSite(t), newSite(t)
	a, b := s.node("a"), s.node("b")
	stranger := other.node("b")
	echo(b, wire.ProtocolRaft)
	conn, err := a.Dial(t.Context(), wire.ProtocolRaft, "b")
	if err != nil || hears(conn) != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for what, c := range map[string]struct {
		id, at string
		now    time.Duration
		shut   error
	}{
		"not node c":              {id: "c", at: b.Addr().String()},
		"cannot be trusted":       {id: "b", at: stranger.Addr().String()},
		"expired":                 {id: "b", at: b.Addr().String(), now: 100 * 24 * time.Hour},
		"b was removed":           {id: "b", at: b.Addr().String(), shut: errors.New("b was removed")},
		"none of its addresses":   {id: "d"},
		"refused":                 {id: "b", at: closed.Addr().String()},
		"no such host":            {id: "b", at: "nowhere.invalid:1"},
		"missing port in address": {id: "b", at: "127.0.0.1"},
	} {
		s.set(func() {
			s.now, s.shut = time.Now().Add(c.now), map[string]error{"b": c.shut}
			if s.addresses[c.id] = nil; c.at != "" {
				s.addresses[c.id] = []string{c.at}
			}
		})
		conn, err := a.Dial(t.Context(), wire.ProtocolRaft, c.id)
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, wire.ErrUnreached) || errors.Is(err, identity.ErrUntrusted) != (what == "cannot be trusted" || what == "expired") ||
			what != "no such host" && what != "cannot be trusted" && !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.set(func() {
		s.now, s.shut = time.Now(), map[string]error{}
		s.addresses["b"] = []string{stranger.Addr().String(), closed.Addr().String(), b.Addr().String()}
	})
	if conn, err = a.Dial(t.Context(), wire.ProtocolRaft, "b"); err != nil || hears(conn) != nil {
		t.Fatalf("its right address is the last of three: %v", err)
	}
	_ = conn.Close()
}

// Who is shut out is told so at the handshake, if it speaks first: the other end has been judged, and this one has not yet.
func TestWhoIsShutOutGetsNoStream(t *testing.T) {
	s := newSite(t)
	a, b, c := s.node("a"), s.node("b"), s.node("c")
	echo(b, wire.ProtocolRaft)
	var open []net.Conn
	for _, from := range []*wire.Port{a, c} {
		conn, err := from.Dial(t.Context(), wire.ProtocolRaft, "b")
		if err != nil || hears(conn) != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	s.set(func() { s.shut["a"] = errors.New("a was removed") })
	b.Cut(func(id string) bool { return id == "a" })
	if hears(open[0]) == nil {
		t.Error("an open stream goes on")
	}
	if err := hears(open[1]); err != nil {
		t.Errorf("another node's stream was cut: %v", err)
	}
	if conn, err := a.Dial(t.Context(), wire.ProtocolRaft, "b"); err == nil && hears(conn) == nil {
		t.Error("a new stream came about")
	}
}

// greeting is a connection over which nothing was said yet.
func greeting(t *testing.T, port *wire.Port) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(limit))
	return conn
}

func TestWhatIsNoHandshakeIsEnded(t *testing.T) {
	t.Cleanup(wire.GreetWithin(300 * time.Millisecond))
	s := newSite(t)
	b := s.node("b")
	echo(b, wire.ProtocolRaft)
	for what, text := range map[string]string{
		"garbage":     "\x00\x01\x02 this is no TLS at all, and goes on for a while",
		"plain HTTP":  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"half a word": "\x16\x03\x01\x02\x00\x01", // a record that never ends
		"nothing":     "",
	} {
		conn := greeting(t, b)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Errorf("%s: the connection stays open", what)
		}
		if strings.Contains(string(got), "https://") != (what == "plain HTTP") {
			t.Errorf("%s is answered with %q", what, got)
		}
	}
	slow := greeting(t, b) // byte by byte, for ever
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			again := time.NewTimer(20 * time.Millisecond)
			<-again.C
			if _, err := slow.Write([]byte{0x16}); err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(limit):
		t.Error("who sends a byte now and then keeps a connection")
	}
}

func TestProtocolsThatNobodySpeaks(t *testing.T) {
	s := newSite(t)
	b := s.node("b")
	echo(b, wire.ProtocolRaft)
	echo(b, "")
	shake := func(protocol string, certs ...tls.Certificate) error {
		conn := tls.Client(greeting(t, b), &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{protocol}, Certificates: certs, // what the other end does is looked at
		})
		if err := conn.HandshakeContext(t.Context()); err != nil {
			return err
		}
		return hears(conn)
	}
	if err := shake("http/1.1"); err != nil {
		t.Errorf("the public doors: %v", err)
	}
	if err := shake("thatch-raft/2"); err == nil {
		t.Error("a protocol that is none is spoken")
	}
	if err := shake(wire.ProtocolRaft); err == nil {
		t.Error("a stream without a certificate")
	}
	mine := *s.credentials("a").Certificate()
	if err := shake(wire.ProtocolRaft, mine); err != nil {
		t.Errorf("with one: %v", err)
	}
	if err := shake(wire.ProtocolRaft, *newSite(t).credentials("a").Certificate()); err == nil {
		t.Error("a stream with another site's certificate")
	}
}

// A port that is closed waits for nobody: neither for a handshake that never ends, nor for one that nobody takes.
func TestAPortIsClosedInTheMiddle(t *testing.T) {
	s := newSite(t)
	a, b := s.node("a"), s.node("b")
	greeting(t, b)
	conn, err := a.Dial(t.Context(), wire.ProtocolRaft, "b") // b takes none
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Fatal("the port does not close")
	}
	if hears(conn) == nil {
		t.Error("a stream outlives its port")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := a.Dial(ctx, wire.ProtocolRaft, "b"); !errors.Is(err, wire.ErrUnreached) {
		t.Errorf("a closed port: %v", err)
	}
}

func TestCredentialsThatAreNotTheNodes(t *testing.T) {
	s := newSite(t)
	b := s.credentials("b")
	chain := b.Certificate().Certificate
	a, err := wire.OpenCredentials(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	namesake, err := wire.OpenCredentials(t.TempDir(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"that of node b":           a.Keep(chain),
		"not for this node's key":  namesake.Keep(chain),
		"holds 1 certificates":     a.Keep(chain[:1]),
		"malformed":                a.Keep([][]byte{{1}, {2}}),
		"holds no PEM block":       open(t, "tls.key", "nonsense"),
		"holds 0 certificates":     open(t, "tls.crt", "nonsense"),
		"read the node's key":      open(t, "tls.key/x", ""),
		"read the node's certific": open(t, "tls.crt/x", ""),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if a.Known() || a.Certificate() != nil || a.Site() != "" || a.Authority() != nil {
		t.Error("what was refused is shown")
	}
}

// open opens the credentials of a folder in which a file holds some text.
func open(t *testing.T, name, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if strings.Contains(name, "/") {
		dir = filepath.Dir(dir)
	}
	_, err := wire.OpenCredentials(dir, "a")
	return err
}
