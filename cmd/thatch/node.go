package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"thatch/agentapi/server"
	"thatch/cmd/internal/cli"
	"thatch/cmd/internal/service"
	"thatch/cmd/thatch/backups"
	"thatch/cmd/thatch/nodes"
	"thatch/console"
	"thatch/console/api"
	"thatch/console/api/links"
	"thatch/console/api/operators"
	"thatch/node"
	"thatch/node/folder"
	"thatch/node/reach"
	"thatch/node/store"
	"thatch/replication"
	"thatch/replication/joining"
	"thatch/replication/round"
	parents "thatch/replication/server"
	"thatch/replication/wire"
)

// nodeFlags are what a node is started with; the service passes the same.
type nodeFlags struct {
	listen, site, log string
	name              string // of the node
	languages, names  []string
	parent, token     string // joins at the first start
	service           bool   // the service manager started this process
	whileInput        bool   // the node ends with its standard input, and so with whoever started it
}

func (f *nodeFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", reach.DefaultListen, "HOST:PORT to listen at; port 0 takes a free one (THATCH_LISTEN)")
	flags.StringVar(&f.site, "site", "", "name of the site; has an effect at the first start only (THATCH_SITE)")
	flags.StringSliceVar(&f.languages, "languages", nil, "managed languages, such as en,de; has an effect at the first start only (THATCH_LANGUAGES)")
	flags.StringSliceVar(&f.names, "names", nil, "more host names and addresses under which this node is reached (THATCH_NAMES)")
	flags.StringVar(&f.name, "node-name", "", "what people call this node; the machine's name by default (THATCH_NODE_NAME)")
	flags.StringVar(&f.parent, "parent", "", "https://HOST:PORT of a parent to join, where the site has none (THATCH_PARENT)")
	flags.StringVar(&f.token, "parent-token", "", "child token for --parent, made there with: thatch children tokens create (THATCH_PARENT_TOKEN)")
	flags.StringVar(&f.log, "log", "info", "what is logged: debug, info, warn or error (THATCH_LOG)")
}

func nodeCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "node", Short: "Run a node of a site, have one join", Args: cobra.NoArgs,
		Example: "  thatch node run --data ./site",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f nodeFlags
	run := &cobra.Command{
		Use: "run", Short: "Run a node until it is interrupted", Args: cobra.NoArgs,
		Long: "Run a node on a data folder. The first start makes the site there: its name, languages, authority and keys.\n" +
			"Whoever may read the data folder administers the site through it.",
		Example: "  thatch node run --data ./site --site Berlin --languages en,de --listen :8743",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runNode(cmd.Context(), a, f) },
	}
	f.bind(run)
	run.Flags().BoolVar(&f.service, "service", false, "the service manager started this process")
	run.Flags().BoolVar(&f.whileInput, "while-input", false, "end when the standard input is closed, as it is when the starting process ends")
	for _, name := range []string{"service", "while-input"} {
		_ = run.Flags().MarkHidden(name) // the flags are there
	}
	cmd.AddCommand(run, nodes.JoinCommand(a), nodes.TokenCommand(a), backups.Recover(a), backups.ChangeKey(a))
	return cmd
}

// runNode runs a node until ctx ends, or as a service until its manager says so.
func runNode(ctx context.Context, a *cli.App, f nodeFlags) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.log)); err != nil {
		return cli.Usagef("--log %q: want debug, info, warn or error", f.log)
	}
	keepReserve()
	if f.whileInput {
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		go func() {
			_, _ = io.Copy(io.Discard, a.In) // however it ends, it is the end
			end()
		}()
	}
	run := func(ctx context.Context, out io.Writer) (err error) {
		n, err := node.New(ctx, node.Config{
			Dir: a.Node.Dir, Listen: f.listen, Site: f.site, Languages: f.languages, Names: f.names, Name: f.name,
			Version: a.Version, Log: newLog(out, level, a.JSON), Now: clock,
		})
		if errors.Is(err, store.ErrInvalid) {
			return cli.Usagef("start the node: %w", err)
		}
		if err != nil {
			return fmt.Errorf("start the node: %w", err)
		}
		defer func() { err = errors.Join(err, n.Close()) }()
		mount(n)
		if f.parent != "" {
			n.WhileLeading("joining the parent", func(ctx context.Context) error {
				joining.Keep(ctx, n, f.parent, f.token)
				return nil
			})
		}
		runtime.GC() // what the start left need not be collected in the midst of the first import
		return n.Run(ctx)
	}
	if !f.service {
		return run(ctx, a.Err)
	}
	return service.Run(ctx, nodeService(nil, func(ctx context.Context) error { return logged(ctx, a, run) }))
}

// logged runs a service. On Windows it has nowhere to write but a file in the data folder; elsewhere the service
// manager keeps what it says.
func logged(ctx context.Context, a *cli.App, run func(ctx context.Context, out io.Writer) error) error {
	if runtime.GOOS != "windows" {
		return run(ctx, a.Err)
	}
	if err := folder.Make(a.Node.Dir); err != nil {
		return err
	}
	file, err := service.LogFile(filepath.Join(a.Node.Dir, logFile))
	if err != nil {
		return err
	}
	err = run(ctx, file)
	if err != nil {
		fmt.Fprintln(file, "the node ends:", err)
	}
	return errors.Join(err, file.Close())
}

// logFile is where a service of Windows logs, in the data folder.
const logFile = "node.log"

func newLog(out io.Writer, level slog.Level, asJSON bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if asJSON {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// mount puts the doors on a node, and gives it what it does while it leads: the link with the parent, and the invitation of the
// first administrator.
func mount(n *node.Node) {
	link, parent := replication.New(n), parents.New(n)
	n.WhileLeading("invitation of the first administrator", func(ctx context.Context) error {
		sayFirst(ctx, n)
		return nil
	})
	routes := append(console.Routes(n), links.Routes(n, link, round.New(n, link, parent))...)
	n.Mount("/", console.New(n, api.New(n, routes...)))
	n.Mount("/agent/v1/", server.New(n))
	n.Mount(wire.Prefix, parent)
}

// sayFirst prints the link with which somebody becomes the site's first administrator, as long as there is none. Where it
// cannot be made the node serves all the same.
func sayFirst(ctx context.Context, n *node.Node) {
	any, err := n.Operators.Any(ctx)
	if err != nil || any {
		return
	}
	link, err := n.Operators.FirstLink(ctx)
	if err != nil {
		n.Log().Warn("no link for the first administrator could be made; have one made with: thatch operators first-link", "error", err)
		return
	}
	n.Log().Warn("the site has no operator yet: whoever opens this address first becomes its administrator",
		"address", operators.LinkOf(n, link).URL, "until", link.Expires.Format(time.RFC3339))
}
