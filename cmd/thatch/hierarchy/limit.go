package hierarchy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	routes "thatch/console/api/hierarchy"
	"thatch/node/sites"
	"thatch/schedule"
)

func limitCommand(a *cli.App) *cobra.Command {
	var windows []string
	var rate string
	cmd := &cobra.Command{
		Use: "limit CHILD", Short: "Limit when and how fast a child's link is used", Args: cli.Args("CHILD"),
		Long: "Limit a link. --window [WEEKDAYS] HH:MM+DURATION [ZONE] may be repeated: the link is used within these windows alone;\n" +
			"--window always takes them away. --rate is in bytes per second, with k or M behind for thousands or millions; 0 takes\n" +
			"the limit away. What calls for no delay, such as switching a policy off, is told outside windows too.",
		Example: "  thatch children limit Berlin --rate 500k --window \"20:00+10h Europe/Berlin\" --window \"saturday,sunday 00:00+24h\"\n" +
			"  thatch children limit Berlin --rate 0 --window always",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var child sites.Child
			if err := c.Get(cmd.Context(), client.Path("children", args[0]), nil, &child); err != nil {
				return err
			}
			limits := child.Limits
			if cmd.Flags().Changed("rate") {
				if limits.Rate, err = parseRate(rate); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("window") {
				if limits.Windows, err = parseWindows(windows); err != nil {
					return err
				}
			}
			return putChild(cmd, a, child.ID, routes.ChildChange{Limits: &limits, Version: &child.Version})
		},
	}
	cmd.Flags().StringArrayVar(&windows, "window", nil, "[WEEKDAYS] HH:MM+DURATION [ZONE], or always")
	cmd.Flags().StringVar(&rate, "rate", "", "bytes per second, such as 500k or 2M; 0: no limit")
	cmd.MarkFlagsOneRequired("window", "rate")
	return cmd
}

func parseRate(text string) (int64, error) {
	unit := int64(1)
	plain := text
	for suffix, by := range map[string]int64{"k": 1000, "M": 1000 * 1000} {
		if cut, ok := strings.CutSuffix(text, suffix); ok {
			plain, unit = cut, by
		}
	}
	n, err := strconv.ParseInt(plain, 10, 40)
	if err != nil || n < 0 {
		return 0, cli.Usagef("--rate %q: want bytes per second, such as 500k or 2M", text)
	}
	return n * unit, nil
}

func parseWindows(texts []string) (schedule.Windows, error) {
	if slices.Equal(texts, []string{"always"}) {
		return nil, nil
	}
	var list schedule.Windows
	for _, text := range texts {
		w, err := schedule.ParseWindow(text)
		if err != nil {
			return nil, cli.Usagef("--window %w", err)
		}
		list = append(list, w)
	}
	return list, nil
}
