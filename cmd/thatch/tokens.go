package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/console/api/operators"
	"thatch/node/identity"
)

func tokensCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tokens", Short: "Tokens with which computers enrol and people and tools call the API", Args: cobra.NoArgs,
		Example: "  thatch tokens create --name office --limit 50",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tokensCreate(a), tokensList(a), &cobra.Command{
		Use: "revoke ID", Short: "End a token of either kind at once", Args: cli.Args("ID"),
		Example: "  thatch tokens revoke 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Delete(cmd.Context(), client.Path("tokens", args[0]), "revoked", args[0])
		},
	})
	return cmd
}

func tokensCreate(a *cli.App) *cobra.Command {
	var forAPI bool
	var name, scope, group string
	var groups, sites []string
	var limit int
	var lasts time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token; it is printed once and kept nowhere", Args: cobra.NoArgs,
		Long: "Make an enrolment token for agents, or with --api a token for people and tools. The token is printed once; the\n" +
			"site keeps only its hash.",
		Example: "  thatch tokens create --name office --limit 50 --group berlin --for 72h\n" +
			"  thatch tokens create --api --name grafana --scope viewer",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch given := cmd.Flag("for").Value; {
			case lasts < 0:
				return cli.Usagef("--for %s is in the past: want how long the token is good from now on, such as 72h", given)
			case lasts%time.Hour != 0:
				return cli.Usagef("--for %s: want whole hours, such as 72h", given)
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			hours := int(lasts / time.Hour)
			if forAPI {
				var made identity.APIToken
				in := operators.NewAPI{Name: name, Scope: identity.Scope(scope), Part: identity.Part{Groups: groups, Sites: sites}, Hours: hours}
				if err := c.Post(cmd.Context(), "/tokens/api", in, &made); err != nil {
					return err
				}
				return a.Print(made, func(w io.Writer) error { return printToken(w, made.Token, made.Expires) })
			}
			var made identity.EnrolmentToken
			in := operators.NewEnrolment{Name: name, Group: group, Limit: limit, Hours: hours}
			if err := c.Post(cmd.Context(), "/tokens/enrolment", in, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error { return printToken(w, made.Token, made.Expires) })
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&forAPI, "api", false, "make an API token instead of an enrolment token")
	flags.StringVar(&name, "name", "", "what it is for")
	flags.StringVar(&scope, "scope", "viewer", "of an API token: viewer, operator, approver or administrator")
	flags.StringSliceVar(&groups, "groups", nil, "of an API token: groups of computers that it may act on; with --sites empty too: the whole site")
	flags.StringSliceVar(&sites, "sites", nil, "of an API token: names or ids of sites that it may act on, with all below them")
	flags.StringVar(&group, "group", "", "of an enrolment token: computers enrolled with it belong to this group")
	flags.IntVar(&limit, "limit", 0, "of an enrolment token: computers that may enrol with it; 0 any number")
	flags.DurationVar(&lasts, "for", 0, "how long it is good, such as 72h; 0: 30 days for enrolment, 90 days for the API")
	_ = cmd.MarkFlagRequired("name") // the flag is there
	return cmd
}

func printToken(w io.Writer, token string, until time.Time) error {
	_, err := fmt.Fprintf(w, "%s\n(good until %s; it is not shown again)\n", token, until.Local().Format("2006-01-02 15:04"))
	return err
}

func tokensList(a *cli.App) *cobra.Command {
	var forAPI bool
	enrolment := cli.Listing{
		Use: "list", Short: "List tokens, without their secrets", Path: "/tokens/enrolment",
		Long: "Columns to filter and sort by: " + cli.Columns(identity.EnrolmentColumns) +
			"\nWith --api: " + cli.Columns(identity.APIColumns),
		Example: "  thatch tokens list --filter revoked=no\n  thatch tokens list --api",
		Heads:   []string{"ID", "NAME", "GROUP", "USED", "LIMIT", "EXPIRES", "REVOKED", "BY"},
		Keys:    []string{"id", "name", "group", "used", "limit", "expires", "revoked", "by"},
	}
	cmd := a.List(enrolment)
	cmd.Flags().BoolVar(&forAPI, "api", false, "list API tokens instead of enrolment tokens")
	plain := cmd.RunE
	other := a.List(cli.Listing{
		Use: "list", Path: "/tokens/api",
		Heads: []string{"ID", "NAME", "SCOPE", "EXPIRES", "REVOKED", "BY"},
		Keys:  []string{"id", "name", "scope", "expires", "revoked", "by"},
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !forAPI {
			return plain(cmd, args)
		}
		if err := cli.CopyFlags(cmd, other); err != nil {
			return err
		}
		other.SetContext(cmd.Context())
		return other.RunE(other, args)
	}
	return cmd
}

func auditCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Who changed what, when, and how it stood before and after", Args: cobra.NoArgs,
		Example: "  thatch audit list\n  thatch audit list --filter 'subject=/operators/*' --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List changes, newest first", Path: "/audit",
		Long:    "Columns to filter and sort by: " + cli.Columns(identity.AuditColumns),
		Example: "  thatch audit list -q token --filter 'at=>2026-01-01'",
		Heads:   []string{"AT", "WHO", "WHAT", "BEFORE AND AFTER"}, Keys: []string{"at", "actor", "action", "changed"},
	}))
	return cmd
}
