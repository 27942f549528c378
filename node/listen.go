package node

import (
	"context"
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

// Address is the HOST:PORT at which the node listens.
func (n *Node) Address() string {
	if n.front.port == nil {
		return ""
	}
	return n.front.port.Addr().String()
}

// URL is where people reach the node, by the first of its own names: https://HOST:PORT.
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
	local, err := n.openDoor(n.Address())
	if err != nil {
		return err
	}
	defer local.close()
	n.startRooms(ctx)
	defer n.stopRooms()
	return n.serve(ctx, local)
}

func (n *Node) serve(ctx context.Context, local door) error {
	private := n.server(&n.front.doors)
	failed := make(chan error, 1)
	if local.listener != nil {
		private.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return identity.WithOperator(ctx, identity.Local)
		}
		go func() { failed <- private.Serve(local.listener) }()
	}
	n.front.open.Store(true)
	n.cfg.Log.Info("the node answers", "site", n.site.Name, "address", n.Address(), "data", n.cfg.Dir, "version", n.cfg.Version)
	close(n.front.listens)
	var err error
	select {
	case <-ctx.Done():
		n.cfg.Log.Info("the node stops")
	case <-n.quorum.Done():
		err = fmt.Errorf("the node stops, because it can keep nothing more: %w", n.quorum.Err())
	case <-n.front.sisters.Done():
		err = fmt.Errorf("the node stops: %w", n.front.sisters.Err())
	case err = <-failed:
	case err = <-n.front.failed:
	}
	close(n.front.stop)
	n.handOver(context.WithoutCancel(ctx))
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	for _, server := range []*http.Server{n.front.server, private} {
		if server.Shutdown(shutdown) != nil {
			_ = server.Close() // what did not end in time is cut
		}
	}
	n.Tasks.Stop()
	return err
}

func (n *Node) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug),
	}
}
