package bulletins

import (
	"net/http"
	"path/filepath"

	"github.com/spf13/cobra"

	"thatch/catalog"
	"thatch/cmd/internal/cli"
	"thatch/console/api"
	apicatalog "thatch/console/api/catalog"
	"thatch/console/api/client"
)

func packagesCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "packages", Short: "Packages: the payloads of updates", Args: cobra.NoArgs,
		Example: "  thatch packages list --filter status=failed",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List packages",
		Long: "Columns to filter and sort by: id, package, update, bulletin, language, languages, installer, size, by_hand,\n" +
			"matters, status.\n" +
			"A package matters when it is neutral or in a managed language.",
		Example: "  thatch packages list --filter bulletin=sp94801\n  thatch packages list --filter status=failed,refused",
		Path:    "/packages",
		Heads:   []string{"PACKAGE", "BULLETIN", "LANGUAGES", "INSTALLER", "SIZE", "BY HAND", "STATUS", "WHY", "ID"},
		Keys:    []string{"package", "bulletin", "languages", "installer", "size", "by_hand", "status", "text", "id"},
	}), packagesAdd(a), &cobra.Command{
		Use: "show PACKAGE", Short: "Show a package with its files", Args: cli.Args("PACKAGE"),
		Long:    "PACKAGE is an id, as thatch packages list prints it.",
		Example: "  thatch packages show sdp/0e6cf4ac-2853-48aa-825b-8fe28206575f",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("packages", args[0]))
		},
	}, &cobra.Command{
		Use: "remove PACKAGE", Short: "Remove a package that was added by hand", Args: cli.Args("PACKAGE"),
		Example: "  thatch packages remove package:3f0c...:9b1d...",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), client.Path("packages", args[0])); err != nil {
				return err
			}
			return a.Done("removed", args[0], "package "+args[0]+" is removed")
		},
	})
	return cmd
}

func packagesAdd(a *cli.App) *cobra.Command {
	var in apicatalog.PackageRequest
	var urls, digests []string
	var restart string
	cmd := &cobra.Command{
		Use: "add UPDATE (--file PATH | --url URL --sha256 DIGEST)...", Short: "Add a package to an update by hand", Args: cli.Args("UPDATE"),
		Long: "Give the update's files: each from the node's own machine (--file, only with --data), or by the address from which\n" +
			"the node fetches it and its SHA-256 (--url and --sha256, as often as there are files, in the same order). The first\n" +
			"file is the installer unless --run names another. Stage the bulletin afterwards.",
		Example: "  thatch packages add msrc/KB4487017/11568 --file ./windows10.0-kb4487017-x64.exe --arguments \"/quiet /norestart\"\n" +
			"  thatch packages add msrc/KB4487017/11568 --url https://vendor.example/a.msi --sha256 9f86d0... --language de",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(urls) != len(digests) {
				return cli.Usagef("%d times --url and %d times --sha256: each address needs its digest", len(urls), len(digests))
			}
			in.Update, in.Restart = args[0], catalog.Restart(restart)
			for i := range urls {
				in.Files = append(in.Files, catalog.File{URL: urls[i], SHA256: digests[i]})
			}
			for i, path := range in.Paths {
				full, err := filepath.Abs(path)
				if err != nil {
					return cli.Usagef("--file: %w", err)
				}
				in.Paths[i] = full
			}
			add := client.Request{Method: http.MethodPost, Path: "/packages", In: in}
			return cli.Told(cmd.Context(), a, add, func(made api.Made) string {
				return "package " + made.ID + " is added; stage its bulletin to have it checked and offered"
			})
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&in.Paths, "file", nil, "file on the node's machine; may be repeated")
	flags.StringSliceVar(&urls, "url", nil, "address of a file; may be repeated")
	flags.StringSliceVar(&digests, "sha256", nil, "SHA-256 of the file at --url")
	flags.StringVar(&in.Name, "name", "", "what people call it (default: its installer's file name)")
	flags.StringSliceVar(&in.Languages, "language", nil, "languages it is for (default: neutral)")
	flags.StringVar(&in.Run, "run", "", "name of the file that is run (default: the first)")
	flags.StringVar(&in.Type, "type", "", "msi, msp or exe (default: from the file's name)")
	flags.StringVar(&in.Arguments, "arguments", "", "arguments of the installer")
	flags.StringVar(&in.Product, "product-code", "", "{GUID} of the product, of an MSI")
	flags.StringVar(&in.Patch, "patch-code", "", "{GUID} of the patch, of an MSP")
	flags.StringVar(&restart, "restart", "", "yes, no or maybe")
	flags.BoolVar(&in.UserInput, "user-input", false, "the installer asks the person at the computer")
	return cmd
}
