package main

import (
	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/reports"
)

var (
	attemptHeads = []string{"ATTEMPTS", "SUCCEEDED", "FAILED", "STILL MISSING", "LATEST"}
	attemptKeys  = []string{"executed", "succeeded", "failures", "remained", "last_day"}
	daysFlag     = map[string]string{"days": "how many days up to now, or to the end of --as-of; by default 30", cli.AsOf: cli.AsOfText}
)

func deliveryLists(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		a.List(cli.Listing{
			Use: "policies", Short: "By policy: computers meant, done, waiting, failed, and the attempts", Path: "/delivery/policies",
			Long:    "Columns to filter and sort by: " + cli.Columns(reports.PolicyColumns),
			Example: "  thatch delivery policies --filter 'failed=>0'", Flags: daysFlag,
			Heads: append([]string{"POLICY", "STATE", "COMPUTERS", "DONE", "NOT DONE", "FAILED NOW"}, attemptHeads...),
			Keys:  append([]string{"policy", "state", "targeted", "done", "waiting", "failed"}, attemptKeys...),
		}),
		a.List(cli.Listing{
			Use: "updates", Short: "By update, those that failed most often first", Path: "/delivery/updates",
			Long:    "Columns to filter and sort by: " + cli.Columns(reports.UpdateColumns),
			Example: "  thatch delivery updates --filter 'failures=>0' --days 7", Flags: daysFlag,
			Heads: append([]string{"UPDATE", "BULLETIN", "PRODUCT"}, attemptHeads...), Keys: append([]string{"update", "bulletin", "product"}, attemptKeys...),
		}),
	}
}

func computerGroups(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "groups", Short: "List groups, with how many of their computers call for a person", Path: "/computer-groups",
		Long:    "Columns to filter and sort by: " + cli.Columns(reports.GroupColumns),
		Example: "  thatch computers groups --sort -exploited",
		Heads:   []string{"GROUP", "COMPUTERS", "ATTENTION", "EXPLOITED", "NOT REPORTING", "CANNOT TELL", "COMPLETE"},
		Keys:    []string{"group", "computers", "attention", "exploited", "silent", "unknown", "complete"},
		Flags:   map[string]string{cli.AsOf: cli.AsOfText},
	})
}

func complianceSummary(a *cli.App) *cobra.Command {
	cmd := a.List(cli.Listing{
		Use: "summary", Short: "A report summed up by severity, computers by how much they miss", Path: "/compliance/summary",
		Long: "Of computers: complete are those that reported, miss nothing, and of which nothing cannot be told; nearly are 95 % and more of\n" +
			"what concerns them, partly 80 % and more, barely less; untold those that never reported.\n\nColumns to filter and sort by: " + cli.Columns(reports.LineColumns),
		Example: "  thatch compliance summary --of cves\n  thatch compliance summary --of computers",
		Heads:   []string{"NAME", "KNOWN", "CONCERN A COMPUTER", "COMPLETE", "OPEN", "EXPLOITED", "DISCLOSED", "PAIRS MISSING"},
		Keys:    []string{"name", "known", "concerns", "complete", "open", "exploited", "disclosed", "missing"},
		Flags:   map[string]string{"of": "bulletins, updates, cves or computers", cli.AsOf: cli.AsOfText},
	})
	_ = cmd.MarkFlagRequired("of") // the flag is there
	return cmd
}
