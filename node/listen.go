package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"thatch/node/doors"
	"thatch/node/identity"
)

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeader       = 32 << 10
)

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
	local, err := doors.OpenLocal(n.folder.Path, n.fileDoor)
	if err != nil {
		return err
	}
	defer local.Close()
	n.startRooms(ctx)
	defer n.stopRooms()
	return n.serve(ctx, local)
}

// fileDoor is what the local door says that is a file.
func (n *Node) fileDoor() (doors.File, error) {
	token, err := n.Identity.LocalToken()
	return doors.File{Address: n.Address(), Token: token, Fingerprint: identity.Fingerprint(n.Identity.Authority())}, err
}

func (n *Node) serve(ctx context.Context, local doors.Local) error {
	private := n.server(&n.front.doors)
	failed := make(chan error, 1)
	if local.Listener != nil {
		private.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return identity.WithOperator(ctx, identity.Local)
		}
		go func() { failed <- private.Serve(local.Listener) }()
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
