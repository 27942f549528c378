package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"thatch/node"
	"thatch/node/identity"
	"thatch/node/tasks"
)

// eventPause is the shortest time between two events of one stream.
const eventPause = 200 * time.Millisecond

// TaskChange sets a task's schedule.
type TaskChange struct {
	Schedule string `json:"schedule"` // crontab line or @daily, "" by hand alone
	Enabled  bool   `json:"enabled"`
	Version  int    `json:"version,omitempty"` // that the change was made from; absent: any
}

func taskRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "GET", Path: "/tasks", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "Tasks with their schedule, last run and next",
			Do: Get(func(c *Call) (List[tasks.Task], error) {
				all, err := n.Tasks.Tasks(c.Context())
				return List[tasks.Task]{Items: all, Total: len(all), Page: 1, Limit: len(all)}, err
			}),
		},
		{
			Method: "PUT", Path: "/tasks/{name}",
			Alters: "/tasks#schedule,enabled", Scope: identity.Administrator, Summary: "Set a task's schedule",
			Do: Do(func(c *Call, in TaskChange) (tasks.Task, error) {
				return n.Tasks.Change(c.Context(), tasks.Task{
					Name: c.Var("name"), Schedule: in.Schedule, Enabled: in.Enabled, Version: in.Version,
				})
			}),
		},
		{
			Method: "POST", Path: "/tasks/{name}/runs", Scope: identity.Operate, Summary: "Start a task now",
			Do: Get(func(c *Call) (Run, error) {
				id, err := n.Tasks.RunTask(c.Context(), c.Var("name"))
				return Run{id}, err
			}),
		},
		{
			Method: "GET", Path: "/runs", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "Runs of tasks, newest first, without their logs",
			Columns: tasks.RunColumns, Do: GetList(n.Tasks.Runs),
		},
		{
			Method: "GET", Path: "/runs/{id}", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "A run with its progress, result and log",
			Do: Get(func(c *Call) (tasks.Run, error) { return n.Tasks.Get(c.Context(), c.Var("id")) }),
		},
		{
			Method: "POST", Path: "/runs/{id}/cancel", Scope: identity.Operate, Summary: "Cancel a run",
			Do: Get(func(c *Call) (None, error) { return None{}, n.Tasks.Cancel(c.Context(), c.Var("id")) }),
		},
		{
			Method: "GET", Path: "/runs/{id}/events", Scope: identity.Viewer, Reach: Reach{Free: true},
			Summary: "A run as it goes on: server-sent events, each the run with the log lines that are new; the last says ended",
			Do:      Stream("text/event-stream", runEvents),
		},
	}
}

// errGone ends a stream whose client went away.
var errGone = errors.New("the client is gone")

func runEvents(c *Call, w http.ResponseWriter) error {
	if _, err := c.Node.Tasks.Get(c.Context(), c.Var("id")); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	flusher, seen := http.NewResponseController(w), 0
	ctx, end := untilStop(c)
	defer end()
	err := c.Node.Tasks.Watch(ctx, c.Var("id"), eventPause, func(run tasks.Run) error {
		all := len(run.Lines)
		run.Lines = run.Lines[min(seen, all):]
		seen = all
		text, err := json.Marshal(run)
		if err != nil {
			return fmt.Errorf("encode a run: %w", err)
		}
		if _, err := fmt.Fprintf(w, "event: run\ndata: %s\n\n", text); err != nil {
			return errGone
		}
		return flusher.Flush()
	})
	if err != nil {
		c.Node.Log().Debug("a stream of events ended early", "run", c.Var("id"), "error", err)
	}
	return nil // the answer has begun
}

// untilStop returns the call's context, which also ends when the node begins to stop: it waits for its answers.
func untilStop(c *Call) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.Context())
	go func() {
		select {
		case <-c.Node.Stopping():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
