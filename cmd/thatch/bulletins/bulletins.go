// Package bulletins holds the commands of the catalog: imports, bulletins, updates, packages, custom severities, and the
// evaluation of recorded hosts.
package bulletins

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api"
	apicatalog "thatch/console/api/catalog"
	"thatch/console/api/client"
	"thatch/console/api/offers"
	"thatch/node/bulletins/staging"
	"thatch/node/tasks"
)

// Commands are all of them.
func Commands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		catalogCommand(a), bulletinsCommand(a), updatesCommand(a), packagesCommand(a), severitiesCommand(a), evaluateCommand(a),
	}
}

func bulletinsCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bulletins", Short: "Bulletins: list, show, stage, give a custom severity", Args: cobra.NoArgs,
		Example: "  thatch bulletins list --filter latest=yes --filter severity=Critical",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(bulletinsList(a), bulletinsShow(a), bulletinsStage(a), bulletinsUnstage(a), bulletinsSeverity(a), bulletinsAlarms(a), bulletinsSuperseded(a),
		bulletinsOffer(a, "never", "Never offer bulletins", "never-offer", neverText), bulletinsOffer(a, "offer", "Offer bulletins again", "offer", ""))
	return cmd
}

func bulletinsSuperseded(a *cli.App) *cobra.Command {
	return a.List(cli.Listing{
		Use: "superseded", Short: "List bulletins all of whose updates are replaced, and by what", Path: "/superseded-bulletins",
		Long:    "Columns to filter and sort by: bulletin, by, by_latest, id, month, policies, released, severity, staged, title, updates, vendor.",
		Example: "  thatch bulletins superseded --filter 'policies=>0'",
		Heads:   []string{"BULLETIN", "MONTH", "SEVERITY", "STAGED", "POLICIES", "REPLACED BY", "DESCRIPTION"},
		Keys:    []string{"bulletin", "month", "severity", "staged", "policies", "by", "title"},
	})
}

func bulletinsList(a *cli.App) *cobra.Command {
	var group string
	list := a.List(cli.Listing{
		Use: "list", Short: "List bulletins, newest first",
		Long: "Columns to filter and sort by: id, bulletin, title, description, cve, source, vendor, severity, custom_severity,\n" +
			"released, revised, month, staged, exploited, disclosed, superseded, latest, never_offered, updates, downloaded, policies, needed, cves.",
		Example: "  thatch bulletins list --filter month=2019-02 --filter exploited=yes\n  thatch bulletins list -q flash --sort -cves\n" +
			"  thatch bulletins list --filter latest=yes --group severity",
		Path: "/bulletins",
		Heads: []string{
			"BULLETIN", "SEVERITY", "CUSTOM SEVERITY", "STAGED", "POLICIES", "UPDATES", "DOWNLOADED", "RELEASED", "REVISED",
			"EXPLOITED", "CVES", "NEEDED", "MONTH", "DESCRIPTION",
		},
		Keys: []string{
			"bulletin", "severity", "custom_severity", "staged", "policies", "updates", "downloaded", "released", "revised",
			"exploited", "cves", "needed", "month", "title",
		},
	})
	list.Flags().StringVar(&group, "group", "", "count by the values of a column instead")
	rows := list.RunE
	groups := a.List(cli.Listing{
		Path: "/bulletin-groups", Heads: []string{"VALUE", "BULLETINS"}, Keys: []string{"value", "count"},
		Flags: map[string]string{"by": ""},
	})
	list.RunE = func(cmd *cobra.Command, args []string) error {
		if group == "" {
			return rows(cmd, args)
		}
		groups.SetContext(cmd.Context())
		if err := cli.CopyFlags(cmd, groups); err != nil {
			return err
		}
		if err := groups.Flags().Set("by", group); err != nil {
			return err
		}
		return groups.RunE(groups, nil)
	}
	return list
}

func bulletinsShow(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "show BULLETIN", Short: "Show a bulletin with its updates, vulnerabilities and supersedence", Args: cli.Args("BULLETIN"),
		Long:    "BULLETIN is a name, such as KB4487017, or an id.",
		Example: "  thatch bulletins show KB4487017",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("bulletins", args[0]))
		},
	}
}

func bulletinsStage(a *cli.App) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use: "stage BULLETIN...", Short: "Stage bulletins: download their packages", Args: someBulletins,
		Long: "Download every package of the bulletins' updates that is neutral or in a managed language, check its digest and its\n" +
			"signature. What failed before is tried again. Updates without such a package are named, and hold up nothing.\n" +
			"The exit code is 1 when a package could not be had or was refused.",
		Example: "  thatch bulletins stage sp94801\n  thatch bulletins stage KB4487017 KB4487044 --detach",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer api.StageAnswer
			if err := c.Post(cmd.Context(), "/bulletins/stage", api.Named{Bulletins: args}, &answer); err != nil {
				return err
			}
			if answer.Run != "" && !detach {
				if answer, err = follow(cmd, a, c, answer); err != nil {
					return err
				}
			}
			if err := a.Print(answer, func(w io.Writer) error { return printStaged(w, answer) }); err != nil || detach {
				return err
			}
			return failures(answer.Alarms)
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for the downloads")
	return cmd
}

// follow waits for the downloads, and asks then how the bulletins stand.
func follow(cmd *cobra.Command, a *cli.App, c *client.Client, answer api.StageAnswer) (api.StageAnswer, error) {
	run, err := a.Wait(cmd.Context(), c, answer.Run)
	if err != nil {
		return answer, err
	}
	now := api.StageAnswer{Run: answer.Run, Alarms: []staging.Alarm{}}
	query := url.Values{}
	for _, b := range answer.Bulletins {
		query.Add("bulletin", b.ID)
	}
	if err := c.Get(cmd.Context(), "/staging", query, &now); err != nil {
		return answer, err
	}
	if run.State != tasks.Done {
		return now, fmt.Errorf("%s %s: %s", run.Task, run.State, run.Error)
	}
	return now, nil
}

func failures(alarms []staging.Alarm) error {
	failed := 0
	for _, alarm := range alarms {
		if alarm.Status == staging.Failed || alarm.Status == staging.Refused {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d updates could not be staged; see above", failed)
	}
	return nil
}

func printStaged(w io.Writer, answer api.StageAnswer) error {
	rows := make([][]string, len(answer.Bulletins))
	for i, b := range answer.Bulletins {
		rows[i] = []string{b.Name, cli.Text(b.Staged), fmt.Sprint(b.Updates), fmt.Sprint(b.Downloaded), b.CustomSeverity}
	}
	if err := cli.Table(w, []string{"BULLETIN", "STAGED", "UPDATES", "DOWNLOADED", "CUSTOM SEVERITY"}, rows); err != nil {
		return err
	}
	standings := make([]cli.Standing, len(answer.Alarms))
	for i, alarm := range answer.Alarms {
		standings[i] = cli.Standing{
			Bulletin: alarm.Bulletin, Update: alarm.Update, Product: alarm.Product, Status: string(alarm.Status), Text: alarm.Text,
		}
	}
	cli.Reasons(w, standings)
	return nil
}

func someBulletins(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cli.Usagef("%s takes one bulletin or more", cmd.CommandPath())
	}
	return nil
}

func bulletinsUnstage(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "unstage BULLETIN...", Short: "Stage bulletins no longer", Args: someBulletins,
		Example: "  thatch bulletins unstage sp94801",
		RunE: func(cmd *cobra.Command, args []string) error {
			return postNamed(cmd, a, "/bulletins/unstage", api.Named{Bulletins: args})
		},
	}
}

func bulletinsSeverity(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "severity SEVERITY|none BULLETIN...", Short: "Give bulletins a custom severity, or take it away",
		Long:    "The vendor's own severity stays as it is. All of the bulletins are changed, or none.",
		Example: "  thatch bulletins severity \"This week\" KB4487017 KB4487044\n  thatch bulletins severity none KB4487017",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cli.Usagef("%s takes a custom severity, or none, and one bulletin or more", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return postNamed(cmd, a, "/bulletins/severity", api.Named{Severity: args[0], Bulletins: args[1:]})
		},
	}
}

func postNamed(cmd *cobra.Command, a *cli.App, path string, in api.Named) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var answer api.StageAnswer
	if err := c.Post(cmd.Context(), path, in, &answer); err != nil {
		return err
	}
	answer.Alarms = []staging.Alarm{} // nothing was downloaded, so there is nothing new to say of it
	return a.Print(answer, func(w io.Writer) error { return printStaged(w, answer) })
}

const neverText = "They are staged no longer, go into no new policy, and are not missing where they are not installed. Policies that were\n" +
	"made before keep what they pin."

func bulletinsOffer(a *cli.App, verb, short, route, long string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " BULLETIN...", Short: short, Args: someBulletins, Long: long, Example: "  thatch bulletins " + verb + " KB4487017",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var answer offers.Decided
			if err := c.Post(cmd.Context(), "/bulletins/"+route, offers.Named{Bulletins: args}, &answer); err != nil {
				return err
			}
			return a.Print(answer, func(w io.Writer) error {
				for _, b := range answer.Bulletins {
					said := "is offered"
					if b.Never {
						said = "is never offered"
					}
					if _, err := fmt.Fprintf(w, "%s %s\n", b.Name, said); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func bulletinsAlarms(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "alarms", Short: "List what of staged bulletins calls for a person", Args: cobra.NoArgs,
		Example: "  thatch bulletins alarms",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Items(cmd.Context(), cli.Listing{
				Path: "/staging/alarms", Heads: []string{"BULLETIN", "UPDATE", "PRODUCT", "STATUS", "WHY"},
				Keys: []string{"bulletin", "update", "product", "status", "text"},
			})
		},
	}
}

func updatesCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "updates", Short: "Updates of bulletins: one per product", Args: cobra.NoArgs,
		Example: "  thatch updates list --filter bulletin=KB4487017",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List updates",
		Long: "Columns to filter and sort by: id, number, update, kb, source, bulletin, product, severity, class, month, no_rule,\n" +
			"exploited, superseded, withdrawn, detector, status, packages.",
		Example: "  thatch updates list --filter bulletin=KB4487017 --filter superseded=no\n  thatch updates list --filter no_rule=yes",
		Path:    "/updates",
		Heads:   []string{"NUMBER", "UPDATE", "BULLETIN", "PRODUCT", "SEVERITY", "MONTH", "SUPERSEDED", "PACKAGES", "STATUS", "NO RULE"},
		Keys:    []string{"number", "update", "bulletin", "product", "severity", "month", "superseded", "packages", "status", "no_rule"},
	}), &cobra.Command{
		Use: "show UPDATE", Short: "Show an update with its rules, packages and supersedence", Args: cli.Args("UPDATE"),
		Long:    "UPDATE is an id, as thatch updates list --json prints it.",
		Example: "  thatch updates show msrc/KB4487017/11568",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("updates", args[0]))
		},
	}, a.List(cli.Listing{
		Use: "cves", Short: "List the vulnerabilities that updates fix",
		Long:    "Columns to filter and sort by: cve, title, severity, score, exploited, disclosed, bulletin, updates.",
		Example: "  thatch updates cves --filter exploited=yes --sort -score",
		Path:    "/cves",
		Heads:   []string{"CVE", "SEVERITY", "SCORE", "EXPLOITED", "DISCLOSED", "UPDATES", "BULLETINS", "TITLE"},
		Keys:    []string{"cve", "severity", "score", "exploited", "disclosed", "updates", "bulletins", "title"},
	}), &cobra.Command{
		Use: "cve CVE", Short: "Show a vulnerability with the bulletins and updates that fix it", Args: cli.Args("CVE"),
		Example: "  thatch updates cve CVE-2019-0540",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("cves", args[0]))
		},
	})
	return cmd
}

func severitiesCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "severities", Short: "Custom severities of the site", Args: cobra.NoArgs,
		Example: "  thatch severities create \"This week\"",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List the custom severities, most severe first", Example: "  thatch severities list",
		Long: "Columns to filter and sort by: id, severity, order, bulletins, origin, site.",
		Path: "/severities", Heads: []string{"SEVERITY", "ORDER", "BULLETINS", "SITE", "ID"},
		Keys: []string{"severity", "order", "bulletins", "site", "id"},
	}), severitiesCreate(a), severitiesChange(a, "rename SEVERITY NAME", "Rename a custom severity", "thatch severities rename \"This week\" Urgent", true),
		severitiesChange(a, "order SEVERITY NUMBER", "Give a custom severity another place: higher is more severe", "thatch severities order Urgent 40", false),
		severitiesDelete(a))
	return cmd
}

func severitiesCreate(a *cli.App) *cobra.Command {
	var order int
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a custom severity", Args: cli.Args("NAME"),
		Long:    "Without --order it is above all others.",
		Example: "  thatch severities create \"This week\" --order 20",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := apicatalog.NewSeverity{Name: args[0]}
			if cmd.Flags().Changed("order") {
				in.Order = &order
			}
			create := client.Request{Method: http.MethodPost, Path: "/severities", In: in}
			return cli.Told(cmd.Context(), a, create, func(api.Made) string { return "custom severity " + args[0] + " is made" })
		},
	}
	cmd.Flags().IntVar(&order, "order", 0, "higher is more severe")
	return cmd
}

func severitiesChange(a *cli.App, use, short, example string, rename bool) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: "  " + example, Args: cli.Args(strings.Fields(use)[1:]...),
		RunE: func(cmd *cobra.Command, args []string) error {
			var in apicatalog.SeverityChange
			if rename {
				in.Name = &args[1]
			} else {
				var order int
				if err := json.Unmarshal([]byte(args[1]), &order); err != nil {
					return cli.Usagef("%q is no number", args[1])
				}
				in.Order = &order
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.Put(cmd.Context(), client.Path("severities", args[0]), in, nil); err != nil {
				return err
			}
			return a.Done("changed", args[0], "custom severity "+args[0]+" is changed")
		},
	}
}

func severitiesDelete(a *cli.App) *cobra.Command {
	var reassign string
	cmd := &cobra.Command{
		Use: "delete SEVERITY", Short: "Delete a custom severity", Args: cli.Args("SEVERITY"),
		Long:    "One that bulletins have is refused, unless --reassign names another one for them, or none.",
		Example: "  thatch severities delete \"This week\" --reassign none",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if reassign != "" {
				query.Set("reassign", reassign)
			}
			if err := c.Do(cmd.Context(), client.Request{Method: "DELETE", Path: client.Path("severities", args[0]), Query: query}, nil); err != nil {
				return err
			}
			return a.Done("deleted", args[0], "custom severity "+args[0]+" is deleted")
		},
	}
	cmd.Flags().StringVar(&reassign, "reassign", "", "custom severity for the bulletins that have it, or none")
	return cmd
}
