package operators

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	routes "thatch/console/api/operators"
	"thatch/node/identity"
	"thatch/node/operators"
)

func selfCommand(a *cli.App) *cobra.Command {
	return group("self", "Yourself: role, password, second factor, sessions, preferences, saved views, own tokens",
		"What an operator sets for themselves. It takes a token of one's own (--token): make the first one on the page of your account.",
		"  thatch self show --server https://node.example:8743 --token ta1-...",
		&cobra.Command{
			Use: "show", Short: "Show who you are here, and what you may do", Args: cobra.NoArgs, Example: "  thatch self show",
			RunE: func(cmd *cobra.Command, _ []string) error { return a.Show(cmd.Context(), "/self") },
		},
		passwordCommand(a), secondCommand(a),
		group("sessions", "Where you are signed in", "", "  thatch self sessions list",
			&cobra.Command{
				Use: "list", Short: "List your open sessions", Args: cobra.NoArgs, Example: "  thatch self sessions list",
				RunE: func(cmd *cobra.Command, _ []string) error {
					return a.Items(cmd.Context(), cli.Listing{Path: "/self/sessions", Heads: sessionHeads, Keys: sessionKeys})
				},
			},
			&cobra.Command{
				Use: "end [ID]", Short: "End one of your sessions, or all", Args: cobra.MaximumNArgs(1), Example: "  thatch self sessions end",
				RunE: func(cmd *cobra.Command, args []string) error {
					return a.Delete(cmd.Context(), client.Path(append([]string{"self", "sessions"}, args...)...), "ended", strings.Join(args, ""))
				},
			}),
		preferencesCommand(a), viewsCommand(a), ownTokens(a),
	)
}

// ask reads what must not stand on a command line: from the terminal, unseen, or else a line of the standard input.
func ask(a *cli.App, lines *bufio.Reader, what string) (string, error) {
	if f, ok := a.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(a.Err, what+": ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.Err)
		return string(text), err
	}
	text, err := lines.ReadString('\n')
	if err != nil && text == "" {
		return "", cli.Usagef("%s: a line of the standard input is wanted", what)
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func passwordCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "password", Short: "Choose another password", Args: cobra.NoArgs,
		Long:    "Asks for the present password and the new one; without a terminal they are two lines of the standard input.",
		Example: "  thatch self password",
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := bufio.NewReader(a.In)
			var in routes.NewPassword
			var err error
			if in.Password, err = ask(a, lines, "present password"); err != nil {
				return err
			}
			if in.NewPassword, err = ask(a, lines, "new password"); err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Put(cmd.Context(), "/self/password", in, nil); err != nil {
				return err
			}
			return a.Done("changed", "password", "changed")
		},
	}
}

func secondCommand(a *cli.App) *cobra.Command {
	prove := func(path string) func(cmd *cobra.Command, _ []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			plain, err := ask(a, bufio.NewReader(a.In), "present password")
			if err != nil {
				return err
			}
			return send(a, cmd, http.MethodPost, path, routes.Proof{Password: plain})
		}
	}
	return group("totp", "Your second factor: codes of an authenticator app", "", "  thatch self totp begin",
		&cobra.Command{
			Use: "begin", Short: "Begin: print a secret for the app", Args: cobra.NoArgs,
			Long: "Asks for the present password, and prints what the app takes over. It counts once it is confirmed.", Example: "  thatch self totp begin",
			RunE: prove("/self/totp"),
		},
		&cobra.Command{
			Use: "confirm CODE", Short: "Confirm with a code of the app; recovery codes are printed once", Args: cli.Args("CODE"),
			Example: "  thatch self totp confirm 123456",
			RunE: func(cmd *cobra.Command, args []string) error {
				return send(a, cmd, http.MethodPut, "/self/totp", routes.Code{Code: args[0]})
			},
		},
		&cobra.Command{
			Use: "remove", Short: "Ask for no second factor any more", Args: cobra.NoArgs, Example: "  thatch self totp remove",
			RunE: prove("/self/totp/remove"),
		})
}

func preferencesCommand(a *cli.App) *cobra.Command {
	var p operators.Preferences
	set := &cobra.Command{
		Use: "set", Short: "Set preferences; those that are not given stay", Args: cobra.NoArgs,
		Example: "  thatch self preferences set --language de --time-zone Europe/Berlin",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var now operators.Preferences
			if err := c.Get(cmd.Context(), "/self/preferences", nil, &now); err != nil {
				return err
			}
			for name, take := range map[string]func(){
				"language": func() { now.Language = p.Language }, "theme": func() { now.Theme = p.Theme },
				"time-zone": func() { now.TimeZone = p.TimeZone }, "home": func() { now.Home = p.Home },
			} {
				if cmd.Flags().Changed(name) {
					take()
				}
			}
			return send(a, cmd, http.MethodPut, "/self/preferences", now)
		},
	}
	set.Flags().StringVar(&p.Language, "language", "", "en or de; empty: as the browser asks")
	set.Flags().StringVar(&p.Theme, "theme", "", "light or dark; empty: as the system has it")
	set.Flags().StringVar(&p.TimeZone, "time-zone", "", "such as Europe/Berlin; empty: as the browser says")
	set.Flags().StringSliceVar(&p.Home, "home", nil, "parts of the home page, in their order")
	return group("preferences", "Language, theme, time zone, parts of the home page", "", "  thatch self preferences show",
		&cobra.Command{
			Use: "show", Short: "Show your preferences", Args: cobra.NoArgs, Example: "  thatch self preferences show",
			RunE: func(cmd *cobra.Command, _ []string) error { return a.Show(cmd.Context(), "/self/preferences") },
		}, set)
}

func viewsCommand(a *cli.App) *cobra.Command {
	var v operators.View
	save := &cobra.Command{
		Use: "save", Short: "Save a list as an address shows it", Args: cobra.NoArgs,
		Example: "  thatch self views save --page /bulletins --name \"Critical and open\" --query \"severity=Critical&missing=>0\"",
		RunE:    func(cmd *cobra.Command, _ []string) error { return send(a, cmd, http.MethodPost, "/self/views", v) },
	}
	save.Flags().StringVar(&v.Page, "page", "", "path of the page")
	save.Flags().StringVar(&v.Name, "name", "", "what you call it")
	save.Flags().StringVar(&v.Query, "query", "", "what follows ? in the page's address")
	return group("views", "Lists as you saved them", "", "  thatch self views list",
		&cobra.Command{
			Use: "list", Short: "List saved views", Args: cobra.NoArgs, Example: "  thatch self views list",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.Items(cmd.Context(), cli.Listing{Path: "/self/views", Heads: []string{"PAGE", "NAME", "QUERY", "ID"}, Keys: []string{"page", "name", "query", "id"}})
			},
		},
		save,
		&cobra.Command{
			Use: "rename ID NAME", Short: "Call a saved view otherwise", Args: cli.Args("ID", "NAME"), Example: "  thatch self views rename 0d9f2f0c-... \"Open\"",
			RunE: func(cmd *cobra.Command, args []string) error {
				return send(a, cmd, http.MethodPut, client.Path("self", "views", args[0]), routes.ViewName{Name: args[1]})
			},
		},
		&cobra.Command{
			Use: "delete ID", Short: "Forget a saved view", Args: cli.Args("ID"), Example: "  thatch self views delete 0d9f2f0c-...",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.Delete(cmd.Context(), client.Path("self", "views", args[0]), "deleted", args[0])
			},
		})
}

func ownTokens(a *cli.App) *cobra.Command {
	var in routes.NewAPI
	var scope string
	var lasts time.Duration
	create := &cobra.Command{
		Use: "create", Short: "Make an API token of your own; it is printed once", Args: cobra.NoArgs,
		Example: "  thatch self tokens create --name laptop --scope operator --for 720h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lasts < 0 || lasts%time.Hour != 0 {
				return cli.Usagef("--for %s: want whole hours from now on, such as 72h", lasts)
			}
			in.Scope, in.Hours = identity.Scope(scope), int(lasts/time.Hour)
			c, err := a.Client()
			if err != nil {
				return err
			}
			var made identity.APIToken
			if err := c.Post(cmd.Context(), "/self/tokens", in, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s\n(good until %s; it is not shown again)\n", made.Token, made.Expires.Local().Format("2006-01-02 15:04"))
				return err
			})
		},
	}
	create.Flags().StringVar(&in.Name, "name", "", "what it is for")
	create.Flags().StringVar(&scope, "scope", string(identity.Viewer), "viewer, operator, approver or administrator: no more than your own role")
	create.Flags().DurationVar(&lasts, "for", 0, "how long it is good, such as 72h; 0: 90 days")
	_ = create.MarkFlagRequired("name") // the flag is there
	return group("tokens", "Your own API tokens", "", "  thatch self tokens list",
		a.List(cli.Listing{
			Use: "list", Short: "List your own API tokens, without their secrets", Path: "/self/tokens",
			Long:    "Columns to filter and sort by: " + strings.Join(identity.APIColumns, ", ") + ".",
			Example: "  thatch self tokens list", Heads: []string{"ID", "NAME", "SCOPE", "EXPIRES", "REVOKED"}, Keys: []string{"id", "name", "scope", "expires", "revoked"},
		}),
		create,
		&cobra.Command{
			Use: "revoke ID", Short: "End one of your own tokens at once", Args: cli.Args("ID"), Example: "  thatch self tokens revoke 0d9f2f0c-...",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.Delete(cmd.Context(), client.Path("self", "tokens", args[0]), "revoked", args[0])
			},
		})
}
