package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/internal/demo"
	"thatch/node"
)

func demoCommand(a *cli.App) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a whole site with a dozen simulated computers in a temporary folder", Args: cobra.NoArgs,
		Long: "Run a site in a temporary folder: a made-up vendor publishes updates, a dozen simulated computers enrol, and the\n" +
			"command line imports, stages, makes a policy and watches them being patched. Nothing of this machine is changed.",
		Example: "  thatch demo --once",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), demo.Config{
				Out: a.Out, Now: time.Now, Once: once,
				Node: func(ctx context.Context, dir string, ready func(string)) error {
					return runDemoNode(ctx, a.Version, dir, ready)
				},
				Thatch: func(ctx context.Context, out io.Writer, args ...string) error {
					return runInside(ctx, a.Version, out, args)
				},
			})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end when every computer is compliant, with exit code 0, else 1")
	return cmd
}

// runDemoNode runs a node like "thatch node run", at a free port of the loopback, and says only what went wrong.
func runDemoNode(ctx context.Context, version, dir string, ready func(address string)) (err error) {
	n, err := node.New(ctx, node.Config{
		Dir: dir, Listen: "127.0.0.1:0", Site: "Demo", Languages: []string{"en", "de", "fr"}, Version: version,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	mount(n)
	go func() {
		select {
		case <-n.Listening():
			ready(n.Address())
		case <-ctx.Done():
		}
	}()
	return n.Run(ctx)
}

// runInside runs one command of this program in this process.
func runInside(ctx context.Context, version string, out io.Writer, args []string) error {
	app := cli.New(version)
	app.Out, app.Err = out, io.Discard
	root := rootCommand(app)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
