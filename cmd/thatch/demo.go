package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/internal/demo"
)

func demoCommand(a *cli.App) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a tree of four sites with a dozen simulated computers in a temporary folder", Args: cobra.NoArgs,
		Long: "Run a parent, two children and a grandchild in a temporary folder, each a process of its own: a made-up vendor publishes\n" +
			"updates, a dozen simulated computers enrol, and the command line imports and stages at the top, makes one policy, and\n" +
			"watches all of them being patched. Nothing of this machine is changed.",
		Example: "  thatch demo --once",
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program, which the demo starts as nodes: %w", err)
			}
			return demo.Run(cmd.Context(), demo.Config{
				Out: a.Out, Now: time.Now, Once: once,
				Node: func(flags ...string) *exec.Cmd {
					return exec.Command(self, append([]string{"node", "run", "--while-input"}, flags...)...)
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

// runInside runs one command of this program in this process.
func runInside(ctx context.Context, version string, out io.Writer, args []string) error {
	app := cli.New(version)
	app.Out, app.Err = out, io.Discard
	root := rootCommand(app)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
