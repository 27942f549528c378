package backups

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/node/backup"
	"thatch/node/recovery"
)

func restore(a *cli.App) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a whole site anew from a backup, as one node in an empty folder", Args: cli.Args("FILE"),
		Long: "Make the site of a backup anew in the folder --data, which is empty or not there, as its only node. No other node of the\n" +
			"site may run any more: a lost node of a living site is joined, never restored. A new epoch begins: children and the parent\n" +
			"compare everything with it, agents go on with their certificates, other nodes join anew. Cut wherever it is, there is\n" +
			"nothing, or all; run it again. The recovery key is asked for where it is not given.",
		Example: "  thatch restore /mnt/backups/thatch-berlin-0f3a9c12-20260301T024100Z-18231.tar.zst --data ./site\n" +
			"  thatch restore backup.tar.zst --data ./site --recovery-key @key.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := backup.Look(args[0]) // before anybody types forty characters
			if err != nil {
				return err
			}
			opens, err := askKey(a, key, f.Manifest.Recovery != "")
			if err != nil {
				return err
			}
			c := recovery.Config{Dir: a.Node.Dir, Key: opens, Log: logOf(a), Progress: drawn(a)}
			r, err := recovery.Restore(cmd.Context(), args[0], c)
			if err != nil {
				return err
			}
			return a.Print(r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Site %s is back in %s as of %s, with one node (%s), in a new epoch.\n", r.Site, r.Dir, f.Manifest.Made.Format(time.RFC3339), r.Node)
				if err == nil {
					err = nextSteps(w, &f.Manifest, r)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&key, "recovery-key", "", "as it was written down, or @FILE (default: it is asked for)")
	return cmd
}

func nextSteps(w io.Writer, m *backup.Manifest, r recovery.Result) error {
	start := "thatch node run --data " + r.Dir + " --listen " + m.Settings.Listen
	if len(m.Settings.Names) > 0 {
		start += " --names " + strings.Join(m.Settings.Names, ",")
	}
	_, err := fmt.Fprintf(w, "Next:\n  1. See to it that no former node of the site ever starts again.\n"+
		"  2. Start it, under a name or address that agents and children know: %s\n"+
		"  3. Look over what was changed since the backup: operators, tokens, policies, retired computers (thatch audit).\n"+
		"  4. Have other nodes join it (thatch node token), and make a backup (thatch backup).\n", start)
	return err
}

// Recover is thatch node recover.
func Recover(a *cli.App) *cobra.Command {
	var key string
	var yes bool
	cmd := &cobra.Command{
		Use: "recover", Short: "Make a site of one node of the node that is left, when the others are lost for good", Args: cobra.NoArgs,
		Long: "For when most nodes of a site are lost, or when the log of its last one is damaged. The node must not run. What its database\n" +
			"and what can be read of its log hold becomes a site of one node, in a new epoch; writes that only the lost nodes had are\n" +
			"gone. The other nodes are shut out: they must never start again, and join anew from empty folders. Where a majority still\n" +
			"lives, or one of the lost nodes can be brought back, do not use this.",
		Example: "  thatch node recover --data ./site\n  thatch node recover --data ./site --yes --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			opens, err := askKey(a, key, false)
			if err != nil {
				return err
			}
			if !yes {
				if err := warned(a); err != nil {
					return err
				}
			}
			r, err := recovery.Recover(cmd.Context(), recovery.Config{Dir: a.Node.Dir, Key: opens, Log: logOf(a)})
			if err != nil {
				return err
			}
			return a.Print(r, func(w io.Writer) error { return showRecovered(w, r) })
		},
	}
	cmd.Flags().StringVar(&key, "recovery-key", "", "where the node's own key is lost: as it was written down, or @FILE")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// warned says what is about to happen and waits for a yes.
func warned(a *cli.App) error {
	fmt.Fprintf(a.Err, "WARNING: this makes a site of one node of %s, for good.\n"+
		"  - What only the other nodes had written is lost.\n"+
		"  - The other nodes are shut out. If one of them starts again, there are two sites that believe to be one.\n"+
		"  - Where most nodes of the site still run, or can be brought back, stop here.\n"+
		"Type yes to go on: ", a.Node.Dir)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		if err != nil {
			return cli.Usagef("nobody said yes: give --yes")
		}
		return cli.Usagef("nothing was done")
	}
	return nil
}

func showRecovered(w io.Writer, r recovery.Result) error {
	fmt.Fprintf(w, "Site %s goes on in %s with one node (%s) from index %d, in a new epoch; %d other nodes are out.\n", r.Site, r.Dir, r.Node, r.Index, r.Nodes)
	if r.Applied > 0 {
		fmt.Fprintf(w, "%d batches were in the log alone, and are in the database now.\n", r.Applied)
	}
	if r.Lost != "" {
		fmt.Fprintf(w, "What could not be read of the former log: %s\n", r.Lost)
	}
	if r.Former != "" {
		fmt.Fprintf(w, "The former log lies in %s; nothing needs it any more.\n", r.Former)
	}
	_, err := fmt.Fprintln(w, "Start the node (thatch node run), have others join it from empty folders (thatch node token), and make a backup (thatch backup).")
	return err
}

func logOf(a *cli.App) *slog.Logger {
	if a.JSON {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// ChangeKey is thatch node change-key.
func ChangeKey(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "change-key", Short: "Give the node another key to which the site's private keys are sealed", Args: cobra.NoArgs,
		Long:    "For when its data folder, or a copy of it, was where others could read it. The node goes on meanwhile; a copy of the folder from\nbefore opens the site's keys only with a copy of the database from before.",
		Example: "  thatch node change-key --data ./site",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Post(cmd.Context(), "/site/node-key", nil, nil); err != nil {
				return err
			}
			return a.Done("changed", "node-key", "The node has another key; the site's keys are sealed to it.")
		},
	}
}
