package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"thatch/agent"
	"thatch/agent/facts"
	"thatch/agent/install"
	"thatch/agent/simulated"
	"thatch/catalog/rule"
)

// program is one invocation.
type program struct {
	out, err  io.Writer
	dir       string
	simulated string // file of a simulated computer
	json      bool
	debug     bool
}

func newProgram(out, err io.Writer) *program { return &program{out: out, err: err} }

// defaultDir is the agent's folder where none is named.
func defaultDir() string {
	if dir := os.Getenv("THATCH_AGENT_DIR"); dir != "" {
		return dir
	}
	if runtime.GOOS == "windows" {
		if dir := os.Getenv("ProgramData"); dir != "" {
			return filepath.Join(dir, "Thatch Agent")
		}
		return `C:\ProgramData\Thatch Agent`
	}
	return "/var/lib/thatch-agent"
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "thatch-agent",
		Short: "Keep this computer patched as its site orders",
		Long: "Thatch-agent learns from its site which updates there are, finds those that this computer lacks, and installs what\n" +
			"was ordered, once it has verified it.\n\n" + exitText,
		Example: "  thatch-agent enrol --node https://node.example:8743 --token tt1-...\n  thatch-agent service install\n  thatch-agent status",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&p.dir, "data", defaultDir(), "folder of the agent (THATCH_AGENT_DIR)")
	flags.StringVar(&p.simulated, "simulated", "", "file with the facts of a made-up computer, instead of this one")
	flags.BoolVar(&p.json, "json", false, "print JSON")
	flags.BoolVar(&p.debug, "debug", false, "log more")
	root.SetFlagErrorFunc(usage)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.AddCommand(p.enrolCommand(), p.runCommand(), p.onceCommand(), p.statusCommand(), p.factsCommand(), p.serviceCommand(), p.versionCommand())
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

func (p *program) logger(out io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if p.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
}

// computer is the one that the agent looks after.
func (p *program) computer() (facts.Source, install.Runner, error) {
	if p.simulated == "" {
		return facts.Local(), install.System{}, nil
	}
	c, err := simulated.Open(p.simulated)
	if err != nil {
		return nil, nil, err
	}
	return c, c, nil
}

func (p *program) open(log io.Writer) (*agent.Agent, error) {
	source, runner, err := p.computer()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, fmt.Errorf("folder of the agent: %w", err)
	}
	return agent.Open(agent.Config{
		Dir: dir, Source: source, Runner: runner, Version: buildVersion(), Simulated: p.simulated != "", Log: p.logger(log),
	})
}

// with opens the agent for one action.
func (p *program) with(do func(*agent.Agent) error) error {
	a, err := p.open(p.err)
	if err != nil {
		return err
	}
	return errors.Join(do(a), a.Close())
}

func (p *program) print(value any, text func(io.Writer) error) error {
	if !p.json {
		return text(p.out)
	}
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

func (p *program) enrolCommand() *cobra.Command {
	var nodes []string
	var token, file string
	var again bool
	cmd := &cobra.Command{
		Use: "enrol", Short: "Make this computer one of a site's", Args: noArguments,
		Long: "Enrol makes a key on this computer and asks a node of the site for a certificate. The token says which site it is:\n" +
			"a node of another one is refused before anything is sent to it.",
		Example: "  thatch-agent enrol --node https://node.example:8743 --token tt1-abc...-0123...",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				raw, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("read the token: %w", err)
				}
				token = strings.TrimSpace(string(raw))
			}
			if len(nodes) == 0 || token == "" {
				return usage(cmd, errors.New("--node and --token (or --token-file) are needed"))
			}
			return p.with(func(a *agent.Agent) error {
				if again {
					if err := a.Forget(); err != nil {
						return err
					}
				}
				if err := a.Enrol(cmd.Context(), nodes, token); err != nil {
					return err
				}
				return p.showStatus()
			})
		},
	}
	cmd.Flags().StringArrayVar(&nodes, "node", nil, "address of a node, may be given several times")
	cmd.Flags().StringVar(&token, "token", "", "enrolment token that the site printed")
	cmd.Flags().StringVar(&file, "token-file", "", "file that holds the token")
	cmd.Flags().BoolVar(&again, "again", false, "forget a former enrolment first")
	return cmd
}

func (p *program) onceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "once", Short: "Make one round: scan, report, install what is ordered", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *agent.Agent) error {
				cycle, err := a.RunOnce(cmd.Context())
				if err != nil {
					return err
				}
				if err := p.showStatus(); err != nil {
					return err
				}
				if cycle.Failed > 0 {
					return fmt.Errorf("%w: %d of %d", errInstall, cycle.Failed, cycle.Failed+cycle.Installed)
				}
				return nil
			})
		},
	}
}

func (p *program) runCommand() *cobra.Command {
	var managed bool
	cmd := &cobra.Command{
		Use: "run", Short: "Make rounds until stopped", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if managed {
				return p.runAsService(cmd.Context())
			}
			return p.run(cmd.Context(), p.err)
		},
	}
	cmd.Flags().BoolVar(&managed, "service", false, "speak with the service manager that started this process")
	return cmd
}

func (p *program) run(ctx context.Context, log io.Writer) error {
	a, err := p.open(log)
	if err != nil {
		return err
	}
	return errors.Join(a.Run(ctx), a.Close())
}

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say what this agent knows and did last", Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return p.showStatus() },
	}
}

func (p *program) showStatus() error {
	status, err := agent.ReadStatus(p.dir)
	if err != nil {
		return err
	}
	return p.print(status, func(w io.Writer) error { return writeStatus(w, status) })
}

func writeStatus(w io.Writer, s agent.Status) error {
	if !s.Enrolled {
		text := "not enrolled"
		if s.Idle {
			text += "; the agent waits for it"
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}
	kind := ""
	if s.Simulated {
		kind = " (simulated)"
	}
	fmt.Fprintf(w, "computer %s%s of site %s\nnode %s, of %s\ncertificate until %s\n", s.Computer, kind, s.Site.Name, s.Node, strings.Join(s.Nodes, ", "), at(s.Certificate))
	fmt.Fprintf(w, "last contact %s, last round %s, next %s\n", at(s.Contact), at(s.Round), at(s.Next))
	switch {
	case s.Idle:
		fmt.Fprintf(w, "idle until this computer is enrolled again: %s\n", s.Error)
	case s.Error != "":
		fmt.Fprintf(w, "the last round failed: %s\n", s.Error)
	}
	fmt.Fprintf(w, "missing %d, superseded %d, installed %d, cannot tell %d\n",
		s.Counts.Missing, s.Counts.Superseded, s.Counts.Installed, s.Counts.Unknown)
	if len(s.Updates) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "UPDATE\tSTATUS\tSTARTS\tLAST APPLIED\tWHY")
	for _, u := range s.Updates {
		why, _, _ := strings.Cut(u.Text, "\n")
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", u.Name, u.Status, at(u.Starts), at(u.LastApplied), why)
	}
	return table.Flush()
}

func at(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// known is what the command facts prints.
type known struct {
	Machine   facts.Machine  `json:"machine"`
	System    *rule.System   `json:"system"`
	Hotfixes  *rule.Hotfixes `json:"hotfixes,omitempty"`
	Simulated bool           `json:"simulated,omitempty"`
}

func (p *program) factsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "facts", Short: "Print what is known of this computer", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, _, err := p.computer()
			if err != nil {
				return err
			}
			machine, err := source.Machine(cmd.Context())
			if err != nil {
				return err
			}
			read, err := source.Read(cmd.Context())
			if err != nil {
				return err
			}
			k := known{machine, read.System, read.Hotfixes, read.Simulated}
			return p.print(k, func(w io.Writer) error { return writeFacts(w, k) })
		},
	}
}

func writeFacts(w io.Writer, k known) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	m := k.Machine
	line("name", m.Name)
	line("domain", m.Domain)
	line("machine id", m.ID)
	line("hardware", strings.TrimSpace(m.Manufacturer+" "+m.Model+" "+m.Serial))
	line("addresses", strings.Join(m.Addresses, ", "))
	line("time zone", m.TimeZone)
	if s := k.System; s != nil {
		numbers := fmt.Sprintf("%d.%d.%d", s.Major, s.Minor, s.Build)
		if s.Revision >= 0 {
			numbers += fmt.Sprintf(".%d", s.Revision)
		}
		line("system", fmt.Sprintf("%s (%s)", s.Name, numbers))
		line("product", s.Product)
		line("architecture", s.Architecture)
		line("languages", strings.Join(s.Languages, ", "))
		line("installation", s.InstallationType)
	}
	if k.Hotfixes != nil {
		line("hotfixes", strings.Join(k.Hotfixes.KBs, ", "))
	}
	if k.Simulated {
		line("simulated", "yes")
	}
	return table.Flush()
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": buildVersion(), "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH}
			return p.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "thatch-agent %s (%s, %s)\n", v["version"], v["go"], v["system"])
				return err
			})
		},
	}
}
