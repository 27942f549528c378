// Package ordering holds the commands of what is ordered: policies and maintenance windows.
package ordering

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"thatch/catalog/policy"
	"thatch/cmd/internal/cli"
	"thatch/console/api"
	"thatch/console/api/client"
	orders "thatch/console/api/policies"
	"thatch/node/policies"
)

// Commands are all of them.
func Commands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{policiesCommand(a), windowsCommand(a)}
}

func policiesCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "policies", Short: "Software update policies: what is ordered, for whom, and when", Args: cobra.NoArgs,
		Example: "  thatch policies create --name February --bulletin KB4487017",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policiesCreate(a), a.List(cli.Listing{
		Use: "list", Short: "List policies and how far they are", Path: "/policies",
		Long:    "Columns to filter and sort by: " + cli.Columns(policies.Columns()),
		Example: "  thatch policies list --filter state=failed",
		Heads:   []string{"POLICY", "SITE", "STATE", "TARGETED", "DONE", "WAITING", "FAILED", "WAITS FOR", "UPDATES", "BULLETINS", "CHANGED", "ID"},
		Keys:    []string{"policy", "site", "state", "targeted", "done", "waiting", "failed", "waits_for", "updates", "bulletins", "changed", "id"},
	}), policiesShow(a), policiesChange(a))
	for _, verb := range []struct{ word, done, short string }{
		{"enable", "enabled", "Switch a policy on"},
		{"disable", "disabled", "Switch a policy off: nothing more is installed by it"},
		{"pause", "paused", "Hold a policy's installs; what is downloaded stays"},
		{"resume", "resumed", "Let a paused policy go on"},
	} {
		cmd.AddCommand(policyVerb(a, verb.word, verb.done, verb.short))
	}
	cmd.AddCommand(append(policyLists(a), policiesRevise(a), policiesDelete(a))...)
	return cmd
}

// targetFlags are the flags that say which computers are meant.
type targetFlags struct {
	everyone                                  bool
	platforms, languages, types, names, spare []string
}

func (f *targetFlags) bind(cmd *cobra.Command, needs bool) {
	flags := cmd.Flags()
	if needs {
		flags.BoolVar(&f.everyone, "everyone", false, "do not ask who needs it: count every computer that the other parts mean")
	}
	flags.StringSliceVar(&f.platforms, "platform", nil, "only computers of this platform: windows, debian")
	flags.StringSliceVar(&f.languages, "language", nil, "only computers that run this language, such as de")
	flags.StringSliceVar(&f.types, "type", nil, "only workstation, server or domaincontroller")
	flags.StringSliceVar(&f.names, "computer", nil, "only computers with such names; * and ? stand for any text and character")
	flags.StringSliceVar(&f.spare, "except", nil, "leave out computers with such names")
}

func (f *targetFlags) given(cmd *cobra.Command) bool {
	for _, name := range []string{"everyone", "platform", "language", "type", "computer", "except"} {
		if flag := cmd.Flag(name); flag != nil && flag.Changed {
			return true
		}
	}
	return false
}

func (f *targetFlags) target(needs bool) *policy.Target {
	return &policy.Target{
		NeedsIt: needs && !f.everyone, Platforms: f.platforms, Languages: f.languages, ProductTypes: f.types, Names: f.names, ExceptNames: f.spare,
	}
}

// planFlags are the flags that say when.
type planFlags struct {
	start, at            string
	spread, simultaneous int
}

func (f *planFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.start, "start", policy.StartASAP, "asap, at (with --at), or agent: the schedule that the site's settings give agents")
	flags.StringVar(&f.at, "at", "", "start at this time: 2026-12-01T22:00 on every computer's own clock, 2026-12-01T22:00:00Z at one moment")
	flags.IntVar(&f.spread, "spread", 0, "lay the starts over this many minutes")
	flags.IntVar(&f.simultaneous, "simultaneous", 0, "at most this many computers install at once; 0 any number")
}

func (f *planFlags) given(cmd *cobra.Command) bool {
	for _, name := range []string{"start", "at", "spread", "simultaneous"} {
		if cmd.Flag(name).Changed {
			return true
		}
	}
	return false
}

func (f *planFlags) plan(cmd *cobra.Command) *policy.Plan {
	start := f.start
	if f.at != "" && !cmd.Flag("start").Changed {
		start = policy.StartAt
	}
	return &policy.Plan{When: start, At: f.at, SpreadMinutes: f.spread, Simultaneous: f.simultaneous}
}

// commandLines reads UPDATE=ARGUMENTS.
func commandLines(list []string) (map[string]string, error) {
	lines := map[string]string{}
	for _, text := range list {
		update, line, ok := strings.Cut(text, "=")
		if !ok || update == "" {
			return nil, cli.Usagef("--command %q: want UPDATE=ARGUMENTS", text)
		}
		lines[update] = line
	}
	return lines, nil
}

func policiesCreate(a *cli.App) *cobra.Command {
	var d policies.Draft
	var target targetFlags
	var plan planFlags
	var commands []string
	var dry bool
	cmd := &cobra.Command{
		Use: "create", Short: "Make a policy of staged bulletins", Args: cobra.NoArgs,
		Long: "Make a policy of one or more staged bulletins. It pins the updates and packages as they are now; a newer revision\n" +
			"reaches computers only by revise. Everything must be there; updates without a package that is neutral or in a\n" +
			"managed language are left out, and named. Without a target it is for the computers that need it.",
		Example: "  thatch policies create --name February --bulletin KB4487017\n" +
			"  thatch policies create --name February --bulletin KB4487017 --language de --dry-run\n" +
			"  thatch policies create --name 'Servers, at night' --bulletin KB4487017,KB4487044 --type server --at 2026-12-01T22:00 --spread 60 --simultaneous 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if d.Commands, err = commandLines(commands); err != nil {
				return err
			}
			d.Target, d.Plan = target.target(true), plan.plan(cmd)
			if dry {
				return previewPolicy(cmd, a, d)
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var made policies.Created
			if err := c.Post(cmd.Context(), "/policies", d, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error { return printCreated(w, "made", made) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.Name, "name", "", "what people call it")
	flags.StringVar(&d.Description, "description", "", "what it is for")
	flags.StringSliceVar(&d.Bulletins, "bulletin", nil, "staged bulletin, by name or id; may be repeated")
	flags.StringSliceVar(&d.Disable, "disable", nil, "update that is not to be installed yet, by name, id or number")
	flags.StringArrayVar(&commands, "command", nil, "UPDATE=ARGUMENTS: arguments that replace those of the update's installers")
	flags.BoolVar(&d.OverrideWindows, "override-windows", false, "installs may start outside maintenance windows")
	flags.IntVar(&d.Attempts, "attempts", 0, "installs tried before an update counts as failed; 0 as the settings say")
	flags.BoolVar(&d.Off, "off", false, "make it, but do not switch it on")
	flags.BoolVar(&d.Local, "local-control", false, "sites below may pause it and switch it off for themselves")
	flags.BoolVar(&dry, "dry-run", false, "make nothing: say which computers it would be for, with which updates and when, and what is not here yet")
	target.bind(cmd, true)
	plan.bind(cmd)
	for _, name := range []string{"name", "bulletin"} {
		_ = cmd.MarkFlagRequired(name) // the flag is there
	}
	return cmd
}

func printCreated(w io.Writer, word string, made policies.Created) error {
	fmt.Fprintf(w, "%s: %s with %d updates (%s)\n", word, made.Name, made.Updates, made.ID)
	if made.Awaits {
		fmt.Fprintln(w, "it stays off until an approver enables it: thatch policies enable")
	}
	if len(made.LeftOut) == 0 {
		return nil
	}
	standings := make([]cli.Standing, len(made.LeftOut))
	for i, left := range made.LeftOut {
		standings[i] = cli.Standing{
			Bulletin: left.Bulletin, Update: left.Update, Product: left.Product, Status: string(left.Status), Text: left.Text,
		}
	}
	fmt.Fprintln(w, "left out:")
	cli.Reasons(w, standings)
	return nil
}

func policiesShow(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "show POLICY", Short: "Show a policy: what it pins, for whom, how far it is, what it waits for", Args: cli.Args("POLICY"),
		Long:    "POLICY is an id, or a name that one policy alone bears.",
		Example: "  thatch policies show February",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ShowAs(cmd.Context(), client.Path("policies", args[0]), printPolicy)
		},
	}
}

// printPolicy shows the plain fields first, then a table of its updates.
func printPolicy(w io.Writer, raw json.RawMessage) error {
	var apart policies.Detail
	err := cli.Plain(w, raw, func(d *policies.Detail) { apart.UpdateList, d.UpdateList = d.UpdateList, nil })
	if err != nil {
		return err
	}
	rows := make([][]string, 0, len(apart.UpdateList))
	for _, u := range apart.UpdateList {
		languages := strings.Join(u.Languages, ", ")
		if languages == "" {
			languages = "neutral"
		}
		rows = append(rows, []string{
			u.Name, u.Product, cli.Text(u.Enabled), languages, cli.Text(u.Held), fmt.Sprint(u.Missing), fmt.Sprint(u.Failed), u.CommandLine, u.Note,
		})
	}
	fmt.Fprintln(w)
	return cli.Table(w, []string{"UPDATE", "PRODUCT", "ENABLED", "LANGUAGES", "HELD", "MISSING", "FAILED", "COMMAND LINE", "NOTE"}, rows)
}

func policiesChange(a *cli.App) *cobra.Command {
	var in orders.PolicyChange
	var target targetFlags
	var plan planFlags
	var commands []string
	var name, description string
	var override, local bool
	var attempts int
	cmd := &cobra.Command{
		Use: "change POLICY", Short: "Change a policy: its name, updates, target, plan", Args: cli.Args("POLICY"),
		Long: "Change the parts of a policy that are given. Parts of the target, and of the plan, are given together: what is not\n" +
			"said of them is as when a policy is made.",
		Example: "  thatch policies change February --disable 'KB4487017 for Windows 10'\n  thatch policies change February --at 2026-12-01T22:00 --spread 30",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if in.Commands, err = commandLines(commands); err != nil {
				return err
			}
			given(cmd, "name", &in.Name, &name)
			given(cmd, "description", &in.Description, &description)
			given(cmd, "override-windows", &in.OverrideWindows, &override)
			given(cmd, "attempts", &in.Attempts, &attempts)
			given(cmd, "local-control", &in.Local, &local)
			if target.given(cmd) {
				in.Target = target.target(true)
			}
			if plan.given(cmd) {
				in.Plan = plan.plan(cmd)
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := c.Put(cmd.Context(), client.Path("policies", args[0]), in, &raw); err != nil {
				return err
			}
			return a.Print(raw, func(w io.Writer) error { return printPolicy(w, raw) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "what people call it")
	flags.StringVar(&description, "description", "", "what it is for")
	flags.StringSliceVar(&in.Enable, "enable", nil, "update that is to be installed, by name, id or number")
	flags.StringSliceVar(&in.Disable, "disable", nil, "update that is not to be installed")
	flags.StringArrayVar(&commands, "command", nil, "UPDATE=ARGUMENTS; without ARGUMENTS the installers' own again")
	flags.BoolVar(&override, "override-windows", false, "installs may start outside maintenance windows")
	flags.IntVar(&attempts, "attempts", 0, "installs tried before an update counts as failed; 0 as the settings say")
	flags.BoolVar(&local, "local-control", false, "sites below may pause it and switch it off for themselves")
	flags.Int64Var(&in.Version, "version", 0, "only if the policy still has this version")
	target.bind(cmd, true)
	plan.bind(cmd)
	return cmd
}

// given points a field to a flag's value when the flag was given.
func given[T any](cmd *cobra.Command, flag string, field **T, value *T) {
	if cmd.Flag(flag).Changed {
		*field = value
	}
}

func policyVerb(a *cli.App, word, past, short string) *cobra.Command {
	var version int64
	cmd := &cobra.Command{
		Use: word + " POLICY", Short: short, Args: cli.Args("POLICY"), Example: "  thatch policies " + word + " February",
		Long: short + ".\nWhat the site that made the policy says counts in all sites below; of a policy from above this site says it for itself\n" +
			"alone, where the policy was made with --local-control.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var now policies.Detail
			if err := c.Post(cmd.Context(), client.Path("policies", args[0], word), api.Seen{Version: version}, &now); err != nil {
				return err
			}
			return a.Print(now, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: %s\n", past, now.Name)
				return err
			})
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "only if the policy still has this version")
	return cmd
}

func policiesRevise(a *cli.App) *cobra.Command {
	var version int64
	var dry bool
	cmd := &cobra.Command{
		Use: "revise POLICY", Short: "Pin the present revisions of what a policy was made from", Args: cli.Args("POLICY"),
		Long: "Pin the present revisions of the updates and packages that a policy was made from, and updates that its bulletins\n" +
			"have since. What was set for single updates stays.",
		Example: "  thatch policies revise February --dry-run\n  thatch policies revise February",
		RunE: func(cmd *cobra.Command, args []string) error {
			if dry {
				return previewRevision(cmd, a, args[0])
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var made policies.Created
			if err := c.Post(cmd.Context(), client.Path("policies", args[0], "revise"), api.Seen{Version: version}, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error {
				return printCreated(w, fmt.Sprintf("revised, %d of the updates differ", made.Changed), made)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing: say what would be pinned otherwise")
	cmd.Flags().Int64Var(&version, "version", 0, "only if the policy still has this version")
	return cmd
}

func policiesDelete(a *cli.App) *cobra.Command {
	var version int64
	cmd := &cobra.Command{
		Use: "delete POLICY", Short: "Delete a policy; nothing is uninstalled", Args: cli.Args("POLICY"),
		Example: "  thatch policies delete February",
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if version != 0 {
				query.Set("version", strconv.FormatInt(version, 10))
			}
			return remove(cmd, a, client.Path("policies", args[0]), query, args[0])
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "only if the policy still has this version")
	return cmd
}

func remove(cmd *cobra.Command, a *cli.App, path string, query url.Values, name string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	if err := c.Do(cmd.Context(), client.Request{Method: http.MethodDelete, Path: path, Query: query}, nil); err != nil {
		return err
	}
	return a.Done("deleted", name, "deleted")
}
