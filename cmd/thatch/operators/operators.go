// Package operators holds the commands about who works at a site: operators, and what each of them sets for themselves.
package operators

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	routes "thatch/console/api/operators"
	"thatch/node/identity"
	"thatch/node/operators"
)

// Commands are all of them.
func Commands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{operatorsCommand(a), selfCommand(a)}
}

func group(use, short, long, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

func operatorsCommand(a *cli.App) *cobra.Command {
	return group("operators", "Operators: who signs in to the console, with what role, for which part of the site",
		"An operator has a role (viewer, operator, approver, administrator) for the whole site, or for a part of it: groups of computers,\n"+
			"and sites with all below them. Where the setting policies.approval is on, what an operator made awaits an approver.",
		"  thatch operators create anna --scope operator --groups berlin",
		a.List(cli.Listing{
			Use: "list", Short: "List operators", Path: "/operators",
			Long:    "Columns to filter and sort by: " + strings.Join(operators.Columns, ", ") + ".",
			Example: "  thatch operators list --filter scope=administrator",
			Heads:   []string{"NAME", "FOR PEOPLE", "ROLE", "GROUPS", "SITES", "2ND FACTOR", "LOCKED UNTIL", "DISABLED", "SIGNED IN"},
			Keys:    []string{"name", "display", "scope", "part.groups", "part.sites", "second_factor", "locked", "disabled", "signed_in"},
		}),
		&cobra.Command{
			Use: "show NAME", Short: "Show an operator", Args: cli.Args("NAME"), Example: "  thatch operators show anna",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.Show(cmd.Context(), client.Path("operators", args[0]))
			},
		},
		create(a), change(a), reset(a), firstLink(a), enter(a),
		doorCommand(a, "lock", "Keep an operator out: their sessions end at once"),
		doorCommand(a, "unlock", "Let an operator in again, whom an administrator or wrong passwords kept out"),
		&cobra.Command{
			Use: "delete NAME", Short: "Delete an operator, with sessions and own tokens", Args: cli.Args("NAME"), Example: "  thatch operators delete anna",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.Delete(cmd.Context(), client.Path("operators", args[0]), "deleted", args[0])
			},
		},
		sessionsOf(a),
	)
}

// flags are what an operator is made with.
type flags struct {
	name, display, scope, subject string
	groups, sites                 []string
	whole                         bool
}

func (f *flags) bind(cmd *cobra.Command, scope string) {
	set := cmd.Flags()
	set.StringVar(&f.display, "display", "", "what people read for the name")
	set.StringVar(&f.scope, "scope", scope, "role: viewer, operator, approver or administrator")
	set.StringSliceVar(&f.groups, "groups", nil, "groups of computers that the operator may act on")
	set.StringSliceVar(&f.sites, "sites", nil, "names or ids of sites that the operator may act on, with all below them; this site's own means all its computers")
	set.StringVar(&f.subject, "subject", "", "subject by which the OpenID Connect provider knows the operator")
}

func create(a *cli.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an operator, and a link with which they choose a password", Args: cli.Args("NAME"),
		Long: "Make an operator. The link is printed once, is good for a day, and is for that operator: they choose a password there.\n" +
			"Who signs in by the OpenID Connect provider needs none.",
		Example: "  thatch operators create anna --scope administrator --display \"Anna Meier\"\n" +
			"  thatch operators create otto --scope operator --groups berlin,potsdam\n  thatch operators create olga --scope viewer --sites Paris",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			in := operators.Draft{
				Name: args[0], Display: f.display, Scope: identity.Scope(f.scope), Subject: f.subject,
				Part: identity.Part{Groups: f.groups, Sites: f.sites},
			}
			var made routes.Made
			if err := c.Post(cmd.Context(), "/operators", in, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error { return printLink(w, made.Link) })
		},
	}
	f.bind(cmd, string(identity.Viewer))
	return cmd
}

func printLink(w io.Writer, link routes.Link) error {
	_, err := fmt.Fprintf(w, "%s\n(good once, until %s; it is not shown again)\n", link.URL, link.Expires.Local().Format("2006-01-02 15:04"))
	return err
}

func change(a *cli.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: "change NAME", Short: "Change an operator", Args: cli.Args("NAME"),
		Long: "Change what is given; the rest stays. --groups and --sites replace the whole part; --whole-site takes it away. Who gets another role\n" +
			"or part signs in again.",
		Example: "  thatch operators change otto --scope approver\n  thatch operators change otto --whole-site",
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			var in routes.Change
			text := func(name string, value string) *string {
				if !given(name) {
					return nil
				}
				return &value
			}
			in.Name, in.Display, in.Subject = text("name", f.name), text("display", f.display), text("subject", f.subject)
			if given("scope") {
				scope := identity.Scope(f.scope)
				in.Scope = &scope
			}
			switch part := given("groups") || given("sites"); {
			case part && f.whole:
				return cli.Usagef("--whole-site is the opposite of --groups and --sites")
			case part || f.whole:
				in.Part = &identity.Part{Groups: f.groups, Sites: f.sites}
			}
			return send(a, cmd, http.MethodPut, client.Path("operators", args[0]), in)
		},
	}
	f.bind(cmd, "")
	cmd.Flags().StringVar(&f.name, "name", "", "another name to sign in with")
	cmd.Flags().BoolVar(&f.whole, "whole-site", false, "for the whole site")
	return cmd
}

func reset(a *cli.App) *cobra.Command {
	var in routes.Reset
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Make a link with which an operator chooses another password", Args: cli.Args("NAME"),
		Long:    "Make a link, which is printed once and good for a day. With --second-factor the second factor is taken away at once.",
		Example: "  thatch operators reset anna\n  thatch operators reset anna --second-factor",
		RunE: func(cmd *cobra.Command, args []string) error {
			return link(a, cmd, client.Path("operators", args[0], "reset"), in)
		},
	}
	cmd.Flags().BoolVar(&in.SecondFactor, "second-factor", false, "take the second factor away, for who has lost it")
	return cmd
}

func link(a *cli.App, cmd *cobra.Command, path string, in any) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var made routes.Link
	if err := c.Post(cmd.Context(), path, in, &made); err != nil {
		return err
	}
	return a.Print(made, func(w io.Writer) error { return printLink(w, made) })
}

func enter(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "enter NAME", Short: "Make a link that opens a session of an operator, once, without a password", Args: cli.Args("NAME"),
		Long: "Make a link that opens a session of an operator at the console, once, within ten minutes. A second factor is still\n" +
			"asked for. It is made on the node's machine, with --data.",
		Example: "  thatch operators enter anna --data ./site",
		RunE: func(cmd *cobra.Command, args []string) error {
			return link(a, cmd, client.Path("operators", args[0], "enter"), nil)
		},
	}
}

func firstLink(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "first-link", Short: "Make a link with which somebody becomes an administrator", Args: cobra.NoArgs,
		Long:    "Make a link for the first administrator, or for when nobody can sign in any more. It takes access to the node's data folder.",
		Example: "  thatch operators first-link --data ./site",
		RunE:    func(cmd *cobra.Command, _ []string) error { return link(a, cmd, "/operators/first-link", nil) },
	}
}

func doorCommand(a *cli.App, word, short string) *cobra.Command {
	return &cobra.Command{
		Use: word + " NAME", Short: short, Args: cli.Args("NAME"), Example: "  thatch operators " + word + " anna",
		RunE: func(cmd *cobra.Command, args []string) error {
			return send(a, cmd, http.MethodPost, client.Path("operators", args[0], word), nil)
		},
	}
}

// send calls the API and prints its answer.
func send(a *cli.App, cmd *cobra.Command, method, path string, in any) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := c.Do(cmd.Context(), client.Request{Method: method, Path: path, In: in}, &answer); err != nil {
		return err
	}
	return a.Print(answer, func(w io.Writer) error { return cli.Object(w, answer) })
}

var sessionHeads, sessionKeys = []string{"SINCE", "LAST SEEN", "FROM", "BY", "2ND FACTOR", "BROWSER", "ID"},
	[]string{"created", "seen", "from", "method", "second_factor", "agent", "id"}

func sessionsOf(a *cli.App) *cobra.Command {
	return group("sessions", "Where an operator is signed in", "", "  thatch operators sessions list anna",
		&cobra.Command{
			Use: "list NAME", Short: "List the open sessions of an operator", Args: cli.Args("NAME"), Example: "  thatch operators sessions list anna",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.Items(cmd.Context(), cli.Listing{Path: client.Path("operators", args[0], "sessions"), Heads: sessionHeads, Keys: sessionKeys})
			},
		},
		&cobra.Command{
			Use: "end NAME [ID]", Short: "End a session of an operator, or all", Args: cobra.RangeArgs(1, 2),
			Example: "  thatch operators sessions end anna",
			RunE: func(cmd *cobra.Command, args []string) error {
				path := client.Path(append([]string{"operators", args[0], "sessions"}, args[1:]...)...)
				return a.Delete(cmd.Context(), path, "ended", strings.Join(args, " "))
			},
		})
}
