// Package payloads holds the commands about payload files as a node has them on disk.
package payloads

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/node"
)

// Command is thatch content.
func Command(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "content", Short: "The payload files of a node", Args: cobra.NoArgs,
		Example: "  thatch content list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List the payload files that the node holds or awaits",
		Long: "Columns to filter and sort by: sha256, name, package, state (held, awaited), size, bytes, at, needed, from, why. What is\n" +
			"not needed is removed a month after it was last asked for.",
		Example: "  thatch content list --filter state=awaited\n  thatch content list --sort -size",
		Path:    "/content", Heads: []string{"NAME", "STATE", "BYTES", "OF", "NEEDED", "FROM", "WHY", "SHA-256"},
		Keys: []string{"name", "state", "bytes", "size", "needed", "from", "why", "sha256"},
	}), awaited(a), verify(a), importCommand(a), export(a))
	return cmd
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
