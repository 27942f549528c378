package load

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"thatch/agentapi"
	"thatch/cmd/internal/cli"
)

// Command is thatch load.
func Command(a *cli.App) *cobra.Command {
	c := Config{Agents: 1000, Connections: 64, Calls: 20, For: 10 * time.Second}
	var token string
	cmd := &cobra.Command{
		Use: "load", Short: "Make many agents talk to a site, and measure how it stands it", Args: cobra.NoArgs,
		Long: "Enrols as many simulated computers as --agents says (named load-000000 and on), has each report once wholly, then has\n" +
			"them check in with nothing new, then report changes, and prints how many calls a second were answered and how long they\n" +
			"took. Each connection belongs to one agent, is made with its certificate, and is closed after --calls calls. Do this to a\n" +
			"site for tests: the computers stay there, simulated, until they are retired. Fails when a call failed; calls that were told to come\n" +
			"again later are counted, and obey.",
		Example: "  thatch load --node https://node-1:8743 --enrol tt1-... --agents 5000\n" +
			"  thatch load --node https://node-1:8743 --node https://node-2:8743 --enrol tt1-... --agents 50000 --connections 256 --for 1m --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Token, err = agentapi.ParseToken(token); err != nil {
				return cli.Usagef("--enrol: %w: make one with: thatch tokens create --name load --limit %d", err, c.Agents)
			}
			if err := c.Check(); err != nil {
				return cli.Usage(err)
			}
			c.Progress = func(phase string, done, of int) { fmt.Fprintf(a.Err, "%s: %d of %d\n", phase, done, of) }
			phases, failed := Run(cmd.Context(), c)
			if err := a.Print(phases, func(w io.Writer) error { return table(w, phases) }); err != nil {
				return err
			}
			return verdictOf(phases, failed)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&c.Nodes, "node", nil, "https://HOST:PORT of a node; may be given several times")
	flags.StringVar(&token, "enrol", "", "enrolment token with enough uses")
	flags.IntVar(&c.Agents, "agents", c.Agents, "how many")
	flags.IntVar(&c.Connections, "connections", c.Connections, "at a time")
	flags.IntVar(&c.Calls, "calls", c.Calls, "over one connection before it is closed; 1: a handshake for each")
	flags.DurationVar(&c.For, "for", c.For, "how long check-ins, and then reports, go on")
	flags.Float64Var(&c.Rate, "rate", 0, "calls a second at most; 0: as many as are answered")
	flags.Uint64Var(&c.Seed, "seed", 1, "of what the computers lack")
	return cmd
}

// verdictOf is the error of the command: calls that failed count, although the run went on.
func verdictOf(phases []Phase, failed error) error {
	if failed != nil {
		return failed
	}
	for _, p := range phases {
		if p.Failed > 0 {
			return fmt.Errorf("%s: %d calls failed, the first: %s", p.Name, p.Failed, p.Error)
		}
	}
	return nil
}

func table(w io.Writer, phases []Phase) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "CALLS\tSECONDS\tPER SECOND\tP50 MS\tP99 MS\tLONGEST MS\tREFUSED\tFAILED\t  WHAT")
	for _, p := range phases {
		fmt.Fprintf(t, "%d\t%.1f\t%.0f\t%.1f\t%.1f\t%.0f\t%d\t%d\t  %s\n", p.Calls, p.Seconds, p.Rate, p.P50, p.P99, p.Longest, p.Refused, p.Failed, p.Name)
	}
	return t.Flush()
}
