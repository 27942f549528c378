// Package nodes holds the commands about the nodes of a site: joining, tokens, how they fare, who votes, leads and goes.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	routes "thatch/console/api/nodes"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/reach"
)

// Commands are those below thatch site.
func Commands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		statusCommand(a), listCommand(a), removeCommand(a), votesCommand(a), leadCommand(a), gossipCommand(a),
	}
}

func listCommand(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "nodes", Short: "The nodes of the site: role, index, disk, certificate, version, last contact",
		Long:    "Columns to filter and sort by: address, id, index, lag, living, name, role, version.",
		Example: "  thatch site nodes\n  thatch site nodes --filter living=no",
		Path:    "/site/nodes", Heads: []string{"NAME", "NODE", "ROLE", "LIVING", "ADDRESS", "VERSION", "STARTED", "INDEX", "LAG", "LAST CONTACT", "CERTIFICATE ENDS"},
		Keys: []string{"name", "id", "role", "living", "address", "version", "started", "index", "lag", "last_contact", "certificate_ends"},
	})
}

func statusCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "How the site fares: its nodes, what is wrong, and what to do", Args: cobra.NoArgs,
		Long: "Ask every node of the site how it fares. What is wrong is listed with what to do about it: no quorum, a node that does not\n" +
			"answer or lags, a disk that is nearly full, a certificate near its end, a clock that is off, a schema that waits for nodes.\n" +
			"Exit code 1 where something is wrong; hints alone are 0.",
		Example: "  thatch site status\n  thatch site status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var report membership.Report
			if err := c.Get(cmd.Context(), "/site/status", nil, &report); err != nil {
				return err
			}
			if err := a.Print(report, func(w io.Writer) error { return printReport(w, report) }); err != nil {
				return err
			}
			if report.Wrong() {
				return cli.Coded(cli.ExitFailed, errors.New("something is wrong with the site; see above"))
			}
			return nil
		},
	}
}

func printReport(out io.Writer, r membership.Report) error {
	leader := "no node leads"
	for _, n := range r.Nodes {
		if n.Role == membership.RoleLeader {
			leader = n.Name + " leads"
		}
	}
	fmt.Fprintf(out, "%s (term %d); %d of %d voting nodes answer, %d are needed\n\n", leader, r.Term, r.Living, r.Voters, r.Needed)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tNODE\tROLE\tADDRESS\tVERSION\tINDEX\tLAG\tDISK FREE\tLAST CONTACT")
	for _, n := range r.Nodes {
		free, contact := "", "never"
		if n.Disk != nil {
			free = fmt.Sprintf("%d of %d MiB", n.Disk.Free>>20, n.Disk.Total>>20)
		}
		if n.Self {
			contact = "this node"
		} else if !n.Contact.IsZero() {
			contact = n.Contact.Local().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(w, "%s\t%.8s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", n.Name, n.ID, n.Role, n.Address, n.Version, n.Index, n.Lag, free, contact)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Problems) == 0 {
		_, err := fmt.Fprintln(out, "\nnothing is wrong")
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintf(out, "\n%s: %s\n  %s\n", p.Level, p.Text, p.Advice)
	}
	return nil
}

func removeCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "remove NODE", Short: "Shut a node out of the site for ever", Args: cli.Args("NODE"),
		Long: "Shut a node out at once, also on the connections that it has. It stops, says so, and cannot come back; its machine can join\n" +
			"again from an empty data folder with a new token. NODE is a name, an id, or the beginning of one. The last node that\n" +
			"votes stays. A node that leads hands the lead over first.",
		Example: "  thatch site remove n2 --reason \"machine was retired\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			in := client.Request{Method: http.MethodDelete, Path: client.Path("site", "nodes", args[0]), Query: url.Values{"reason": {reason}}}
			if err := c.Do(cmd.Context(), in, nil); err != nil {
				return err
			}
			return a.Done("removed", args[0], "node "+args[0]+" is shut out of the site")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record and for whoever starts that node again")
	return cmd
}

func votesCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "votes NODE on|off", Short: "Have a node vote, or hold everything without a vote", Args: cli.Args("NODE", "on|off"),
		Long: "A node without a vote holds the database and payloads and serves agents, as for an office far away; it does not hold up what is\n" +
			"written. Three or five nodes vote, so that one or two may fail.",
		Example: "  thatch site votes n4 off",
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] != "on" && args[1] != "off" {
				return cli.Usagef("%q: want on or off", args[1])
			}
			in := client.Request{Method: http.MethodPut, Path: client.Path("site", "nodes", args[0]), In: routes.Change{Votes: args[1] == "on"}}
			return cli.Told(cmd.Context(), a, in, func(n members.Node) string {
				if n.Votes {
					return n.Name + " votes"
				}
				return n.Name + " has no vote"
			})
		},
	}
}

func leadCommand(a *cli.App) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "transfer-leader", Short: "Hand the lead to another node", Args: cobra.NoArgs,
		Long:    "Hand the lead to the node named with --to, or to whichever is best: before the machine that leads is stopped, for instance.",
		Example: "  thatch site transfer-leader\n  thatch site transfer-leader --to n2",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := client.Request{Method: http.MethodPut, Path: "/site/leader", In: routes.Lead{Node: to}}
			return cli.Told(cmd.Context(), a, in, func(l routes.Lead) string { return "node " + l.Node + " leads" })
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "name or id of the node that is to lead")
	return cmd
}

// TokenCommand is thatch node token.
func TokenCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Tokens with which nodes join the site", Args: cobra.NoArgs,
		Example: "  thatch node token create --name n2",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var name string
	var lasts time.Duration
	create := &cobra.Command{
		Use: "create", Short: "Make a token for one node; it is printed once and kept nowhere", Args: cobra.NoArgs,
		Long:    "Make a token with which one node joins the site, and print the command to give on its machine.",
		Example: "  thatch node token create --name n2 --for 24h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lasts < 0 || lasts%time.Hour != 0 {
				return cli.Usagef("--for %s: want whole hours", lasts)
			}
			in := client.Request{Method: http.MethodPost, Path: "/node-tokens", In: routes.NewToken{Name: name, Hours: int(lasts / time.Hour)}}
			return cli.Told(cmd.Context(), a, in, func(made routes.Made) string {
				return fmt.Sprintf("%s\n(good once, until %s; it is not shown again)\n\nOn the new node's machine:\n  %s\n  thatch node run",
					made.Token.Token, made.Expires.Local().Format("2006-01-02 15:04"), made.Command)
			})
		},
	}
	create.Flags().StringVar(&name, "name", "", "what it is for, such as the name of the node that will join")
	create.Flags().DurationVar(&lasts, "for", 0, "how long it is good, such as 24h; 0: a day")
	_ = create.MarkFlagRequired("name") // the flag is there
	cmd.AddCommand(create, a.List(cli.Listing{
		Use: "list", Short: "List node tokens, without their secrets",
		Long:    "Columns to filter and sort by: id, name, expires, created, by, revoked, used, node.",
		Example: "  thatch node token list --filter revoked=no",
		Path:    "/node-tokens", Heads: []string{"ID", "NAME", "EXPIRES", "USED", "NODE", "REVOKED", "BY"},
		Keys: []string{"id", "name", "expires", "used", "node", "revoked", "by"},
	}), &cobra.Command{
		Use: "revoke ID", Short: "Revoke a node token that nobody used", Args: cli.Args("ID"),
		Example: "  thatch node token revoke 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Delete(cmd.Context(), client.Path("node-tokens", args[0]), "revoked", args[0])
		},
	})
	return cmd
}

// joinFlags are how a node is to join.
type joinFlags struct {
	at, token, listen, name string
	names                   []string
	silent                  bool
}

// JoinCommand is thatch node join.
func JoinCommand(a *cli.App) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use: "join", Short: "Make an empty data folder that of one more node of a site", Args: cobra.NoArgs,
		Long: "Have a site take one more node: its data folder gets the node's keys and its certificate. Then start the node (thatch node run,\n" +
			"or thatch service install); it fetches the site's database, and votes once it holds what there is.\n" +
			"A join that was cut short is done again with the same token. --token - reads it from the standard input, --token @FILE from\n" +
			"a file. Give --listen and --names as they will be given to thatch node run.",
		Example: "  thatch node join --site-node https://n1.example:8743 --token tn1-abcdefghijklmnopqrstuvwxyz234567-0123456789abcdef0123456789abcdef\n" +
			"  thatch node join --site-node https://n1.example:8743 --token @token.txt --data /var/lib/thatch --non-voting",
		RunE: func(cmd *cobra.Command, _ []string) error { return join(cmd.Context(), a, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "site-node", "", "https://HOST:PORT of any node of the site (THATCH_SITE_NODE)")
	flags.StringVar(&f.token, "token", "", "node token, as it was made at the site with: thatch node token create")
	flags.StringVar(&f.listen, "listen", reach.DefaultListen, "HOST:PORT at which the node will listen (THATCH_LISTEN)")
	flags.StringSliceVar(&f.names, "names", nil, "more host names and addresses under which it will be reached (THATCH_NAMES)")
	flags.StringVar(&f.name, "node-name", "", "what people call the node; the machine's name by default (THATCH_NODE_NAME)")
	flags.BoolVar(&f.silent, "non-voting", false, "the node holds data and payloads and serves agents, and has no vote")
	_ = cmd.MarkFlagRequired("site-node") // the flags are there
	_ = cmd.MarkFlagRequired("token")
	return cmd
}

func join(ctx context.Context, a *cli.App, f joinFlags) error {
	text, err := a.Secret(f.token)
	if err != nil {
		return err
	}
	brought, err := members.ParseToken(text)
	if err != nil {
		return cli.Usage(err)
	}
	asked, err := f.asked(a)
	if err != nil {
		return err
	}
	asked.Token = brought
	found, err := membership.Join(ctx, asked)
	if err != nil {
		return fmt.Errorf("join the site: %w", err)
	}
	return a.Print(found, func(w io.Writer) error {
		did := "is one of"
		if found.Again {
			did = "was already one of"
		}
		site := found.Site
		if found.Name != "" { // the folder of a site's first node does not say it
			site = found.Name + " (" + site + ")"
		}
		_, err := fmt.Fprintf(w, "node %s %s site %s; start it: thatch node run --data %s\n", found.Node, did, site, a.Node.Dir)
		return err
	})
}

// asked is what the flags ask for.
func (f joinFlags) asked(a *cli.App) (membership.Asked, error) {
	at, err := url.Parse(f.at)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		return membership.Asked{}, cli.Usagef("--site-node %q: want https://HOST:PORT", f.at)
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return membership.Asked{}, cli.Usagef("--listen %q: want HOST:PORT, such as :8743", f.listen)
	}
	host := at.Host
	if at.Port() == "" {
		host = net.JoinHostPort(at.Hostname(), "443")
	}
	asked := membership.Asked{
		Dir: a.Node.Dir, At: host, Name: reach.Name(f.name), Names: reach.CertificateNames(f.listen, f.names), Votes: !f.silent,
		Version: a.Version, Now: time.Now,
	}
	if _, port, _ := net.SplitHostPort(f.listen); port != "0" { // else only the start will know
		asked.Addresses = reach.Addresses(f.listen, f.names, "")
	}
	return asked, nil
}
