package main

import (
	"encoding/json"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
)

func siteCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "site", Short: "The site and its managed languages", Args: cobra.NoArgs,
		Example: "  thatch site show",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "show", Short: "Show the site and the node that answers", Args: cobra.NoArgs,
		Example: "  thatch site show --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.Show(cmd.Context(), "/site") },
	}, &cobra.Command{
		Use: "languages [TAG...]", Short: "Show the managed languages, or set them",
		Long:    "Without arguments, show the managed languages. With arguments, manage these and no others.",
		Example: "  thatch site languages\n  thatch site languages en de pt-br",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer json.RawMessage
			if len(args) > 0 {
				err = c.Put(cmd.Context(), "/site/languages", map[string]any{"languages": args}, &answer)
			} else {
				err = c.Get(cmd.Context(), "/site/languages", nil, &answer)
			}
			if err != nil {
				return err
			}
			return a.Print(answer, func(w io.Writer) error { return cli.Object(w, answer) })
		},
	})
	return cmd
}

func versionCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: cobra.NoArgs,
		Example: "  thatch version --json",
		RunE: func(*cobra.Command, []string) error {
			info := map[string]string{"version": a.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return a.Print(info, func(w io.Writer) error {
				_, err := io.WriteString(w, "thatch "+a.Version+" ("+info["go"]+", "+info["platform"]+")\n")
				return err
			})
		},
	}
}
