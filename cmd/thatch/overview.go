package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/node/computers/delivery"
)

func overviewCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "overview", Short: "How the site stands, and what calls for a person", Args: cobra.NoArgs,
		Example: "  thatch overview\n  thatch overview --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.Show(cmd.Context(), "/overview") },
	}
}

func deliveryCommand(a *cli.App) *cobra.Command {
	days, day := 30, ""
	cmd := &cobra.Command{
		Use: "delivery", Short: "Attempts to install updates, day by day (Software Update Delivery Summary)", Args: cobra.NoArgs,
		Example: "  thatch delivery\n  thatch delivery --days 90 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ShowAs(cmd.Context(), "/delivery?"+deliveryQuery(days, day), func(w io.Writer, raw json.RawMessage) error {
				var s delivery.Summary
				if err := json.Unmarshal(raw, &s); err != nil {
					return err
				}
				return printDelivery(w, s)
			})
		},
	}
	cmd.Flags().IntVar(&days, "days", days, "how many days up to now, or to the end of --as-of")
	cmd.Flags().StringVar(&day, cli.AsOf, "", cli.AsOfText)
	cmd.AddCommand(deliveryLists(a)...)
	return cmd
}

func deliveryQuery(days int, day string) string {
	query := url.Values{"days": {strconv.Itoa(days)}}
	if day != "" {
		query.Set("as_of", day)
	}
	return query.Encode()
}

// printDelivery writes the days on which something was tried, and the sum.
func printDelivery(w io.Writer, s delivery.Summary) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(day string, c delivery.Counts) {
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\n", day, c.Executed, c.Succeeded, c.Failed, c.Remained)
	}
	fmt.Fprintln(out, "DAY\tEXECUTED\tSUCCEEDED\tFAILED\tSTILL MISSING")
	for _, day := range s.Days {
		if day.Executed > 0 {
			line(day.Day, day.Counts)
		}
	}
	line("all", s.Counts)
	return out.Flush()
}
