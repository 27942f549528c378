package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/node/tasks"
)

func tasksCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tasks", Short: "What the site does by itself or for long", Args: cobra.NoArgs,
		Example: "  thatch tasks list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tasksList(a), tasksRun(a), tasksSchedule(a), tasksFollow(a), tasksCancel(a), tasksHistory(a))
	return cmd
}

func tasksList(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tasks with their schedule, last run and next", Args: cobra.NoArgs,
		Example: "  thatch tasks list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Items(cmd.Context(), cli.Listing{
				Path:  "/tasks",
				Heads: []string{"TASK", "SCHEDULE", "ON", "LAST RUN", "STATE", "NEXT", "WHAT"},
				Keys:  []string{"name", "schedule", "enabled", "last.started", "last.state", "next", "text"},
			})
		},
	}
}

func tasksRun(a *cli.App) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use: "run TASK", Short: "Start a task now and follow it", Args: cli.Args("TASK"),
		Example: "  thatch tasks run housekeeping",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Start(cmd.Context(), client.Path("tasks", args[0], "runs"), nil, detach, nil)
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	return cmd
}

func tasksSchedule(a *cli.App) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use: "schedule TASK WHEN", Short: "Set when a task runs", Args: cli.Args("TASK", "WHEN"),
		Long: "WHEN is a crontab line of five fields, @daily, \"@every 6h\", or \"\" for by hand alone; CRON_TZ=Zone before it\n" +
			"sets the time zone, otherwise the node's own counts.",
		Example: "  thatch tasks schedule housekeeping \"30 2 * * sun\"\n  thatch tasks schedule housekeeping @daily --off",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"schedule": args[1], "enabled": !off}
			return a.Ask(cmd.Context(), client.Request{Method: http.MethodPut, Path: client.Path("tasks", args[0]), In: in})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "keep the schedule, but do not follow it")
	return cmd
}

func tasksFollow(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "follow RUN", Short: "Follow a run to its end", Args: cli.Args("RUN"),
		Example: "  thatch tasks follow 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			return a.Follow(cmd.Context(), c, args[0], nil)
		},
	}
}

func tasksCancel(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "Cancel a run", Args: cli.Args("RUN"),
		Example: "  thatch tasks cancel 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if err := c.CancelRun(cmd.Context(), args[0]); err != nil {
				return err
			}
			run, err := c.WaitRun(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			return a.Print(run, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s is %s\n", run.Task, run.State)
				return err
			})
		},
	}
}

func tasksHistory(a *cli.App) *cobra.Command {
	list := a.List(cli.Listing{
		Use: "history [RUN]", Short: "List runs, or show one with its result and log",
		Example: "  thatch tasks history --filter state=failed\n  thatch tasks history 0d9f2f0c-6c1c-4c53-9a6c-0f8e9d7b6a55",
		Long:    "Columns to filter and sort by: " + cli.Columns(tasks.RunColumns),
		Path:    "/runs",
		Heads:   []string{"RUN", "TASK", "STATE", "STARTED", "ENDED", "BY", "ERROR"},
		Keys:    []string{"id", "task", "state", "started", "ended", "actor", "error"},
	})
	all := list.RunE
	list.Args = cobra.MaximumNArgs(1)
	list.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return all(cmd, args)
		}
		c, err := a.Client()
		if err != nil {
			return err
		}
		var run tasks.Run
		if err := c.Get(cmd.Context(), client.Path("runs", args[0]), nil, &run); err != nil {
			return err
		}
		return a.Print(run, func(w io.Writer) error { return printRun(w, run) })
	}
	return list
}

func printRun(w io.Writer, run tasks.Run) error {
	lines := run.Lines
	run.Lines = nil
	text, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("print run %s: %w", run.ID, err)
	}
	if err := cli.Object(w, text); err != nil {
		return err
	}
	rows := make([][]string, len(lines))
	for i, line := range lines {
		rows[i] = []string{line.At.Local().Format("15:04:05"), line.Text}
	}
	if len(rows) == 0 {
		return nil
	}
	return cli.Table(w, []string{"TIME", "LOG"}, rows)
}
