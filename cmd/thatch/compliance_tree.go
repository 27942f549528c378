package main

import (
	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/node/rollups"
)

// The figures of every report of the tree, for people.
var (
	figureHeads = []string{"APPLICABLE", "INSTALLED", "MISSING", "SCHEDULED", "FAILED", "UNKNOWN", "PERCENT"}
	figureKeys  = []string{"applicable", "installed", "missing", "scheduled", "failed", "unknown", "percent"}
)

const figuresText = "Of this site and all below it, added up, as each site told; AS OF is when the oldest of the figures was last known to be\n" +
	"true. Counts are computers; updates that others replace are left out. --of takes another site below, --own that one alone.\n\n" +
	"Columns to filter and sort by: "

const treeSitesText = "Each site with all below it, or alone with --own. Counts are pairs of computer and bulletin, or computers where --bulletin\n" +
	"or --update names one by its id. AGE is in seconds, of the oldest of the figures; TOLD is the site's own last word, HEARD when\n" +
	"the child was last heard of through which it comes.\n\nColumns to filter and sort by: "

const treeComputersText = "Of this site and all below it, the computers of those sites that tell of them one by one. Each site decides that for itself:\n" +
	"thatch settings set health.computers true, there. By default none does. LISTED of thatch compliance tree sites counts them.\n" +
	"SEEN is the day on which a computer was last heard of; AGE is in seconds, of everything that its site says of it. Counts are\n" +
	"updates; those that others replace are not missing.\n\nColumns to filter and sort by: "

// treeCommand is about the compliance of the site and all below it.
func treeCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tree", Short: "Compliance of this site and all sites below it", Args: cobra.NoArgs,
		Example: "  thatch compliance tree sites\n  thatch compliance tree bulletins --filter exploited=yes --sort -missing",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	reports := []cli.Listing{
		{
			Use: "bulletins", Short: "By bulletin, newest month first", Path: "/compliance/tree/bulletins", Long: figuresText + cli.Columns(rollups.BulletinColumns),
			Example: "  thatch compliance tree bulletins --filter severity=Critical --sort -missing\n  thatch compliance tree bulletins --of Berlin --json",
			Heads:   append([]string{"BULLETIN", "MONTH", "SEVERITY", "SITES"}, append(figureHeads, "AS OF")...),
			Keys:    append([]string{"bulletin", "month", "severity", "sites"}, append(figureKeys, "as_of")...),
		},
		{
			Use: "updates", Short: "By update, newest month first", Path: "/compliance/tree/updates", Long: figuresText + cli.Columns(rollups.UpdateColumns),
			Example: "  thatch compliance tree updates --filter 'missing=>0' --sort -missing",
			Heads:   append([]string{"UPDATE", "BULLETIN", "PRODUCT", "SEVERITY", "SITES"}, append(figureHeads, "AS OF")...),
			Keys:    append([]string{"update", "bulletin", "product", "severity", "sites"}, append(figureKeys, "as_of")...),
		},
		{
			Use: "sites", Short: "By site, in the order of the tree", Path: "/compliance/tree/sites", Long: treeSitesText + cli.Columns(rollups.SiteColumns),
			Example: "  thatch compliance tree sites --bulletin KB-ID --own\n  thatch compliance tree sites --filter 'not_reporting=>0'",
			Heads:   append([]string{"SITE", "DEPTH", "BELOW", "COMPUTERS", "LISTED", "NOT REPORTING", "ALARMS"}, append(figureHeads, "AGE", "TOLD", "HEARD")...),
			Keys:    append([]string{"site", "depth", "below", "computers", "listed", "not_reporting", "alarms"}, append(figureKeys, "age_seconds", "told", "heard")...),
		},
		{
			Use: "computers", Short: "Computers, where their sites tell of them one by one", Path: "/compliance/tree/computers",
			Long:    treeComputersText + cli.Columns(rollups.ComputerColumns),
			Example: "  thatch compliance tree computers --filter 'missing=>0' --sort -missing\n  thatch compliance tree computers --of Berlin --filter not_reporting=yes",
			Heads: []string{
				"SITE", "NAME", "GROUP", "PRODUCT", "BUILD", "LANGUAGES", "AGENT", "SEEN", "SIMULATED", "APPLICABLE", "INSTALLED", "MISSING", "FAILED", "UNKNOWN", "AGE",
			},
			Keys: []string{
				"site", "name", "group", "product", "build", "languages", "agent", "seen", "simulated", "applicable", "installed", "missing", "failed", "unknown", "age_seconds",
			},
		},
	}
	for _, report := range reports {
		report.Flags = map[string]string{"of": "the site, by its name or id; by default this one", "own": "of each site alone, without those below it"}
		if report.Use == "sites" {
			report.Flags["bulletin"], report.Flags["update"] = "counts of this bulletin alone, by its id", "counts of this update alone, by its id"
		}
		if report.Use == "sites" || report.Use == "bulletins" {
			report.Flags[cli.AsOf] = cli.AsOfText
		}
		inner := a.List(report)
		yes(inner, "own")
		cmd.AddCommand(inner)
	}
	return cmd
}
