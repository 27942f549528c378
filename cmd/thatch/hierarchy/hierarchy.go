// Package hierarchy holds the commands of the tree of sites: joining and leaving a parent, children and their tokens,
// replication rules, alarms.
package hierarchy

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/node/sites"
	tree "thatch/node/sites/hierarchy"
)

// Commands are all of them.
func Commands(a *cli.App, replication ...*cobra.Command) []*cobra.Command {
	return []*cobra.Command{hierarchyCommand(a), childCommand(a), childrenCommand(a), replicationCommand(a, replication), alarmsCommand(a)}
}

func hierarchyCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "hierarchy", Short: "Show the tree of sites: languages, last contact, last runs, alarms", Args: cobra.NoArgs,
		Long: "Show the sites above this one and all those below, with the languages that each manages and needs below, when it was\n" +
			"last heard of, how many changes it has not taken over yet, the last run of each type, and whether the last\n" +
			"verification found it equal.",
		Example: "  thatch hierarchy\n  thatch hierarchy --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var h tree.Hierarchy
			if err := c.Get(cmd.Context(), "/hierarchy", nil, &h); err != nil {
				return err
			}
			return a.Print(h, func(w io.Writer) error { return printHierarchy(w, h) })
		},
	}
}

func printHierarchy(w io.Writer, h tree.Hierarchy) error {
	rows := make([][]string, len(h.Sites))
	var runs [][]string
	for i := range h.Sites {
		m := &h.Sites[i]
		name := strings.Repeat("  ", m.Depth) + m.Name
		if m.ID == h.Self {
			name += " (this site)"
		}
		row := []string{name, strings.Join(m.Languages, ","), strings.Join(m.Below, ","), "", "", m.Version}
		if m.Link != nil {
			row[3] = moment(m.Link.Seen)
			row[4] = linkText(m)
			for _, run := range m.Link.Runs {
				ended := ""
				if !run.Ended.IsZero() { // else it goes on
					ended = moment(run.Ended)
				}
				runs = append(runs, []string{
					m.Name, run.Direction, run.Type, run.Mode, run.State, ended, fmt.Sprint(run.Documents), fmt.Sprint(run.Bytes),
					equalText(run), run.Error,
				})
			}
		}
		rows[i] = row
	}
	if err := cli.Table(w, []string{"SITE", "LANGUAGES", "BELOW", "LAST CONTACT", "LINK", "VERSION"}, rows); err != nil {
		return err
	}
	if len(runs) > 0 {
		fmt.Fprintln(w)
		heads := []string{"WITH", "WAY", "TYPE", "MODE", "LAST RUN", "ENDED", "DOCUMENTS", "BYTES", "VERIFIED", "ERROR"}
		if err := cli.Table(w, heads, runs); err != nil {
			return err
		}
	}
	return printAlarms(w, h.Alarms)
}

func printAlarms(w io.Writer, alarms []sites.Alarm) error {
	if len(alarms) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := make([][]string, len(alarms))
	for i, alarm := range alarms {
		rows[i] = []string{alarm.Kind, moment(alarm.Since), alarm.Text, alarm.Advice}
	}
	return cli.Table(w, []string{"ALARM", "SINCE", "WHAT", "WHAT TO DO"}, rows)
}

func linkText(m *tree.Member) string {
	switch {
	case !m.Link.Revoked.IsZero():
		return "revoked"
	case m.Relation != "child":
		return ""
	case m.Link.Behind >= tree.MaxBehind:
		return fmt.Sprintf("%d changes behind, or more", m.Link.Behind)
	case m.Link.Behind > 0:
		return fmt.Sprintf("%d changes behind", m.Link.Behind)
	}
	return "up to date"
}

func equalText(run tree.RunSummary) string {
	switch {
	case run.Equal == nil:
		return ""
	case !*run.Equal:
		return "DIFFERENT " + short(run.Digest)
	}
	return strings.TrimSpace("equal " + short(run.Digest))
}

func short(digest string) string { return digest[:min(len(digest), 16)] }

func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func alarmsCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "alarms", Short: "What calls for a person in the tree of sites", Args: cobra.NoArgs,
		Example: "  thatch alarms list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List alarms, those that stand first",
		Long:    "Columns to filter and sort by: kind, subject, since, cleared, standing.",
		Example: "  thatch alarms list --filter standing=yes",
		Path:    "/alarms", Heads: []string{"KIND", "SUBJECT", "SINCE", "CLEARED", "WHAT", "WHAT TO DO"},
		Keys: []string{"kind", "subject", "since", "cleared", "text", "advice"},
	}), &cobra.Command{
		Use: "show KIND [SUBJECT]", Short: "Show one alarm", Args: kindAndSubject,
		Example: "  thatch alarms show language-below fr",
		RunE:    func(cmd *cobra.Command, args []string) error { return showAlarm(cmd, a, args) },
	}, &cobra.Command{
		Use: "clear KIND [SUBJECT]", Short: "End an alarm that was seen to", Args: kindAndSubject,
		Long:    "End an alarm that was seen to. Most end by themselves; one that is true still comes again.",
		Example: "  thatch alarms clear refused 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			in := client.Request{Method: http.MethodDelete, Path: "/alarms/one", Query: kindQuery(args)}
			if err := c.Do(cmd.Context(), in, nil); err != nil {
				return err
			}
			return a.Print(map[string]string{"cleared": strings.Join(args, " ")}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "cleared")
				return err
			})
		},
	})
	return cmd
}

func kindQuery(args []string) url.Values {
	query := url.Values{"kind": {args[0]}}
	if len(args) > 1 {
		query.Set("subject", args[1])
	}
	return query
}

func showAlarm(cmd *cobra.Command, a *cli.App, args []string) error {
	return a.Ask(cmd.Context(), client.Request{Method: http.MethodGet, Path: "/alarms/one", Query: kindQuery(args)})
}

func kindAndSubject(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return cli.Usagef("%s takes a kind and, where there is one, a subject, as thatch alarms list shows them", cmd.CommandPath())
	}
	return nil
}
