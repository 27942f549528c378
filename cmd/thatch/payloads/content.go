// Package payloads holds the commands about payload files as a node has them on disk.
package payloads

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/node"
)

// Command is thatch content.
func Command(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "content", Aliases: []string{"payloads"}, Short: "The payload files of a node, and their copies in the site", Args: cobra.NoArgs,
		Example: "  thatch content list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List the payload files that the node holds or awaits, or that others hold",
		Long: "Columns to filter and sort by: sha256, name, package, state (held, awaited, elsewhere), size, bytes, at, needed, copies,\n" +
			"copies_of, short (fewer copies than there are to be), nodes, from, why. What is not needed is removed a month after it\n" +
			"was last asked for.",
		Example: "  thatch content list --filter state=awaited\n  thatch content list --filter short=true\n  thatch content list --sort -size",
		Path:    "/content", Heads: []string{"NAME", "STATE", "BYTES", "OF", "COPIES", "OF", "NEEDED", "FROM", "WHY", "SHA-256"},
		Keys: []string{"name", "state", "bytes", "size", "copies", "copies_of", "needed", "from", "why", "sha256"},
	}), show(a), awaited(a), verify(a), importCommand(a), export(a))
	return cmd
}

func show(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "show SHA-256", Short: "Show a payload file and the nodes that hold it, or are to", Args: cli.Args("SHA-256"),
		Long: "The first eight digits or more will do. How many copies there are to be is the setting payloads.copies: 0 has all nodes\n" +
			"hold all; nodes without a vote do in any case.",
		Example: "  thatch content show 2f0c4f6d\n  thatch settings set payloads.copies 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("content", args[0]))
		},
	}
}

func awaited(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "awaited", Short: "Show how far the payload files are that the site awaits", Args: cobra.NoArgs,
		Example: "  thatch content awaited",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.Show(cmd.Context(), "/content/awaited") },
	}
}

func verify(a *cli.App) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Read every payload and hold it against its digest", Args: cobra.NoArgs,
		Long:    "What was altered on disk goes into quarantine, and is fetched again where it is needed; the command then fails.",
		Example: "  thatch content verify",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Start(cmd.Context(), "/content/verify", nil, detach, nil)
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	return cmd
}

func importCommand(a *cli.App) *cobra.Command {
	var all, detach bool
	cmd := &cobra.Command{
		Use: "import DIR", Short: "Take payload files from a folder, such as a disk that was sent", Args: cli.Args("DIR"),
		Long: "DIR and the folders below it lie on the node's own machine. Files may have any name: they are taken when a document of\n" +
			"the site names their SHA-256.",
		Example: "  thatch content import /media/disk --data ./site",
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := absolute(args[0])
			if err != nil {
				return err
			}
			return a.Start(cmd.Context(), "/content/import", node.Disk{Folder: folder, All: all}, detach, nil)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "take files too that no document names yet: their documents come later")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	return cmd
}

func export(a *cli.App) *cobra.Command {
	var child string
	var detach bool
	cmd := &cobra.Command{
		Use: "export DIR", Short: "Copy the payload files that the site needs to a folder", Args: cli.Args("DIR"),
		Long:    "DIR lies on the node's own machine. What is there already stays. --for copies what matters to the languages of a child.",
		Example: "  thatch content export /media/disk --for Berlin --data ./site",
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := absolute(args[0])
			if err != nil {
				return err
			}
			return a.Start(cmd.Context(), "/content/export", node.Disk{Folder: folder, For: child}, detach, nil)
		},
	}
	cmd.Flags().StringVar(&child, "for", "", "child, by name or id")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	return cmd
}

// absolute makes the name of a folder absolute: the node runs in another one. An empty name is a variable that was not set,
// not this folder.
func absolute(folder string) (string, error) {
	if folder == "" {
		return "", cli.Usagef("no folder is named")
	}
	return filepath.Abs(folder)
}
