package nodes

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	routes "thatch/console/api/nodes"
)

func gossipCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "gossip-keys", Short: "The keys with which nodes encrypt what they tell each other of who lives: list, rotate", Args: cobra.NoArgs,
		Long: "Nodes tell each other which of them live, over UDP at the number of their one port. They encrypt that with a key that the site\n" +
			"changes every thirty days, and whenever a node was removed. Nothing that anybody may do hangs on it.",
		Example: "  thatch site gossip-keys list\n  thatch site gossip-keys rotate",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List the keys there are, without the keys themselves",
		Long:    "Columns to filter and sort by: made, number, state, used. A site of one node has none.",
		Example: "  thatch site gossip-keys list",
		Path:    "/site/gossip-keys", Heads: []string{"NUMBER", "STATE", "MADE", "USED SINCE"}, Keys: []string{"number", "state", "made", "used"},
	}), &cobra.Command{
		Use: "rotate", Short: "Have the site change the key", Args: cobra.NoArgs,
		Long: "The site makes another key and gives it to every node. Nodes use it when all that live hold it, and forget the former one\n" +
			"when all use it: they go on understanding each other.",
		Example: "  thatch site gossip-keys rotate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var made routes.GossipKey
			if err := c.Post(cmd.Context(), "/site/gossip-keys", nil, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "key %d is on its way to the nodes\n", made.Number)
				return err
			})
		},
	})
	return cmd
}
