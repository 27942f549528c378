package agentapitest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"thatch/agentapi"
)

// Door is one more node of the same site: it knows what the others know.
type Door struct {
	mu     sync.Mutex
	node   *Node
	server *httptest.Server
	calls  []string
	slow   time.Duration
}

// Open starts another node of the site, which ends with the test.
func (n *Node) Open(t testing.TB) *Door { t.Helper(); return n.OpenAt(t, nil) }

// OpenAt is Open where somebody listens already; nil: on this host.
func (n *Node) OpenAt(t testing.TB, listener net.Listener) *Door {
	t.Helper()
	d := &Door{node: n}
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(d.handle))
	if listener != nil {
		d.server.Listener.Close()
		d.server.Listener = listener
	}
	pool := x509.NewCertPool()
	pool.AddCert(n.Authority.Certificate)
	d.server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: n.now,
		Certificates: []tls.Certificate{n.Authority.Server(t, x509.ExtKeyUsageServerAuth, n.now())},
	}
	d.server.StartTLS()
	t.Cleanup(d.Stop)
	return d
}

func (d *Door) handle(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.calls = append(d.calls, r.URL.Path)
	slow := d.slow
	d.mu.Unlock()
	if slow > 0 {
		body, err := io.ReadAll(r.Body) // until then nobody hears that the caller gave up
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
		}
	}
	d.node.handle(w, r)
}

// URL is the node's address.
func (d *Door) URL() string { return d.server.URL }

// Stop ends the node and its connections, as a process that is killed.
func (d *Door) Stop() {
	d.server.Listener.Close()
	d.server.CloseClientConnections()
	d.server.Close()
}

// Slow has the node take a time for every answer.
func (d *Door) Slow(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

// Calls are the paths that were called since the last time.
func (d *Door) Calls() (paths []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	paths, d.calls = d.calls, nil
	return slices.DeleteFunc(paths, func(path string) bool { return path == agentapi.PathHere })
}
