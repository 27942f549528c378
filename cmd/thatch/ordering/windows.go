package ordering

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	orders "thatch/console/api/policies"
	"thatch/node/policies/windows"
	"thatch/schedule"
)

func windowsCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "windows", Short: "Maintenance windows: when computers may install", Args: cobra.NoArgs,
		Example: "  thatch windows create --name night --repeat daily --start 22:00 --for 4h",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.List(cli.Listing{
		Use: "list", Short: "List maintenance windows", Path: "/windows", Long: "Columns to filter and sort by: " + cli.Columns(windows.Columns()),
		Example: "  thatch windows list --filter open=yes",
		Heads:   []string{"WINDOW", "WHEN", "OPEN", "CLOSES", "OPENS", "COMPUTERS", "SITE", "ID"},
		Keys:    []string{"name", "text", "open", "closes", "opens", "computers", "site", "id"},
	}), windowsCreate(a), &cobra.Command{
		Use: "show WINDOW", Short: "Show a maintenance window", Args: cli.Args("WINDOW"), Example: "  thatch windows show night",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("windows", args[0]))
		},
	}, windowsChange(a), windowsDelete(a))
	return cmd
}

// windowFlags are the flags that say when a window is open, and for whom.
type windowFlags struct {
	name, repeat, week, start, zone, from, until string
	weekdays                                     []string
	offset                                       int
	lasts                                        time.Duration
	target                                       targetFlags
}

func (f *windowFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "what people call it")
	flags.StringVar(&f.repeat, "repeat", "", "daily, weekly or monthly")
	flags.StringSliceVar(&f.weekdays, "weekdays", nil, "of a weekly window: monday,friday; of a monthly one: the one it is counted by")
	flags.StringVar(&f.week, "week", "", "of a monthly window: first, second, third, fourth or last of its weekday in the month")
	flags.IntVar(&f.offset, "days-after", 0, "of a monthly window: it opens so many days after that weekday")
	flags.StringVar(&f.start, "start", "", "time of day at which it opens, such as 22:00")
	flags.DurationVar(&f.lasts, "for", 0, "how long it is open, such as 4h")
	flags.StringVar(&f.zone, "zone", "", "time zone, such as Europe/Berlin; without it each computer's own")
	flags.StringVar(&f.from, "from", "", "first date on which it opens, such as 2026-12-01")
	flags.StringVar(&f.until, "until", "", "last date on which it opens")
	f.target.bind(cmd, false)
}

// fill sets what was given in a window, so that a change leaves the rest as it is.
func (f *windowFlags) fill(cmd *cobra.Command, w *windows.Body) error {
	changed := func(name string) bool { return cmd.Flag(name).Changed }
	for name, field := range map[string]*string{"name": &w.Name, "start": &w.Start, "zone": &w.Zone, "from": &w.From, "until": &w.Until} {
		if changed(name) {
			*field = map[string]string{"name": f.name, "start": f.start, "zone": f.zone, "from": f.from, "until": f.until}[name]
		}
	}
	if changed("repeat") {
		w.Repeat = schedule.Repeat(strings.ToLower(f.repeat))
		if w.Repeat != schedule.Monthly {
			w.Week, w.OffsetDays = "", 0
		}
		if w.Repeat == schedule.Daily {
			w.Weekdays = nil
		}
	}
	if changed("week") {
		w.Week = schedule.Week(strings.ToLower(f.week))
	}
	if changed("days-after") {
		w.OffsetDays = f.offset
	}
	if changed("weekdays") {
		w.Weekdays = nil
		for _, day := range f.weekdays {
			w.Weekdays = append(w.Weekdays, schedule.Weekday(strings.ToLower(day)))
		}
	}
	if changed("for") {
		if f.lasts%time.Minute != 0 {
			return cli.Usagef("--for %s: want whole minutes", f.lasts)
		}
		w.Minutes = int(f.lasts / time.Minute)
	}
	if f.target.given(cmd) {
		w.Target = f.target.target(false)
	}
	return nil
}

func windowsCreate(a *cli.App) *cobra.Command {
	var f windowFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Make a maintenance window", Args: cobra.NoArgs,
		Long: "Make a maintenance window: while windows apply to a computer, installs start only when one of them is open. An install\n" +
			"that outlasts its window completes; its restart waits for the next.",
		Example: "  thatch windows create --name night --repeat daily --start 22:00 --for 4h\n" +
			"  thatch windows create --name 'after Patch Tuesday' --repeat monthly --week second --weekdays tuesday --days-after 4 --start 20:00 --for 8h --zone Europe/Berlin --type server",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var body windows.Body
			if err := f.fill(cmd, &body); err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var made windows.Row
			if err := c.Post(cmd.Context(), "/windows", body, &made); err != nil {
				return err
			}
			return a.Print(made, func(w io.Writer) error { return printWindow(w, "made", made) })
		},
	}
	f.bind(cmd)
	for _, name := range []string{"name", "repeat", "start", "for"} {
		_ = cmd.MarkFlagRequired(name) // the flag is there
	}
	return cmd
}

func printWindow(w io.Writer, word string, made windows.Row) error {
	_, err := fmt.Fprintf(w, "%s: %s, %s (%s)\n", word, made.Name, made.Text, made.ID)
	return err
}

func windowsChange(a *cli.App) *cobra.Command {
	var f windowFlags
	var version string
	cmd := &cobra.Command{
		Use: "change WINDOW", Short: "Change a maintenance window", Args: cli.Args("WINDOW"),
		Example: "  thatch windows change night --start 23:00",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var now windows.Row
			if err := c.Get(cmd.Context(), client.Path("windows", args[0]), nil, &now); err != nil {
				return err
			}
			in := orders.WindowChange{Body: windows.Body{Window: now.Window, Target: now.Target}, Version: now.Version}
			if version != "" {
				in.Version = version
			}
			if err := f.fill(cmd, &in.Body); err != nil {
				return err
			}
			if err := c.Put(cmd.Context(), client.Path("windows", now.ID), in, &now); err != nil {
				return err
			}
			return a.Print(now, func(w io.Writer) error { return printWindow(w, "changed", now) })
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&version, "version", "", "only if the window still has this version")
	return cmd
}

func windowsDelete(a *cli.App) *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use: "delete WINDOW", Short: "Delete a maintenance window", Args: cli.Args("WINDOW"), Example: "  thatch windows delete night",
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if version != "" {
				query.Set("version", version)
			}
			return remove(cmd, a, client.Path("windows", args[0]), query, args[0])
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "only if the window still has this version")
	return cmd
}
