// Thatch is the node of a site and the command line of its operators.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/backups"
	"thatch/cmd/thatch/bulletins"
	"thatch/cmd/thatch/hierarchy"
	"thatch/cmd/thatch/load"
	"thatch/cmd/thatch/operators"
	"thatch/cmd/thatch/ordering"
	"thatch/cmd/thatch/payloads"
	"thatch/cmd/thatch/replicate"
)

// version is set by the release build; otherwise the build's revision stands in.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	app := cli.New(buildVersion())
	err := rootCommand(app).ExecuteContext(ctx)
	if err != nil {
		app.Tell(err, os.Args[1:])
	}
	os.Exit(cli.ExitCode(err))
}

func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+changed"
			}
		}
	}
	if revision == "" {
		return "dev"
	}
	return "dev-" + revision + changed
}

// rootCommand makes the whole tree. Every noun has its own file; add its function here.
func rootCommand(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use:     "thatch",
		Short:   "Keep the computers of a site patched",
		Long:    "Thatch runs a node of a site (thatch node run) and is the command line of its operators.\n\n" + cli.ExitText,
		Example: "  thatch node run --data ./site --languages en,de\n  thatch site show --data ./site",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.Bind(root)
	root.AddCommand(backups.Commands(a)...)
	root.AddCommand(bulletins.Commands(a)...)
	root.AddCommand(ordering.Commands(a)...)
	root.AddCommand(operators.Commands(a)...)
	root.AddCommand(hierarchy.Commands(a, replicate.Commands(a)...)...)
	root.AddCommand(
		nodeCommand(a),
		payloads.Command(a),
		siteCommand(a),
		computersCommand(a),
		complianceCommand(a),
		overviewCommand(a),
		deliveryCommand(a),
		tokensCommand(a),
		tasksCommand(a),
		auditCommand(a),
		settingsCommand(a),
		serviceCommand(a),
		demoCommand(a),
		load.Command(a),
		versionCommand(a),
	)
	return root
}
