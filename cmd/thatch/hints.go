package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/console/api/hints"
)

// siteHints are the commands about which node the computers of a subnet talk to.
func siteHints(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hints", Short: "Which node the computers of a subnet talk to: list, set, remove", Args: cobra.NoArgs,
		Long: "Agents measure the nodes of their site and talk to one of the quickest. A hint has the computers of a subnet talk to\n" +
			"one node as long as it answers; of several subnets that hold an address the smallest counts.",
		Example: "  thatch site hints set 10.1.0.0/16 berlin-2 --note \"second floor\"\n  thatch site hints list\n  thatch site hints remove 10.1.0.0/16",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var note string
	set := &cobra.Command{
		Use: "set SUBNET NODE", Short: "Have the computers of a subnet talk to a node", Args: cli.Args("SUBNET", "NODE"),
		Long:    "SUBNET is one such as 10.1.0.0/16 or 2001:db8::/32, or one address; NODE is an id or a name. Agents follow within minutes.",
		Example: "  thatch site hints set 10.1.0.0/16 berlin-2",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var row hints.Row
			if err := c.Put(cmd.Context(), "/site/hints", hints.Set{Subnet: args[0], Node: args[1], Note: note}, &row); err != nil {
				return err
			}
			return a.Print(row, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "computers of %s talk to node %s\n", row.Subnet, row.Name)
				return err
			})
		},
	}
	set.Flags().StringVar(&note, "note", "", "what the subnet is")
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List which node the computers of which subnet talk to", Path: "/site/hints",
		Long:    "Columns to filter and sort by: " + cli.Columns(hints.Columns),
		Example: "  thatch site hints list --filter gone=yes",
		Heads:   []string{"SUBNET", "NODE", "ID", "NOTE", "BY", "CHANGED", "GONE"},
		Keys:    []string{"subnet", "name", "node", "note", "by", "changed", "gone"},
	}), set, &cobra.Command{
		Use: "remove SUBNET", Short: "Have the computers of a subnet choose their node again", Args: cli.Args("SUBNET"),
		Example: "  thatch site hints remove 10.1.0.0/16",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Delete(cmd.Context(), client.Path("site", "hints", args[0]), "removed", args[0])
		},
	})
	return cmd
}
