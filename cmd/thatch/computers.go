package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api"
	"thatch/console/api/client"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

func computersCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "computers", Short: "Computers: list, show, why an update stands there as it does, scan or patch now, move to a group, retire", Args: cobra.NoArgs,
		Example: "  thatch computers list --filter 'missing=>0' --sort -critical",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := a.List(cli.Listing{
		Use: "list", Short: "List computers, with what they miss", Path: "/computers",
		Long: "Columns to filter and sort by: " + cli.Columns(store.ColumnNames(report.OfComputers)),
		Example: "  thatch computers list --filter group=berlin --sort -missing\n" +
			"  thatch computers list --filter doubt=yes\n  thatch computers list --with-retired",
		Heads: []string{"COMPUTER", "GROUP", "PRODUCT", "LANGUAGES", "MISSING", "SUPERSEDED", "CRITICAL", "EXPLOITED", "UNKNOWN", "PENDING", "FAILED", "PERCENT", "LAST SEEN", "NODE", "SIMULATED", "ID"},
		Keys:  []string{"computer", "group", "product", "languages", "missing", "superseded", "critical", "exploited", "unknown", "pending", "failed", "percent", "last_seen", "node", "simulated", "id"},
		Flags: map[string]string{"all": "superseded updates count as missing too", "with-retired": "list retired computers too"},
	})
	yes(list, "all", "with-retired")
	updates := a.List(cli.Listing{
		Use: "updates COMPUTER", Short: "List the status of updates on a computer", Path: "/computers", Args: []string{"COMPUTER"}, After: "/updates",
		Long:    "Columns to filter and sort by: " + cli.Columns(compliance.StatusColumns),
		Example: "  thatch computers updates pc-17 --filter status=failed*",
		Heads:   []string{"STATUS", "BULLETIN", "UPDATE", "LAST APPLIED", "STARTS", "WHY"},
		Keys:    []string{"status", "bulletin", "update", "last_applied", "starts", "text"},
	})
	cmd.AddCommand(list, computerGroups(a), computersShow(a), computersWhy(a), updates, computersMove(a), computersRetire(a))
	cmd.AddCommand(promptCommands(a)...)
	return cmd
}

// yes lets flags of a listing that say yes stand without a value.
func yes(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.Flags().Lookup(name).NoOptDefVal = "true"
	}
}

func computersShow(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "show COMPUTER", Short: "Show a computer: facts, the status of updates and why, attempts", Args: cli.Args("COMPUTER"),
		Long:    "COMPUTER is an id, or a name that one computer alone bears.",
		Example: "  thatch computers show pc-17",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ShowAs(cmd.Context(), client.Path("computers", args[0]), printComputer)
		},
	}
}

// printComputer shows the plain fields first, then tables.
func printComputer(w io.Writer, raw json.RawMessage) error {
	var apart compliance.Detail
	err := cli.Plain(w, raw, func(d *compliance.Detail) {
		apart.Updates, apart.Attempts = d.Updates, d.Attempts
		d.Updates, d.Attempts = nil, nil
	})
	if err != nil {
		return err
	}
	updates, attempts := apart.Updates, apart.Attempts
	rows := make([][]string, 0, len(updates))
	for _, u := range updates {
		rows = append(rows, []string{string(u.Status), u.Bulletin, u.Update, shortTime(u.LastApplied), yesNo(u.Ordered), u.Text})
	}
	fmt.Fprintf(w, "\nupdates: %d\n", len(updates))
	if len(rows) > 0 {
		if err := cli.Table(w, []string{"STATUS", "BULLETIN", "UPDATE", "LAST APPLIED", "ORDERED", "WHY"}, rows); err != nil {
			return err
		}
	}
	rows = rows[:0]
	for _, t := range attempts {
		rows = append(rows, []string{t.Started.Local().Format("2006-01-02 15:04"), t.Update, yesNo(t.Success), fmt.Sprint(t.Code), t.Text})
	}
	fmt.Fprintf(w, "\nattempts: %d\n", len(attempts))
	if len(rows) == 0 {
		return nil
	}
	return cli.Table(w, []string{"STARTED", "UPDATE", "SUCCEEDED", "CODE", "TEXT"}, rows)
}

func shortTime(text string) string { return cli.Text(text) }

func yesNo(b bool) string { return cli.Text(b) }

func computersMove(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "move COMPUTER GROUP", Short: "Move a computer to a group", Args: cli.Args("COMPUTER", "GROUP"),
		Example: "  thatch computers move pc-17 berlin",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Put(cmd.Context(), client.Path("computers", args[0]), api.ComputerChange{Group: args[1]}, nil); err != nil {
				return err
			}
			return done(a, "moved", args[0])
		},
	}
}

// done says that something was done.
func done(a *cli.App, word, name string) error {
	return a.Print(map[string]string{word: name}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, word)
		return err
	})
}

func computersRetire(a *cli.App) *cobra.Command {
	var version int64
	cmd := &cobra.Command{
		Use: "retire COMPUTER", Short: "Take a computer out of the site", Args: cli.Args("COMPUTER"),
		Long: "Take a computer out of the site: its certificates are revoked at once, its row stays, and it is never counted. To come\n" +
			"back, its agent enrols with a token.",
		Example: "  thatch computers retire pc-17",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Post(cmd.Context(), client.Path("computers", args[0], "retire"), api.Seen{Version: version}, nil); err != nil {
				return err
			}
			return done(a, "retired", args[0])
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "only if the computer still has this version")
	return cmd
}
