package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/console/api/why"
)

func computersWhy(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "why COMPUTER UPDATE", Short: "Why an update stands on a computer as it does, and when it comes", Args: cli.Args("COMPUTER", "UPDATE"),
		Long: "Rule by rule with the facts that decided, as far as the site was told them; policies, windows, content and attempts.\n" +
			"UPDATE is an id, see thatch computers updates COMPUTER --json.",
		Example: "  thatch computers why pc-17 msrc/KB4487017/11568",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ShowAs(cmd.Context(), client.Path("computers", args[0], "updates", args[1]), printWhy)
		},
	}
}

func printWhy(w io.Writer, raw json.RawMessage) error {
	var answer why.Why
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s on %s: %s", answer.Update.Update, answer.Computer.Computer, answer.Update.Status)
	if answer.Update.Text != "" {
		fmt.Fprintf(out, " (%s)", answer.Update.Text)
	}
	fmt.Fprintf(out, "\nthe computer said: %s", answer.Said.Verdict)
	if answer.Said.Reason != "" {
		fmt.Fprintf(out, ", %s", answer.Said.Reason)
	}
	if !answer.Said.At.IsZero() {
		fmt.Fprintf(out, ", at %s", answer.Said.At.Local().Format("2006-01-02 15:04"))
	}
	out.WriteByte('\n')
	for _, r := range answer.Rules {
		fmt.Fprintf(out, "\nrule %s:\n%s", r.Name, r.Explanation)
		if r.Only {
			out.WriteString("only the computer can tell\n")
		}
	}
	if answer.NoRule != "" {
		fmt.Fprintf(out, "\nthere is no rule: %s\n", answer.NoRule)
	}
	printOthers(out, "\nneeds one of:", answer.Prerequisites...)
	if len(answer.SupersededBy) > 0 {
		printOthers(out, "\nreplaced by:", answer.SupersededBy)
	}
	printOrders(out, &answer)
	_, err := io.WriteString(w, out.String())
	return err
}

func printOthers(out *strings.Builder, title string, groups ...[]why.Other) {
	for _, group := range groups {
		out.WriteString(title)
		for _, o := range group {
			fmt.Fprintf(out, " %s (%s)", o.Update, o.Verdict)
		}
		out.WriteByte('\n')
	}
}

func printOrders(out *strings.Builder, answer *why.Why) {
	at := func(t *time.Time) string { return t.Local().Format("2006-01-02 15:04") }
	for _, p := range answer.Policies {
		fmt.Fprintf(out, "\npolicy %s: ordered here %s", p.Policy, yesNo(p.Ordered))
		for _, reason := range p.Waits {
			fmt.Fprintf(out, ", waits: %s", reason)
		}
		if p.Begins != nil {
			fmt.Fprintf(out, ", may begin %s", at(p.Begins))
		}
		for _, k := range p.Packages {
			fmt.Fprintf(out, "\n  package %s, held %s", k.ID, yesNo(k.Held))
		}
		out.WriteByte('\n')
	}
	if len(answer.Policies) == 0 {
		out.WriteString("\nno policy holds it\n")
	}
	for _, w := range answer.Windows {
		fmt.Fprintf(out, "window %s: %s, open now %s\n", w.Name, w.Text, yesNo(w.IsOpen))
	}
	for _, t := range answer.Attempts {
		fmt.Fprintf(out, "attempt %s: succeeded %s, code %d %s\n", t.Started.Local().Format("2006-01-02 15:04"), yesNo(t.Success), t.Code, t.Text)
	}
	if answer.Next.When != nil {
		fmt.Fprintf(out, "not before %s\n", at(answer.Next.When))
	}
}
