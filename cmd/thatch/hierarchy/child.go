package hierarchy

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	routes "thatch/console/api/hierarchy"
	"thatch/node/sites"
	"thatch/replication"
)

func childCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "child", Short: "This site as a child: join a parent, leave it, move to another", Args: cobra.NoArgs,
		Example: "  thatch child join --parent https://central.example:8743 --token tc1-...",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		joinCommand(a, "join", "Join a parent", "Become a child of the site that made the token. The token is good once; a join that was cut short is done again with\n"+
			"the same token. The schedules of catalogs that the parent imports too are switched off.", false),
		joinCommand(a, "move", "Move to another parent", "Become a child of another parent, and leave the present one. Documents stay where the new parent has the same;\n"+
			"everything is compared anew.", true),
		leaveCommand(a), childAddress(a), childStatus(a))
	return cmd
}

func joinCommand(a *cli.App, use, short, long string, move bool) *cobra.Command {
	var in routes.Join
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Long: long + "\n\n--token - reads it from the standard input, --token @FILE from a file.",
		Example: "  thatch child " + use + " --parent https://central.example:8743 --token tc1-abcdefghijklmnopqrstuvwxyz234567-0123456789abcdef0123456789abcdef\n" +
			"  thatch child " + use + " --parent https://central.example:8743 --token @token.txt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := a.Secret(in.Token)
			if err != nil {
				return err
			}
			join := client.Request{Method: http.MethodPost, Path: "/parent", In: routes.Join{Parent: in.Parent, Token: token, Move: move}}
			return cli.Told(cmd.Context(), a, join, func(parent sites.Parent) string {
				return fmt.Sprintf("this site is a child of %s (%s)", parent.Name, parent.ID)
			})
		},
	}
	cmd.Flags().StringVar(&in.Parent, "parent", "", "https://HOST:PORT of a node of the parent")
	cmd.Flags().StringVar(&in.Token, "token", "", "child token, as the parent's administrator made it")
	_ = cmd.MarkFlagRequired("parent") // the flags are there
	_ = cmd.MarkFlagRequired("token")
	return cmd
}

func leaveCommand(a *cli.App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "leave", Short: "Leave the parent", Args: cobra.NoArgs,
		Long: "Be nobody's child any more. What came from above stays, and is this site's own: imports go on with the catalog, and policies and\n" +
			"windows can be deleted. --force leaves although the parent cannot be told.",
		Example: "  thatch child leave",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			in := client.Request{Method: http.MethodDelete, Path: "/parent", Query: url.Values{"force": {strconv.FormatBool(force)}}}
			if err := c.Do(cmd.Context(), in, nil); err != nil {
				return err
			}
			return a.Print(map[string]bool{"left": true}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "this site has no parent now")
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "leave although the parent cannot be told")
	return cmd
}

func childAddress(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "address URL...", Short: "Give the parent's new address", Args: some("URL"),
		Long:    "Say where the parent is called from now on; the first address is tried first. Who answers there must still be the parent.",
		Example: "  thatch child address https://central2.example:8743",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := client.Request{Method: http.MethodPut, Path: "/parent", In: routes.Addresses{URLs: args}}
			return cli.Told(cmd.Context(), a, in, func(parent sites.Parent) string {
				return fmt.Sprintf("the parent %s is called at %s", parent.Name, strings.Join(parent.URLs, ", "))
			})
		},
	}
}

func some(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cli.Usagef("%s takes one %s or more", cmd.CommandPath(), what)
		}
		return nil
	}
}

func childStatus(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the parent, and what it replicates to this site", Args: cobra.NoArgs,
		Example: "  thatch child status\n  thatch child status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.JSON {
				return a.Show(cmd.Context(), "/parent")
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var parent routes.ParentStatus
			if err := c.Get(cmd.Context(), "/parent", nil, &parent); err != nil {
				return err
			}
			var link replication.State
			if err := c.Get(cmd.Context(), "/replication/link", nil, &link); err != nil {
				return err
			}
			return printParent(a.Out, parent, link)
		},
	}
}

func childrenCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "children", Short: "The sites directly below this one", Args: cobra.NoArgs,
		Example: "  thatch children list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List children",
		Long:    "Columns to filter and sort by: id, name, joined, seen, revoked, token.",
		Example: "  thatch children list --sort -seen",
		Path:    "/children", Heads: []string{"NAME", "ID", "JOINED", "LAST CONTACT", "REVOKED", "REASON"},
		Keys: []string{"name", "id", "joined", "seen", "revoked", "reason"},
	}), &cobra.Command{
		Use: "show CHILD", Short: "Show a child", Args: cli.Args("CHILD"),
		Long:    "CHILD is a name or an id.",
		Example: "  thatch children show Berlin",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("children", args[0]))
		},
	}, &cobra.Command{
		Use: "rename CHILD NAME", Short: "Call a child otherwise", Args: cli.Args("CHILD", "NAME"),
		Long:    "Change what a child is called here. What it calls itself is its own: thatch site rename, at that site.",
		Example: "  thatch children rename Berlin \"Berlin Mitte\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return putChild(cmd, a, args[0], routes.ChildChange{Name: args[1]})
		},
	}, removeCommand(a), revokeCommand(a), limitCommand(a), childTokens(a))
	return cmd
}

func putChild(cmd *cobra.Command, a *cli.App, child string, in routes.ChildChange) error {
	return a.Ask(cmd.Context(), client.Request{Method: http.MethodPut, Path: client.Path("children", child), In: in})
}

func removeCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "remove CHILD", Short: "Remove a child", Args: cli.Args("CHILD"),
		Long: "Shut a child out at once and forget what it and the sites below it told of themselves. What it received stays there.\n" +
			"It may join again with a new token.",
		Example: "  thatch children remove Berlin",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Delete(cmd.Context(), client.Path("children", args[0]), "removed", args[0])
		},
	}
}

func revokeCommand(a *cli.App) *cobra.Command {
	var in routes.Revocation
	cmd := &cobra.Command{
		Use: "revoke CHILD", Short: "Shut a child out at once", Args: cli.Args("CHILD"),
		Long:    "Shut a child out at once, also on the connections that it has. It cannot join again before it is removed.",
		Example: "  thatch children revoke Berlin --reason \"server stolen\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			revoke := client.Request{Method: http.MethodPost, Path: client.Path("children", args[0], "revoke"), In: in}
			return cli.Told(cmd.Context(), a, revoke, func(child sites.Child) string { return child.Name + " is shut out" })
		},
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for the record and for the child's administrator")
	return cmd
}

func childTokens(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tokens", Short: "Tokens with which sites become children", Args: cobra.NoArgs,
		Example: "  thatch children tokens create --name Berlin",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var name string
	var lasts time.Duration
	create := &cobra.Command{
		Use: "create", Short: "Make a token for one child; it is printed once and kept nowhere", Args: cobra.NoArgs,
		Example: "  thatch children tokens create --name Berlin --for 24h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lasts < 0 || lasts%time.Hour != 0 {
				return cli.Usagef("--for %s: want whole hours", lasts)
			}
			in := client.Request{Method: http.MethodPost, Path: "/child-tokens", In: routes.NewToken{Name: name, Hours: int(lasts / time.Hour)}}
			return cli.Told(cmd.Context(), a, in, func(made sites.Token) string {
				return fmt.Sprintf("%s\n(good once, until %s; it is not shown again)", made.Token, made.Expires.Local().Format("2006-01-02 15:04"))
			})
		},
	}
	create.Flags().StringVar(&name, "name", "", "what it is for, such as the name of the site that will join")
	create.Flags().DurationVar(&lasts, "for", 0, "how long it is good, such as 24h; 0: three days")
	_ = create.MarkFlagRequired("name") // the flag is there
	cmd.AddCommand(create, a.List(cli.Listing{
		Use: "list", Short: "List child tokens, without their secrets",
		Long:    "Columns to filter and sort by: id, name, expires, created, by, revoked, used, child.",
		Example: "  thatch children tokens list --filter revoked=no",
		Path:    "/child-tokens", Heads: []string{"ID", "NAME", "EXPIRES", "USED", "CHILD", "REVOKED", "BY"},
		Keys: []string{"id", "name", "expires", "used", "child", "revoked", "by"},
	}), &cobra.Command{
		Use: "revoke ID", Short: "Revoke a child token that nobody used", Args: cli.Args("ID"),
		Example: "  thatch children tokens revoke 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Delete(cmd.Context(), client.Path("child-tokens", args[0]), "revoked", args[0])
		},
	})
	return cmd
}
