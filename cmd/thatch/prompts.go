package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/prompts"
)

// wanted are the flags that say which computers are meant, beside names.
type wanted struct {
	group string
	all   bool
}

func (w *wanted) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.group, "group", "", "the computers of a group")
	cmd.Flags().BoolVar(&w.all, "all", false, "all computers of the site, as far as you may act on them")
}

func (w *wanted) of(names []string) (prompts.Wanted, error) {
	if len(names) == 0 && w.group == "" && !w.all {
		return prompts.Wanted{}, cli.Usagef("say which computers: name some, or give --group NAME or --all")
	}
	return prompts.Wanted{Computers: names, Group: w.group, All: w.all}, nil
}

func computersPrompt(a *cli.App, kind, short, long string) *cobra.Command {
	var which wanted
	var lasts time.Duration
	cmd := &cobra.Command{
		Use: kind + " [COMPUTER...]", Short: short,
		Long: long + "\n\nAgents that wait at a node hear of it at once, the others when they next ask, within minutes. A computer that is\n" +
			"off does it when it comes back, unless that takes longer than --for. An agent of a version that does not know of\n" +
			"this comes at its next check-in, as ever. How far they are: thatch computers prompts.",
		Example: "  thatch computers " + kind + " pc-17 pc-18\n  thatch computers " + kind + " --group berlin --for 2h\n  thatch computers " + kind + " --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := which.of(args)
			switch {
			case err != nil:
				return err
			case lasts < time.Hour || lasts%time.Hour != 0:
				return cli.Usagef("--for %s: want whole hours, such as 24h", cmd.Flag("for").Value)
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer prompts.Asked
			if err := c.Post(cmd.Context(), "/computer-prompts", prompts.Ask{Kind: kind, Wanted: in, Hours: int(lasts / time.Hour)}, &answer); err != nil {
				return err
			}
			return a.Print(answer, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "asked %d, asked before %d, of a version that does not know of it %d\n", answer.Asked, answer.Already, answer.Unaware)
				return err
			})
		},
	}
	which.bind(cmd)
	cmd.Flags().DurationVar(&lasts, "for", 24*time.Hour, "how long it is wanted, in whole hours")
	return cmd
}

func computersCancel(a *cli.App) *cobra.Command {
	var which wanted
	cmd := &cobra.Command{
		Use: "cancel [COMPUTER...]", Short: "Take back what computers were asked and have not done yet",
		Long:    "Take back a scan or cycle that computers were asked for. What an agent has begun it ends.",
		Example: "  thatch computers cancel pc-17\n  thatch computers cancel --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := which.of(args)
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer prompts.Cancelled
			if err := c.Post(cmd.Context(), "/computer-prompts/cancel", in, &answer); err != nil {
				return err
			}
			return a.Print(answer, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "cancelled %d\n", answer.Cancelled)
				return err
			})
		},
	}
	which.bind(cmd)
	return cmd
}

func computersPrompts(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "prompts", Short: "List what computers were asked to do now, and how far they are", Path: "/computer-prompts",
		Long: "The latest prompt of each computer. States: asked, told (its agent is at it), done, failed, expired, cancelled.\n" +
			"Columns to filter and sort by: " + cli.Columns(prompts.Columns),
		Example: "  thatch computers prompts --filter state=asked,told --sort asked",
		Heads:   []string{"COMPUTER", "GROUP", "KIND", "STATE", "ASKED", "BY", "TOLD", "DONE", "EXPIRES", "TEXT", "UNAWARE"},
		Keys:    []string{"computer", "group", "kind", "state", "asked", "by", "told", "done", "expires", "text", "unaware"},
	})
}

func promptCommands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		computersPrompt(a, "scan", "Ask computers to look at themselves and report now",
			"Ask computers to read what they are, judge all updates, and report, now. Nothing is downloaded or installed."),
		computersPrompt(a, "cycle", "Ask computers to scan, download and install now what is ordered and may be",
			"Ask computers to make a whole cycle now: scan, report, download and install what is ordered. Windows, plans and pauses\n"+
				"hold as ever: nothing is installed outside of them."),
		computersCancel(a), computersPrompts(a),
	}
}
