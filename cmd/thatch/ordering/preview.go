package ordering

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	ordered "thatch/console/api/policies"
	"thatch/node/policies"
	"thatch/node/policies/outlook"
)

// policyLists are the lists that belong to one policy.
func policyLists(a *cli.App) []*cobra.Command {
	of := func(l cli.Listing) *cobra.Command {
		l.Path, l.Args = "/policies", []string{"POLICY"}
		return a.List(l)
	}
	return []*cobra.Command{
		of(cli.Listing{
			Use: "computers POLICY", Short: "List the computers that a policy is for at this site, and how they stand", After: "/computers",
			Long:    "Columns to filter and sort by: " + cli.Columns(outlook.StandingColumns()),
			Example: "  thatch policies computers February --filter state=failed",
			Heads:   []string{"COMPUTER", "GROUP", "PLATFORM", "LANGUAGE", "STATE", "MISSING", "ID"},
			Keys:    []string{"computer", "group", "platform", "language", "state", "missing", "id"},
		}),
		of(cli.Listing{
			Use: "updates POLICY", Short: "List the updates that a policy pins", After: "/updates",
			Long:    "Columns to filter and sort by: " + cli.Columns(policies.PinnedColumns()),
			Example: "  thatch policies updates February --filter outdated=yes",
			Heads:   []string{"UPDATE", "PRODUCT", "ENABLED", "LANGUAGES", "HELD", "MISSING", "FAILED", "NOTE", "ID"},
			Keys:    []string{"update", "product", "enabled", "languages", "held", "missing", "failed", "note", "id"},
		}),
		of(cli.Listing{
			Use: "sites POLICY", Short: "List how this site and those below stand with a policy's bulletins", After: "/sites",
			Long:    "Columns to filter and sort by: site, computers, applicable, installed, missing, failed, told, as_of",
			Example: "  thatch policies sites February",
			Heads:   []string{"SITE", "COMPUTERS", "APPLICABLE", "INSTALLED", "MISSING", "FAILED", "AS OF", "ID"},
			Keys:    []string{"site", "computers", "applicable", "installed", "missing", "failed", "as_of", "id"},
		}),
		of(cli.Listing{
			Use: "history POLICY", Short: "List what people did with a policy at this site", After: "/history",
			Long:    "Columns to filter and sort by: at, by, did, action, detail",
			Example: "  thatch policies history February",
			Heads:   []string{"AT", "BY", "DID", "DETAIL"},
			Keys:    []string{"at", "by", "action", "detail"},
		}),
	}
}

// previewRevision says what revising a policy would change.
func previewRevision(cmd *cobra.Command, a *cli.App, name string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var found outlook.Revision
	if err := c.Get(cmd.Context(), client.Path("policies", name, "revision"), nil, &found); err != nil {
		return err
	}
	return a.Print(found, func(w io.Writer) error {
		for _, problem := range found.Problems {
			fmt.Fprintln(w, "not now:", problem)
		}
		if len(found.Changes) == 0 {
			_, err := fmt.Fprintln(w, "nothing would change")
			return err
		}
		rows := make([][]string, 0, len(found.Changes))
		for _, change := range found.Changes {
			rows = append(rows, []string{
				change.Change, change.Name, change.Product, fmt.Sprint(change.Were), fmt.Sprint(change.Packages), strings.Join(change.Added, ", "),
			})
		}
		return cli.Table(w, []string{"CHANGE", "UPDATE", "PRODUCT", "PACKAGES WERE", "PACKAGES", "NEW LANGUAGES"}, rows)
	})
}

// previewPolicy says what a policy would do, and makes none.
func previewPolicy(cmd *cobra.Command, a *cli.App, d policies.Draft) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var found ordered.Preview
	if err := c.Post(cmd.Context(), "/policies/preview", d, &found); err != nil {
		return err
	}
	return a.Print(found, func(w io.Writer) error { return printPreview(w, &found) })
}

func printPreview(w io.Writer, p *ordered.Preview) error {
	for _, problem := range p.Problems {
		fmt.Fprintln(w, "not now:", problem)
	}
	c := p.Computers
	fmt.Fprintf(w, "%s would be for %d of %d computers of this site: %d miss something, %d are done, %d cannot tell\n",
		p.Policy, c.Targeted, c.All, c.Missing, c.Done, c.Unknown)
	for _, by := range []struct {
		head   string
		counts []outlook.Count
	}{{"platform", p.Platforms}, {"language", p.Languages}, {"group", p.Groups}} {
		fmt.Fprintf(w, "by %s: %s\n", by.head, valuesText(by.counts))
	}
	for _, window := range p.Windows {
		fmt.Fprintf(w, "window %s: %d computers, %s\n", window.Name, window.Count, window.Text)
	}
	if p.Free > 0 {
		fmt.Fprintf(w, "without a window: %d computers\n", p.Free)
	}
	if len(p.Sites) > 1 {
		for _, site := range p.Sites {
			fmt.Fprintf(w, "site %s: %d of %d computers miss something\n", site.Site, site.Missing, site.Computers)
		}
	}
	rows := make([][]string, 0, len(p.Updates))
	for _, u := range p.Updates {
		rows = append(rows, []string{fmt.Sprint(u.Number), u.Name, u.Product, cli.Text(u.Enabled), fmt.Sprint(u.Packages), fmt.Sprint(u.Missing), u.Waits})
	}
	fmt.Fprintln(w)
	if err := cli.Table(w, []string{"NUMBER", "UPDATE", "PRODUCT", "ENABLED", "PACKAGES", "MISSING", "WAITS FOR"}, rows); err != nil {
		return err
	}
	if p.Total == 0 {
		return nil
	}
	rows = rows[:0]
	for _, one := range p.List {
		at := ""
		if one.Starts != nil {
			at = one.Starts.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{one.Name, one.Platform, one.Language, at, strings.Join(one.Updates, ", ")})
	}
	fmt.Fprintf(w, "\nthe first %d of %d computers that miss something:\n", len(p.List), p.Total)
	return cli.Table(w, []string{"COMPUTER", "PLATFORM", "LANGUAGE", "FROM", "UPDATES"}, rows)
}

func valuesText(counts []outlook.Count) string {
	if len(counts) == 0 {
		return "none"
	}
	texts := make([]string, len(counts))
	for i, c := range counts {
		value := c.Value
		if value == "" {
			value = "not known"
		}
		texts[i] = fmt.Sprintf("%s %d", value, c.Targeted)
	}
	return strings.Join(texts, ", ")
}
