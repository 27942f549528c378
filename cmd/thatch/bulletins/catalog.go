package bulletins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"thatch/catalog/importer"
	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/node/imports"
	"thatch/node/tasks"
)

func catalogCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "catalog", Short: "Import vendors' catalogs", Args: cobra.NoArgs,
		Example: "  thatch catalog import --source msrc",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(catalogImport(a), catalogSources(a), catalogRuns(a), catalogFamilies(a))
	return cmd
}

func catalogFamilies(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "families", Short: "Product families, and how many of their updates imports would leave out",
		Long: "Count what the catalog here holds of each product family, and how much of it the setting catalog.excluded_families, or\n" +
			"--exclude, has imports leave out. What former imports left out is not in the catalog.\n" +
			"Columns to filter and sort by: family, left_out, products, source, updates.",
		Example: "  thatch catalog families --sort -updates\n  thatch catalog families --exclude Mariner,\"Microsoft Office\" --filter 'left_out=>0'",
		Path:    "/catalog/families", Heads: []string{"FAMILY", "SOURCE", "PRODUCTS", "UPDATES", "LEFT OUT"},
		Keys:  []string{"family", "source", "products", "updates", "left_out"},
		Flags: map[string]string{"exclude": "families to leave out, with commas between them, instead of the setting"},
	})
}

func catalogImport(a *cli.App) *cobra.Command {
	var what imports.Import
	var detach bool
	var upload string
	cmd := &cobra.Command{
		Use: "import --source NAME [--from PATH|URL | --upload FILE]", Short: "Import a catalog and follow the import to its end", Args: cobra.NoArgs,
		Long: "Import what a source says at a file, a folder or an http(s) location; without --from, at the location of the source\n" +
			"(see thatch catalog sources). Files imported before and unchanged since are skipped. A file that cannot be read\n" +
			"costs a warning and the exit code; everything else is imported.\n\n" +
			"With --json the command ends with one object: documents (vendor files read), skipped, failed, changed (documents\n" +
			"of the catalog that changed), warnings (the first of each kind) and warning_counts (all, by kind), and what the\n" +
			"catalog then holds of the source: bulletins, updates, packages, kbs, kb_products, supersedence_edges,\n" +
			"supersedence_edges_by_product, updates_without_rule.",
		Example: "  thatch catalog import --source msrc --from ./cvrf\n  thatch catalog import --source sdp --from https://vendor.example/catalog.cab\n" +
			"  thatch catalog import --source sdp --upload ./catalog.cab",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if what.Source == "" {
				return cli.Usagef("name a source with --source; see: thatch catalog sources")
			}
			if upload != "" {
				if what.From != "" || cmd.Flags().Changed("exclude") {
					return cli.Usagef("--upload stands alone: neither --from nor --exclude goes with it")
				}
				return sendFile(cmd.Context(), a, what.Source, upload, detach)
			}
			var err error
			if what.From, err = location(what.From); err != nil {
				return err
			}
			return startImport(cmd.Context(), a, what, detach)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&what.Source, "source", "", "source: msrc, sdp")
	flags.StringVar(&what.From, "from", "", "file, folder or http(s) location")
	flags.StringVar(&upload, "upload", "", "file of this machine that is sent to the node: .xml, .gz, .cab, .zip, .sdp")
	flags.StringSliceVar(&what.Exclude, "exclude", nil, "product families to leave out (default: those of the source)")
	flags.BoolVar(&detach, "detach", false, "do not wait for its end")
	return cmd
}

// sendFile sends a file to the node, which imports it.
func sendFile(ctx context.Context, a *cli.App, source, path string, detach bool) error {
	file, err := os.Open(path)
	if err != nil {
		return cli.Usagef("--upload: %w", err)
	}
	defer file.Close()
	at := "/catalog/uploads?" + url.Values{"source": {source}, "name": {filepath.Base(path)}}.Encode()
	return a.Start(ctx, at, file, detach, printImported)
}

// startImport starts an import and follows it. One of the same source that goes on, such as one that a restarted node
// took up again, is waited for first.
func startImport(ctx context.Context, a *cli.App, what imports.Import, detach bool) error {
	for {
		err := a.Start(ctx, "/catalog/imports", what, detach, printImported)
		var answer *client.Error
		if detach || !errors.As(err, &answer) || answer.Code != "conflict" {
			return err
		}
		c, failed := a.Client()
		if failed != nil {
			return failed
		}
		busy, failed := goingOn(ctx, c, what.Source)
		if failed != nil {
			return failed
		}
		if busy == "" {
			continue // it ended meanwhile
		}
		fmt.Fprintf(a.Err, "an import of %s goes on (run %s); waiting for its end\n", what.Source, busy)
		if _, err := a.Wait(ctx, c, busy); err != nil {
			return err
		}
	}
}

// goingOn is the run that imports a source now, "" none.
func goingOn(ctx context.Context, c *client.Client, source string) (string, error) {
	var list struct{ Items []tasks.Run }
	if err := c.Get(ctx, "/catalog/runs", url.Values{"state": {string(tasks.Running)}}, &list); err != nil {
		return "", err
	}
	for _, run := range list.Items {
		var what imports.Import
		if json.Unmarshal(run.Params, &what) == nil && what.Source == source {
			return run.ID, nil
		}
	}
	return "", nil
}

// location makes a path absolute: the node may run in another folder.
func location(from string) (string, error) {
	if from == "" || importer.IsURL(from) {
		return from, nil
	}
	path, err := filepath.Abs(from)
	if err != nil {
		return "", cli.Usagef("--from: %w", err)
	}
	return path, nil
}

func printImported(w io.Writer, result json.RawMessage) error {
	var done imports.Imported
	if err := json.Unmarshal(result, &done); err != nil {
		return fmt.Errorf("the result: %w", err)
	}
	if done.Files+done.Skipped+done.Failed == 0 {
		return nil // nothing was found; the error that follows says why
	}
	fmt.Fprintf(w, "%d vendor files read, %d unchanged, %d with errors; %d documents changed\n", done.Files, done.Skipped, done.Failed, done.Changed)
	fmt.Fprintf(w, "the catalog of %s holds %d bulletins, %d updates (%d without a rule), %d packages", done.Source, done.Bulletins, done.Updates, done.NoRule, done.Packages)
	if done.KBs > 0 {
		fmt.Fprintf(w, ", %d KBs, %d pairs of KB and product", done.KBs, done.KBProducts)
	}
	fmt.Fprintf(w, ", %d supersedence edges\n", done.Edges)
	for _, warning := range done.Warnings {
		if warning.Failed {
			fmt.Fprintf(w, "%s in %s", warning.Kind, warning.File)
		} else {
			fmt.Fprintf(w, "%s (%d times), first in %s", warning.Kind, max(done.Counts[warning.Kind], 1), warning.File)
		}
		if warning.Element != "" {
			fmt.Fprintf(w, ", %s", warning.Element)
		}
		fmt.Fprintf(w, ": %s\n", warning.Text)
	}
	return nil
}

func catalogSources(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "sources", Short: "List the sources, or change one with: sources set", Args: cobra.NoArgs,
		Example: "  thatch catalog sources\n  thatch catalog sources set msrc --schedule \"0 4 * * *\" --on",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Items(cmd.Context(), cli.Listing{
				Path:  "/catalog/sources",
				Heads: []string{"SOURCE", "FROM", "SCHEDULE", "ON", "FILES", "LEFT OUT", "LAST RUN", "STATE"},
				Keys:  []string{"source", "from", "schedule", "enabled", "files", "exclude", "last.started", "last.state"},
			})
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the sources", Args: cobra.NoArgs, Example: "  thatch catalog sources list --json", RunE: cmd.RunE,
	}, catalogSourcesSet(a))
	return cmd
}

func catalogSourcesSet(a *cli.App) *cobra.Command {
	var when string
	var from, exclude []string
	var on, off, inherit, own bool
	cmd := &cobra.Command{
		Use: "set SOURCE", Short: "Set where and when a source is imported, and what is left out", Args: cli.Args("SOURCE"),
		Example: "  thatch catalog sources set msrc --schedule \"0 4 * * *\" --on\n  thatch catalog sources set sdp --from https://one.example/catalog.cab --from https://other.example/catalog.cab",
		RunE: func(cmd *cobra.Command, args []string) error {
			change := imports.Change{Exclude: exclude, Inherit: inherit, Own: own}
			for _, one := range from {
				path, err := location(one)
				if err != nil {
					return err
				}
				change.From = append(change.From, path)
			}
			if cmd.Flags().Changed("schedule") {
				change.Schedule = &when
			}
			if on || off {
				change.Enabled = &on
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Put(cmd.Context(), client.Path("catalog", "sources", args[0]), change, nil); err != nil {
				return err
			}
			return a.Done("changed", args[0], "source "+args[0]+" is changed")
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&from, "from", nil, "file, folder or http(s) location; may be repeated")
	flags.BoolVar(&own, "vendor", false, "the vendor's own location")
	flags.StringVar(&when, "schedule", "", "crontab line or @daily; \"\": by hand alone")
	flags.StringSliceVar(&exclude, "exclude", nil, "product families to leave out")
	flags.BoolVar(&inherit, "inherit-exclude", false, "leave out what the setting catalog.excluded_families says")
	flags.BoolVar(&on, "on", false, "follow the schedule")
	flags.BoolVar(&off, "off", false, "do not follow the schedule")
	cmd.MarkFlagsMutuallyExclusive("on", "off")
	cmd.MarkFlagsMutuallyExclusive("from", "vendor")
	cmd.MarkFlagsMutuallyExclusive("exclude", "inherit-exclude")
	return cmd
}

func catalogRuns(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "runs", Short: "List imports, newest first",
		Long:    "Columns to filter and sort by: id, task, kind, state, actor, started, ended.",
		Example: "  thatch catalog runs\n  thatch catalog runs --filter state=failed",
		Path:    "/catalog/runs",
		Heads:   []string{"RUN", "TASK", "STATE", "STARTED", "ENDED", "READ", "CHANGED", "ERROR"},
		Keys:    []string{"id", "task", "state", "started", "ended", "result.documents", "result.changed", "error"},
	})
}
