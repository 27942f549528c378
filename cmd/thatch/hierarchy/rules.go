package hierarchy

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	routes "thatch/console/api/hierarchy"
	"thatch/node/sites"
)

// replicationCommand holds what is about replication.
func replicationCommand(a *cli.App, more []*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: "replication", Short: "What is replicated to children, and when", Args: cobra.NoArgs,
		Example: "  thatch replication rules list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(rulesCommand(a))
	cmd.AddCommand(more...)
	return cmd
}

func rulesCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rules", Short: "Replication rules: what is sent to which children", Args: cobra.NoArgs,
		Long: "A rule sends documents of one type to children. There may be several of a type; a child receives what any of its rules\n" +
			"that are on sends. A rule that is off sends nothing and removes nothing. thatch child status shows them at the child.",
		Example: "  thatch replication rules list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List replication rules",
		Long:    "Columns to filter and sort by: id, name, type, enabled, mode, schedule, verify.",
		Example: "  thatch replication rules list --filter type=policies",
		Path:    "/replication/rules", Heads: []string{"NAME", "TYPE", "ON", "CHILDREN", "DOCUMENTS", "MODE", "SCHEDULE", "VERIFY", "ID"},
		Keys: []string{"name", "type", "enabled", "children", "documents", "mode", "schedule", "verify", "id"},
	}), &cobra.Command{
		Use: "show RULE", Short: "Show a replication rule", Args: cli.Args("RULE"),
		Long:    "RULE is a name or an id. The word all stands for all children, or all documents of the type.",
		Example: "  thatch replication rules show \"Standard data\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("replication", "rules", args[0]))
		},
	}, createRule(a), changeRule(a), switchRule(a, "enable", "on"), switchRule(a, "disable", "off"), deleteRule(a))
	return cmd
}

// ruleFlags are the flags of a rule.
type ruleFlags struct {
	name, mode, schedule          string
	children, policies, documents []string
	verify                        int
	off                           bool
}

func (f *ruleFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "what people call it")
	flags.StringSliceVar(&f.children, "children", nil, "names or ids of the children, or all")
	flags.StringSliceVar(&f.policies, "policies", nil, "names or ids of the policies that a rule of type policies sends, or all")
	flags.StringSliceVar(&f.documents, "documents", nil, "KIND/ID of the settings that a rule of type settings sends, such as window/..., or all")
	flags.StringVar(&f.mode, "mode", string(sites.Differential), "differential or complete")
	flags.StringVar(&f.schedule, "schedule", "at-once", "at-once, differential or complete for the site's standard schedules, or a crontab line")
	flags.IntVar(&f.verify, "verify", 10, "percent that each run verifies")
}

// fill takes over what was given; what was not stays.
func (f *ruleFlags) fill(cmd *cobra.Command, rule *sites.Rule, create bool) {
	given := func(name string) bool { return create || cmd.Flags().Changed(name) }
	if given("name") {
		rule.Name = f.name
	}
	if given("children") {
		rule.Children = allOr(f.children)
	}
	if cmd.Flags().Changed("policies") {
		rule.Documents = nil
		for _, id := range allOr(f.policies) {
			rule.Documents = append(rule.Documents, "policy/"+id)
		}
	}
	if cmd.Flags().Changed("documents") {
		rule.Documents = allOr(f.documents)
	}
	if given("mode") {
		rule.Mode = sites.Mode(f.mode)
	}
	if given("schedule") {
		rule.Schedule = strings.TrimPrefix(f.schedule, "at-once")
	}
	if given("verify") {
		rule.Verify = f.verify
	}
}

// allOr is nil, which stands for all, where nothing or "all" is named.
func allOr(list []string) []string {
	if len(list) == 0 || len(list) == 1 && list[0] == "all" {
		return nil
	}
	return list
}

func createRule(a *cli.App) *cobra.Command {
	var f ruleFlags
	var kind string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a replication rule", Args: cobra.NoArgs,
		Example: "  thatch replication rules create --name \"Data at night\" --type data --children Berlin --schedule \"0 1 * * *\" --verify 20\n" +
			"  thatch replication rules create --name Servers --type policies --policies \"March servers\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			rule := sites.Rule{Type: kind, Enabled: !f.off}
			f.fill(cmd, &rule, true)
			return a.Ask(cmd.Context(), client.Request{Method: http.MethodPost, Path: "/replication/rules", In: rule})
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&kind, "type", "", "languages, data, policies or settings")
	cmd.Flags().BoolVar(&f.off, "off", false, "make it switched off")
	_ = cmd.MarkFlagRequired("name") // the flags are there
	_ = cmd.MarkFlagRequired("type")
	return cmd
}

func changeRule(a *cli.App) *cobra.Command {
	var f ruleFlags
	cmd := &cobra.Command{
		Use: "change RULE", Short: "Change a replication rule", Args: cli.Args("RULE"),
		Long:    "Change what is given; what is not given stays as it is.",
		Example: "  thatch replication rules change \"Standard data\" --verify 50\n  thatch replication rules change \"Standard policies\" --children all",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			path := client.Path("replication", "rules", args[0])
			var rule sites.Rule
			if err := c.Get(cmd.Context(), path, nil, &rule); err != nil {
				return err
			}
			from := rule.Version
			f.fill(cmd, &rule, false)
			return a.Ask(cmd.Context(), client.Request{
				Method: http.MethodPut, Path: client.Path("replication", "rules", rule.ID), In: routes.RuleChange{Rule: rule, From: &from},
			})
		},
	}
	f.bind(cmd)
	return cmd
}

func switchRule(a *cli.App, verb, word string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " RULE", Short: "Switch a replication rule " + word, Args: cli.Args("RULE"),
		Example: "  thatch replication rules " + verb + " \"Standard data\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := client.Request{Method: http.MethodPost, Path: client.Path("replication", "rules", args[0], verb)}
			return cli.Told(cmd.Context(), a, in, func(rule sites.Rule) string { return rule.Name + " is " + word })
		},
	}
}

func deleteRule(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "delete RULE", Short: "Delete a replication rule", Args: cli.Args("RULE"),
		Long:    "Delete a rule. What no other rule sends to a child is removed there; switch the rule off to leave it there.",
		Example: "  thatch replication rules delete Servers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Delete(cmd.Context(), client.Path("replication", "rules", args[0]), "deleted", args[0])
		},
	}
}
