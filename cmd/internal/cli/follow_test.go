package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node/nodetest"
	"thatch/node/tasks"
)

// site is a running node with three tasks, and an App that finds it.
type site struct {
	app      *cli.App
	out, err *bytes.Buffer
	began    chan struct{}
	client   *client.Client
}

func newSite(t *testing.T) site {
	t.Helper()
	n := nodetest.New(t)
	s := site{out: &bytes.Buffer{}, err: &bytes.Buffer{}, began: make(chan struct{}, 1)}
	kind := func(name string, do func(ctx context.Context, job *tasks.Job) (any, error)) {
		n.Tasks.Register(tasks.Kind{Name: name, Text: name, Tasks: []tasks.Task{{Name: name}}, Do: do})
	}
	kind("good", func(_ context.Context, job *tasks.Job) (any, error) {
		job.Log("on the way")
		return map[string]any{"files": 3, "told": "well"}, nil
	})
	kind("bad", func(context.Context, *tasks.Job) (any, error) {
		return map[string]any{"files": 1}, errors.New("the second file is cut")
	})
	kind("long", func(ctx context.Context, _ *tasks.Job) (any, error) {
		s.began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n)})
	s.app = &cli.App{Version: "test", Out: s.out, Err: s.err, Node: client.Config{Dir: n.Dir()}}
	s.client = apitest.Local(t, n)
	return s
}

func TestStartFollowsARun(t *testing.T) {
	s := newSite(t)
	if err := s.app.Start(t.Context(), "/tasks/good/runs", nil, false, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.out.String(); !strings.Contains(got, "files:                   3\n") || !strings.Contains(got, "told:                    well\n") {
		t.Errorf("%q", got)
	}
	if got := s.err.String(); got != "on the way\n" {
		t.Errorf("progress: %q", got)
	}
	s.out.Reset()
	own := func(w io.Writer, result json.RawMessage) error { _, err := w.Write(result); return err }
	if err := s.app.Start(t.Context(), "/tasks/good/runs", nil, false, own); err != nil || s.out.String() != `{"files":3,"told":"well"}` {
		t.Errorf("%q, %v", s.out, err)
	}
	s.out.Reset()
	s.app.JSON = true
	if err := s.app.Start(t.Context(), "/tasks/good/runs", nil, false, own); err != nil {
		t.Fatal(err)
	}
	var result struct{ Files int }
	if err := json.Unmarshal(s.out.Bytes(), &result); err != nil || result.Files != 3 {
		t.Errorf("%q, %v", s.out, err)
	}
}

func TestStartTellsFailures(t *testing.T) {
	s := newSite(t)
	err := s.app.Start(t.Context(), "/tasks/bad/runs", nil, false, nil)
	if err == nil || !strings.Contains(err.Error(), "the second file is cut") || cli.ExitCode(err) != cli.ExitFailed {
		t.Errorf("%v", err)
	}
	if !strings.Contains(s.out.String(), "files:") {
		t.Errorf("what was reached is not shown: %q", s.out)
	}
	if err := s.app.Start(t.Context(), "/tasks/nobody/runs", nil, false, nil); cli.ExitCode(err) != cli.ExitNotFound {
		t.Errorf("%v", err)
	}
}

func TestDetachAndInterrupt(t *testing.T) {
	s := newSite(t)
	if err := s.app.Start(t.Context(), "/tasks/long/runs", nil, true, nil); err != nil {
		t.Fatal(err)
	}
	<-s.began
	told := s.out.String()
	id := told[strings.LastIndex(told, " ")+1 : len(told)-1]
	if !strings.Contains(told, "thatch tasks follow "+id) {
		t.Errorf("%q", told)
	}
	if err := s.app.Start(t.Context(), "/tasks/long/runs", nil, false, nil); cli.ExitCode(err) != cli.ExitConflict || !strings.Contains(err.Error(), id) {
		t.Errorf("a second run: %v", err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := s.app.Follow(ctx, s.client, id, nil); err == nil || !strings.Contains(err.Error(), "thatch tasks cancel "+id) {
		t.Errorf("an interrupt: %v", err)
	}
	var run tasks.Run
	if err := s.client.Get(t.Context(), client.Path("runs", id), nil, &run); err != nil || run.State != tasks.Running {
		t.Errorf("the run after the interrupt: %+v, %v", run, err)
	}
	if err := s.client.CancelRun(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := s.app.Follow(t.Context(), s.client, id, nil); err == nil || !strings.Contains(err.Error(), "cancelled") {
		t.Errorf("a cancelled run: %v", err)
	}
}

func TestListCommand(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"good", "bad", "good"} {
		_ = s.app.Start(t.Context(), "/tasks/"+name+"/runs", nil, false, nil) // "bad" fails
	}
	list := func(args ...string) (string, error) {
		s.out.Reset()
		cmd := s.app.List(cli.Listing{
			Use: "list", Path: "/runs", Heads: []string{"TASK", "STATE"}, Keys: []string{"task", "state"},
			Flags: map[string]string{"kind": "only this kind"},
		})
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		return s.out.String(), err
	}
	for _, c := range []struct{ args, want string }{
		{"", "TASK  STATE\ngood  done\nbad   failed\ngood  done\n"},
		{"--filter state=failed", "TASK  STATE\nbad   failed\n"},
		{"--filter state=!failed --filter task=good", "TASK  STATE\ngood  done\ngood  done\n"},
		{"--kind bad", "TASK  STATE\nbad   failed\n"},
		{"-q cut", "TASK  STATE\nbad   failed\n"},
		{"--sort task --limit 1", "TASK  STATE\nbad   failed\n1 of 3; go on with --page 2\n"},
		{"--sort -task --limit 2 --page 2", "TASK  STATE\nbad   failed\n"},
		{"--filter task=nobody", "none\n"},
	} {
		got, err := list(strings.Fields(c.args)...)
		if lines(got) != lines(c.want) || err != nil {
			t.Errorf("%s:\n%s%v; want\n%s", c.args, got, err, c.want)
		}
	}
	for _, bad := range []string{"--filter state", "--filter colour=red", "--sort colour", "--page 0", "argument"} {
		if _, err := list(strings.Fields(bad)...); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// lines forgives spaces at the ends of lines.
func lines(text string) string {
	all := strings.Split(text, "\n")
	for i := range all {
		all[i] = strings.Join(strings.Fields(all[i]), " ")
	}
	return strings.Join(all, "\n")
}

func TestShowAndItems(t *testing.T) {
	s := newSite(t)
	if err := s.app.Show(t.Context(), "/site"); err != nil || !strings.Contains(s.out.String(), "site:                    Test\n") {
		t.Errorf("%q, %v", s.out, err)
	}
	s.out.Reset()
	if err := s.app.Items(t.Context(), cli.Listing{Path: "/tasks", Heads: []string{"A", "B"}, Keys: []string{"name", "last.state"}}); err != nil || !strings.Contains(s.out.String(), "good") {
		t.Errorf("%q, %v", s.out, err)
	}
	s.app.Node.Dir = t.TempDir()
	for _, err := range []error{s.app.Show(t.Context(), "/site"), s.app.Items(t.Context(), cli.Listing{Path: "/tasks"})} {
		if cli.ExitCode(err) != cli.ExitUnavailable {
			t.Errorf("without a node: %v", err)
		}
	}
	root := &cobra.Command{Use: "x"}
	s.app.Bind(root)
	if flag := root.PersistentFlags().Lookup("data"); flag == nil || flag.DefValue == "" {
		t.Error("there is no default data folder")
	}
}
