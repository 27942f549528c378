package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"thatch/node/identity"
)

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeader       = 32 << 10
)

// doors are the handlers mounted by path prefix.
type doors struct {
	log      *slog.Logger
	prefixes []string // longest first
	handlers map[string]http.Handler
}

func (d *doors) mount(prefix string, h http.Handler) {
	if d.handlers == nil {
		d.handlers = map[string]http.Handler{}
	}
	if _, again := d.handlers[prefix]; !again {
		at := 0
		for at < len(d.prefixes) && len(d.prefixes[at]) >= len(prefix) {
			at++
		}
		d.prefixes = append(d.prefixes[:at], append([]string{prefix}, d.prefixes[at:]...)...)
	}
	d.handlers[prefix] = h
}

// ServeHTTP finds the door. It compares the path as it was sent: ids in paths may hold escaped slashes.
func (d *doors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for _, prefix := range d.prefixes {
		if strings.HasPrefix(path, prefix) {
			d.answer(w, r, d.handlers[prefix])
			return
		}
	}
	http.NotFound(w, r)
}

// answer has h answer. A handler that panics is told of in the log; the caller hears that it was the node's fault.
func (d *doors) answer(w http.ResponseWriter, r *http.Request, h http.Handler) {
	defer func() {
		failure := recover()
		switch {
		case failure == nil:
		case failure == http.ErrAbortHandler:
			panic(failure) // the way to cut an answer short
		default:
			d.log.ErrorContext(r.Context(), "a request failed by a fault of this program", "method", r.Method, "path", r.URL.Path,
				"panic", failure, "stack", string(debug.Stack()))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"code":"failed","error":"the node failed at this request by a fault of its own; its log has more"}`)
		}
	}()
	h.ServeHTTP(w, r)
}

// Address is the HOST:PORT at which the node listens, "" before Run.
func (n *Node) Address() string {
	if address := n.shown.address.Load(); address != nil {
		return *address
	}
	return ""
}

// URL is where people reach the node, by the first of its own names: https://HOST:PORT. It is "" before Run.
func (n *Node) URL() string {
	host, port, err := net.SplitHostPort(n.Address())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	if len(n.cfg.Names) > 0 {
		host = n.cfg.Names[0]
	}
	return "https://" + net.JoinHostPort(host, port)
}

// Run serves the mounted doors until the context ends or the node can go on no more; then it answers what it has
// begun, and returns. The error is nil when the context ended it.
func (n *Node) Run(ctx context.Context) error {
	n.Tasks.Start(ctx)
	listener, err := n.listen()
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	n.shown.address.Store(&address)
	local, err := n.openDoor(address)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer local.close()
	n.startRooms(ctx)
	defer n.stopRooms()
	return n.serve(ctx, listener, local)
}

func (n *Node) listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", n.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w; is another node there? choose another place with --listen", n.cfg.Listen, err)
	}
	return listener, nil
}

func (n *Node) serve(ctx context.Context, listener net.Listener, local door) error {
	public, private := n.server(), n.server()
	public.TLSConfig = n.Identity.TLS()
	failed := make(chan error, 2)
	serving := 1
	go func() { failed <- public.ServeTLS(listener, "", "") }()
	if local.listener != nil {
		serving++
		private.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return identity.WithOperator(ctx, identity.Local)
		}
		go func() { failed <- private.Serve(local.listener) }()
	}
	n.cfg.Log.Info("the node answers", "site", n.site.Name, "address", n.Address(), "data", n.cfg.Dir, "version", n.cfg.Version)
	close(n.listens)
	var err error
	select {
	case <-ctx.Done():
		n.cfg.Log.Info("the node stops")
	case <-n.quorum.Done():
		err = fmt.Errorf("the node stops, because it can keep nothing more: %w", n.quorum.Err())
	case err = <-failed:
		serving--
	}
	close(n.stop)
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	for _, server := range []*http.Server{public, private} {
		if server.Shutdown(shutdown) != nil {
			_ = server.Close() // what did not end in time is cut
		}
	}
	for range serving {
		<-failed
	}
	n.Tasks.Stop()
	return err
}

func (n *Node) server() *http.Server {
	return &http.Server{
		Handler:           &n.doors,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug),
	}
}
