package main

import (
	"encoding/json"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/nodes"
	"thatch/console/api"
)

func siteCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "site", Short: "The site, its nodes and its managed languages", Args: cobra.NoArgs,
		Example: "  thatch site show",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "show", Short: "Show the site and the node that answers", Args: cobra.NoArgs,
		Example: "  thatch site show --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.Show(cmd.Context(), "/site") },
	}, siteLanguages(a), &cobra.Command{
		Use: "rename NAME", Short: "Call the site otherwise", Args: cli.Args("NAME"),
		Long:    "Change what the site is called. The sites above and below learn of it.",
		Example: "  thatch site rename \"Berlin Mitte\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer api.SiteName
			if err := c.Put(cmd.Context(), "/site/name", api.SiteName{Name: args[0]}, &answer); err != nil {
				return err
			}
			return a.Print(answer, func(w io.Writer) error {
				_, err := io.WriteString(w, "the site is called "+answer.Name+"\n")
				return err
			})
		},
	})
	cmd.AddCommand(nodes.Commands(a)...)
	cmd.AddCommand(siteHints(a))
	return cmd
}

func siteLanguages(a *cli.App) *cobra.Command {
	var change api.LanguagesChange
	cmd := &cobra.Command{
		Use: "languages [TAG...]", Short: "Show the managed languages, set them, add or remove some",
		Long: "Without arguments, show the managed languages. With arguments, manage these and no others. --add and --remove change\n" +
			"some. A language that sites below manage is dropped only with --force: they would receive nothing in it any more.",
		Example: "  thatch site languages\n  thatch site languages en de pt-br\n  thatch site languages --add fr --remove de",
		RunE: func(cmd *cobra.Command, args []string) error {
			changes := len(change.Add)+len(change.Remove) > 0
			if changes && len(args) > 0 {
				return cli.Usagef("give all the languages as arguments, or some with --add and --remove, not both")
			}
			if len(args) > 0 && slices.Contains([]string{"add", "remove", "list", "set"}, args[0]) {
				return cli.Usagef("%q is no language; say: thatch site languages --add TAG, or --remove TAG", args[0])
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer json.RawMessage
			switch {
			case changes:
				err = c.Post(cmd.Context(), "/site/languages", change, &answer)
			case len(args) > 0:
				err = c.Put(cmd.Context(), "/site/languages", api.LanguagesSet{Languages: args, Force: change.Force}, &answer)
			default:
				err = c.Get(cmd.Context(), "/site/languages", nil, &answer)
			}
			if err != nil {
				return err
			}
			return a.Print(answer, func(w io.Writer) error { return cli.Object(w, answer) })
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&change.Add, "add", nil, "languages to manage more, such as fr,it")
	flags.StringSliceVar(&change.Remove, "remove", nil, "languages to manage no more")
	flags.BoolVar(&change.Force, "force", false, "also drop languages that sites below manage")
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
