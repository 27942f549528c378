// Package replicate holds the commands that replicate and verify now, and show what happened.
package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication/offline"
	"thatch/replication/round"
	"thatch/replication/wire"
)

// Commands are those of replication beside its rules.
func Commands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		runCommand(a), verifyCommand(a), digestCommand(a),
		a.List(cli.Listing{
			Use: "runs", Short: "What went over the links with parent and children, newest first",
			Long:    "Columns to filter and sort by: neighbour, direction, type, mode, state, started, ended.",
			Example: "  thatch replication runs\n  thatch replication runs --filter state=failed --json",
			Path:    "/replication/runs", Heads: []string{"STARTED", "SITE", "DIRECTION", "TYPE", "MODE", "STATE", "DOCUMENTS", "BYTES", "SECONDS", "VERIFIED", "REPAIRED", "REFUSED", "ERROR"},
			Keys: []string{"started", "site", "direction", "type", "mode", "state", "documents", "bytes", "seconds", "verified", "repaired", "refused", "error"},
		}),
		quarantineCommand(a),
	}
}

// flags are what rounds are asked with.
type flags struct {
	round.Params
	types  []string
	detach bool
}

func (f *flags) bind(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.Child, "child", "", "at a parent: name or id of the child that is asked")
	set.BoolVar(&f.Children, "children", false, "at a parent: ask all children, one after the other")
	set.StringSliceVar(&f.types, "type", nil, "languages, data, settings, policies, or (verified only) health; none: all that rules send, and what goes up")
	set.BoolVar(&f.detach, "detach", false, "do not wait for the end; thatch tasks history shows it")
}

func (f *flags) params() round.Params {
	p := f.Params
	for _, t := range f.types {
		p.Types = append(p.Types, dataset.Type(t))
	}
	return p
}

func runCommand(a *cli.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: "run", Short: "Replicate now, whatever the schedules say", Args: cobra.NoArgs,
		Long: "Bring this site up to date with its parent, or have children do so. A complete run compares everything and removes what\n" +
			"the parent does not name any more; a differential one takes what is new.",
		Example: "  thatch replication run\n  thatch replication run --child Berlin --type data --complete",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Start(cmd.Context(), "/replication/rounds", f.params(), f.detach, printRuns)
		},
	}
	f.bind(cmd)
	cmd.Flags().BoolVar(&f.Complete, "complete", false, "compare everything")
	cmd.Flags().IntVar(&f.Verify, "verify", 0, "percent that is verified afterwards")
	return cmd
}

func verifyCommand(a *cli.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare what this site and its parent, or its children, really hold", Args: cobra.NoArgs,
		Long: "Every rule is brought up to date first. Then both sides hash what they hold, bodies too, and compare: what came down to\n" +
			"the child, and what it sent up. At 100 percent there is one digest for all that came down. What differs is listed, and\n" +
			"mended with --repair. The exit code is 0 only when everything was equal and nothing had to be mended, 1 otherwise.",
		Example: "  thatch replication verify\n  thatch replication verify --child Berlin --percent 25 --repair --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Verify < 1 || f.Verify > 100 {
				return cli.Usagef("--percent %d: want 1 to 100", f.Verify)
			}
			if f.detach {
				return a.Start(cmd.Context(), "/replication/rounds", f.params(), true, nil)
			}
			return verify(cmd.Context(), a, f.params())
		},
	}
	f.bind(cmd)
	cmd.Flags().IntVar(&f.Verify, "percent", 100, "percent of the buckets that are compared; they are taken in turn")
	cmd.Flags().BoolVar(&f.Repair, "repair", false, "mend what differs")
	return cmd
}

// verify has a round made and judges its result.
func verify(ctx context.Context, a *cli.App, p round.Params) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var started cli.Started
	if err := c.Post(ctx, "/replication/rounds", p, &started); err != nil {
		return err
	}
	run, err := a.Wait(ctx, c, started.Run)
	if err != nil {
		return err
	}
	var result round.Result
	if len(run.Result) > 0 {
		if err := json.Unmarshal(run.Result, &result); err != nil {
			return fmt.Errorf("result of the round: %w", err)
		}
		if err := a.Print(run.Result, func(w io.Writer) error { return printVerified(w, result) }); err != nil {
			return err
		}
	}
	switch {
	case run.State != tasks.Done:
		return fmt.Errorf("%s %s: %s", run.Task, run.State, run.Error)
	case !result.Equal:
		return errors.New("not everything was equal; thatch replication runs --json has what was found")
	}
	return nil
}

func printRuns(w io.Writer, raw json.RawMessage) error {
	var result round.Result
	if err := json.Unmarshal(raw, &result); err != nil {
		return fmt.Errorf("result of the round: %w", err)
	}
	rows := [][]string{}
	for _, link := range result.Links {
		for _, r := range link.Runs {
			mode := "differential"
			if r.Complete {
				mode = "complete"
			}
			rows = append(rows, []string{
				link.Site, string(r.Type), mode, cli.Text(r.Documents), cli.Text(r.Removed), cli.Text(r.Bytes),
				fmt.Sprintf("%.2f s", r.Seconds), cli.Text(r.RefusedCount()),
			})
		}
	}
	if err := cli.Table(w, []string{"SITE", "TYPE", "MODE", "DOCUMENTS", "REMOVED", "BYTES", "TOOK", "REFUSED"}, rows); err != nil {
		return err
	}
	return printOutside(w, result)
}

// printOutside says which runs went on although the link's windows were closed, and how many links are not named.
func printOutside(w io.Writer, result round.Result) error {
	if result.MoreLinks > 0 {
		if _, err := fmt.Fprintf(w, "and %d more sites\n", result.MoreLinks); err != nil {
			return err
		}
	}
	for _, link := range result.Links {
		for _, r := range link.Runs {
			if r.OutsideWindow {
				if _, err := fmt.Fprintf(w, "%s: %s went over the link outside its windows, because a person asked for it\n", link.Site, r.Type); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func printVerified(w io.Writer, result round.Result) error {
	rows := [][]string{}
	for _, link := range result.Links {
		for i, r := range slices.Concat(link.Runs, link.Up) {
			direction := dataset.Down
			if i >= len(link.Runs) {
				direction = dataset.Up
			}
			if v := r.Verified; v != nil {
				rows = append(rows, []string{
					link.Site, string(direction), string(v.Type), cli.Text(v.Buckets), cli.Text(v.Compared), cli.Text(v.Different), cli.Text(v.Repaired),
					cli.Text(v.Quarantined), cli.Text(v.Equal), short(v.DigestHere), short(v.DigestThere),
				})
			}
		}
	}
	err := cli.Table(w, []string{"SITE", "DIRECTION", "TYPE", "BUCKETS", "COMPARED", "DIFFERENT", "REPAIRED", "QUARANTINED", "EQUAL", "HERE", "THERE"}, rows)
	if err != nil {
		return err
	}
	for _, link := range result.Links {
		for _, r := range slices.Concat(link.Runs, link.Up) {
			if r.Verified == nil {
				continue
			}
			lines := r.Verified.Lines
			if more := r.More[wire.ListLines]; more > 0 {
				lines = append(slices.Clone(lines), fmt.Sprintf("and %d more", more))
			}
			for _, line := range lines {
				if _, err := fmt.Fprintf(w, "%s: %s\n", link.Site, line); err != nil {
					return err
				}
			}
		}
	}
	if err := printOutside(w, result); err != nil {
		return err
	}
	if result.DigestHere != "" {
		_, err = fmt.Fprintf(w, "digest here  %s\ndigest there %s\n", result.DigestHere, result.DigestThere)
	}
	return err
}

func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}

func digestCommand(a *cli.App) *cobra.Command {
	var child string
	var parent bool
	cmd := &cobra.Command{
		Use: "digest", Short: "Compute from a site's file alone the digests that verification compares", Args: cobra.NoArgs,
		Long: "Read the database in the data folder, whether or not its node runs, and print one digest for each type of documents.\n" +
			"At the parent, --child names the child whose documents are meant; at a child, --parent means what came from above, and\n" +
			"what goes up. Equal digests mean equal documents; the last one is over all that goes down. The exit code is 1 when documents are damaged or in quarantine.",
		Example: "  thatch replication digest --data ./top --child Berlin\n  thatch replication digest --data ./berlin --parent --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (child == "") == !parent {
				return cli.Usagef("say either --child NAME, at a parent, or --parent, at a child")
			}
			read := func() (offline.Digest, error) { return offline.Parent(cmd.Context(), a.Node.Dir) }
			if child != "" {
				read = func() (offline.Digest, error) { return offline.Child(cmd.Context(), a.Node.Dir, child) }
			}
			d, err := read()
			if err != nil {
				return err
			}
			if err := a.Print(d, func(w io.Writer) error { return printDigest(w, d) }); err != nil {
				return err
			}
			if d.Damaged+d.Quarantine > 0 {
				return fmt.Errorf("%d documents are damaged, %d are in quarantine", d.Damaged, d.Quarantine)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&child, "child", "", "name or id of a child, at its parent")
	cmd.Flags().BoolVar(&parent, "parent", false, "what came from above and what goes up, at a child")
	return cmd
}

func printDigest(w io.Writer, d offline.Digest) error {
	rows := make([][]string, 0, len(d.Types))
	for i, t := range slices.Concat(d.Types, d.Up) {
		direction := dataset.Down
		if i >= len(d.Types) {
			direction = dataset.Up
		}
		rows = append(rows, []string{string(t.Type), string(direction), cli.Text(t.Documents), cli.Text(t.Bytes), cli.Text(len(t.Quarantine)), cli.Text(len(t.Damaged)), t.Digest})
	}
	if err := cli.Table(w, []string{"TYPE", "DIRECTION", "DOCUMENTS", "BYTES", "QUARANTINE", "DAMAGED", "DIGEST"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s and %s, languages %s: %s\n", d.Site, d.Neighbour, strings.Join(d.Languages, ","), d.Digest)
	return err
}

func quarantineCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "quarantine", Short: "Documents that could not be accepted", Args: cobra.NoArgs,
		Long:    "A document that is damaged, wrongly signed or refused is set aside; what was held before stays in force.",
		Example: "  thatch replication quarantine list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List documents in quarantine", Long: "Columns to filter and sort by: kind, id, type, neighbour, direction, reason, detail, origin.",
		Example: "  thatch replication quarantine list --filter reason=\"bad signature\"",
		Path:    "/replication/quarantine", Heads: []string{"KIND", "ID", "REASON", "DETAIL", "SINCE"}, Keys: []string{"kind", "id", "reason", "detail", "since"},
	}), &cobra.Command{
		Use: "retry", Short: "Try them again with the next run", Args: cobra.NoArgs,
		Example: "  thatch replication quarantine retry",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Post(cmd.Context(), "/replication/quarantine/retry", struct{}{}, nil); err != nil {
				return err
			}
			return a.Done("tried_again", "with the next run", "they are tried again with the next run: thatch replication run")
		},
	})
	return cmd
}
