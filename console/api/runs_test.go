package api_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node/nodetest"
	"thatch/node/tasks"
)

func TestRunsAreFollowedAndCancelled(t *testing.T) {
	n := nodetest.New(t)
	step := make(chan bool)
	n.Tasks.Register(tasks.Kind{
		Name: "walk", Text: "Walk", Tasks: []tasks.Task{{Name: "walk", Schedule: "@yearly"}},
		Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			for done := int64(1); ; done++ {
				select {
				case more := <-step:
					if !more {
						return map[string]int64{"steps": done}, nil
					}
					job.Progress(tasks.Progress{Done: done, Total: 3})
					job.Log("step %d", done)
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		},
	})
	stop := nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n)})
	c := apitest.Local(t, n)
	begin := func() string {
		t.Helper()
		var run api.Run
		if err := c.Post(t.Context(), "/tasks/walk/runs", nil, &run); err != nil {
			t.Fatal(err)
		}
		return run.Run
	}
	id := begin()
	var e *client.Error
	if err := c.Post(t.Context(), "/tasks/walk/runs", nil, nil); !errors.As(err, &e) || e.Code != "conflict" {
		t.Errorf("a second run: %v", err)
	}
	lines, steps := 0, 0
	run, err := c.WaitRun(t.Context(), id, func(run tasks.Run) {
		lines += len(run.Lines)
		if run.Ended == nil && run.Progress.Done == int64(steps) {
			steps++
			step <- steps <= 3
		}
	})
	if err != nil || run.State != tasks.Done || string(run.Result) != `{"steps":4}` || lines != 3 || len(run.Lines) != 3 {
		t.Errorf("%+v, %d lines seen, %v", run, lines, err)
	}
	second := begin()
	if err := c.CancelRun(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if run, err := c.WaitRun(t.Context(), second, nil); err != nil || run.State != tasks.Cancelled {
		t.Errorf("%+v, %v", run, err)
	}
	begin() // goes on when the node is stopped
	watched := make(chan error, 1)
	seen := make(chan struct{}, 100)
	third := func() string {
		var list api.List[tasks.Run]
		if err := c.Get(t.Context(), "/runs", map[string][]string{"state": {"running"}}, &list); err != nil || len(list.Items) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list.Items[0].ID
	}()
	go func() {
		_, err := c.WaitRun(t.Context(), third, func(tasks.Run) { seen <- struct{}{} })
		watched <- err
	}()
	<-seen
	stop()
	if err := <-watched; !errors.Is(err, client.ErrNoNode) {
		t.Errorf("whoever watched: %v", err)
	}
	if run, err := n.Tasks.Get(t.Context(), third); err != nil || run.State != tasks.Interrupted {
		t.Errorf("%+v, %v", run, err)
	}
}
