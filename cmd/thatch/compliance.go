package main

import (
	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/history"
	"thatch/node/store"
)

// The counts of every report, for people.
var (
	countHeads = []string{"APPLICABLE", "INSTALLED", "MISSING", "UNKNOWN", "PENDING", "FAILED", "PERCENT"}
	countKeys  = []string{"applicable", "installed", "missing", "unknown", "pending", "failed", "percent"}
)

const countsText = "Counts are computers. Percent is installed of installed and missing. Superseded updates are left out of missing,\n" +
	"unless --all is given. Pending computers have not evaluated the newest revision yet.\n\nColumns to filter and sort by: "

func complianceCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "compliance", Short: "What is applicable, installed and missing where", Args: cobra.NoArgs,
		Example: "  thatch compliance bulletins --filter exploited=yes --sort -missing",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	reports := []cli.Listing{
		{
			Use: "bulletins", Short: "Compliance by bulletin, newest month first", Path: "/compliance/bulletins",
			Long:    countsText + cli.Columns(store.ColumnNames(report.OfBulletins)),
			Example: "  thatch compliance bulletins --filter severity=Critical --sort -missing\n  thatch compliance bulletins --filter month=2019-02 --json",
			Heads:   append([]string{"BULLETIN", "MONTH", "SEVERITY", "EXPLOITED", "UPDATES"}, countHeads...),
			Keys:    append([]string{"bulletin", "month", "severity", "exploited", "updates"}, countKeys...),
		},
		{
			Use: "updates", Short: "Compliance by update", Path: "/compliance/updates", Long: countsText + cli.Columns(store.ColumnNames(report.OfUpdates)),
			Example: "  thatch compliance updates --filter 'missing=>0' --sort -missing\n  thatch compliance updates --filter superseded=no -q 'windows 10'",
			Heads:   append([]string{"UPDATE", "BULLETIN", "PRODUCT", "SEVERITY", "EXPLOITED", "SUPERSEDED"}, countHeads...),
			Keys:    append([]string{"update", "bulletin", "product", "severity", "exploited", "superseded"}, countKeys...),
		},
		{
			Use: "cves", Short: "Compliance by vulnerability, newest first", Path: "/compliance/cves", Long: countsText + cli.Columns(store.ColumnNames(report.OfCVEs)),
			Example: "  thatch compliance cves --filter exploited=yes --filter 'missing=>0'\n  thatch compliance cves -q CVE-2019-0676",
			Heads:   append([]string{"CVE", "SEVERITY", "SCORE", "EXPLOITED", "BULLETINS"}, countHeads...),
			Keys:    append([]string{"cve", "severity", "score", "exploited", "bulletins"}, countKeys...),
		},
		{
			Use: "months", Short: "Compliance by month, newest first", Path: "/compliance/months", Long: countsText + cli.Columns(store.ColumnNames(report.OfMonths)),
			Example: "  thatch compliance months\n  thatch compliance months --as-of 2026-03-31",
			Heads:   append([]string{"MONTH", "BULLETINS", "UPDATES"}, countHeads...), Keys: append([]string{"month", "bulletins", "updates"}, countKeys...),
		},
		{
			Use: "computers", Short: "Compliance by computer; counts are updates", Path: "/compliance/computers",
			Long:    "Columns to filter and sort by: " + cli.Columns(store.ColumnNames(report.OfComputers)),
			Example: "  thatch compliance computers --filter 'percent=<95' --sort percent",
			Heads:   append([]string{"COMPUTER", "GROUP", "CRITICAL", "EXPLOITED"}, countHeads...),
			Keys:    append([]string{"computer", "group", "critical", "exploited"}, countKeys...),
		},
	}
	for _, report := range reports {
		report.Flags = map[string]string{"all": "superseded updates count as missing too", cli.AsOf: cli.AsOfText}
		inner := a.List(report)
		yes(inner, "all")
		cmd.AddCommand(inner)
	}
	cmd.AddCommand(concerned(a)...)
	cmd.AddCommand(treeCommand(a), complianceSummary(a), complianceDays(a))
	return cmd
}

// complianceDays lists what reports can be had as of.
func complianceDays(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "days", Short: "The past days of which figures are kept, oldest first, each summed up", Path: "/compliance/days",
		Long: "A day is kept when it is over, in the time zone of the setting site.time_zone, for as many days as the setting keep.figures_days\n" +
			"says. TAKEN is later than the end of the day where no node ran then. INSTALLED and MISSING are pairs of a computer and an\n" +
			"update. Reports of compliance take a day by --as-of.\n\nColumns to filter and sort by: " + cli.Columns(store.ColumnNames(history.Columns)),
		Example: "  thatch compliance days --sort -day --limit 30\n  thatch compliance bulletins --as-of 2026-03-31",
		Heads:   []string{"DAY", "COMPUTERS", "COMPLETE", "ATTENTION", "EXPLOITED", "NOT REPORTING", "INSTALLED", "MISSING", "PERCENT", "OPEN CVES", "TAKEN"},
		Keys:    []string{"day", "computers", "complete", "attention", "exploited", "silent", "installed", "missing", "percent", "cves", "taken"},
	})
}

// concerned are the commands about the computers that one thing concerns.
func concerned(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		a.List(cli.Listing{
			Use: "update UPDATE", Short: "The computers that an update concerns", Path: "/compliance/updates", Args: []string{"UPDATE"}, After: "/computers",
			Long:    "UPDATE is an id or a number.\n\nColumns to filter and sort by: " + cli.Columns(compliance.OnColumns),
			Example: "  thatch compliance update 17 --filter status=missing",
			Heads:   []string{"COMPUTER", "GROUP", "STATUS", "LAST SEEN", "ID"}, Keys: []string{"computer", "group", "status", "last_seen", "id"},
		}),
		a.List(cli.Listing{
			Use: "cve CVE", Short: "The computers that a vulnerability concerns", Path: "/cves", Args: []string{"CVE"}, After: "/computers",
			Long: "Open to it are those on which an update that fixes it, and that no other replaces, is missing or failed.\n\n" +
				"Columns to filter and sort by: " + cli.Columns(compliance.OnColumns),
			Example: "  thatch compliance cve CVE-2019-0540 --filter status=missing,failed",
			Heads:   []string{"COMPUTER", "GROUP", "STATUS", "LAST SEEN", "ID"}, Keys: []string{"computer", "group", "status", "last_seen", "id"},
		}),
	}
}
