package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"thatch/console/api/client"
	"thatch/node/tasks"
)

const (
	barWidth  = 30
	lineEvery = 5 * time.Second // of progress where it cannot be drawn over itself
)

// Started is the answer of whatever starts a run.
type Started struct {
	Run string `json:"run"`
}

// Start posts to path what starts a run, and follows it to its end (see Follow). With detach it prints the run's id
// and returns at once.
func (a *App) Start(ctx context.Context, path string, in any, detach bool, text func(w io.Writer, result json.RawMessage) error) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var started Started
	if err := c.Post(ctx, path, in, &started); err != nil {
		return err
	}
	if detach {
		return a.Print(started, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "run %s goes on; follow it with: thatch tasks follow %s\n", started.Run, started.Run)
			return err
		})
	}
	return a.Follow(ctx, c, started.Run, text)
}

// Follow shows the progress of a run until it ends, then prints its result: with --json as it is, else through text,
// nil for a plain listing of its fields. An interrupt ends the watching, not the run. A run that was not done is an
// error.
func (a *App) Follow(ctx context.Context, c *client.Client, id string, text func(w io.Writer, result json.RawMessage) error) error {
	run, err := a.Wait(ctx, c, id)
	if err != nil {
		return err
	}
	if len(run.Result) > 0 {
		if text == nil {
			text = Object
		}
		if err := a.Print(run.Result, func(w io.Writer) error { return text(w, run.Result) }); err != nil {
			return err
		}
	}
	if run.State != tasks.Done {
		return fmt.Errorf("%s %s: %s", run.Task, run.State, run.Error)
	}
	return nil
}

// Wait shows the progress of a run until it ends.
func (a *App) Wait(ctx context.Context, c *client.Client, id string) (tasks.Run, error) {
	p := &progress{app: a, terminal: a.Terminal()}
	run, err := c.WaitRun(ctx, id, p.show)
	p.clear()
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("watching ended; run %s goes on: thatch tasks follow %s, or thatch tasks cancel %s", id, id, id)
	}
	return run, err
}

// progress draws a bar on a terminal, and writes a plain line now and then elsewhere.
type progress struct {
	app      *App
	terminal bool
	drawn    bool
	last     time.Time
}

func (p *progress) show(run tasks.Run) {
	for _, line := range run.Lines {
		p.clear()
		fmt.Fprintln(p.app.Err, oneLine(line.Text))
	}
	at := run.Progress
	if at == (tasks.Progress{}) || run.Ended != nil {
		return
	}
	if p.terminal {
		p.clear()
		fmt.Fprint(p.app.Err, bar(at))
		p.drawn = true
		return
	}
	if now := time.Now(); now.Sub(p.last) >= lineEvery {
		p.last = now
		fmt.Fprintln(p.app.Err, figures(at))
	}
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.app.Err, "\r\x1b[K")
		p.drawn = false
	}
}

func bar(at tasks.Progress) string {
	if at.Total <= 0 {
		return clip(figures(at), 79)
	}
	full := int(min(max(at.Done, 0), at.Total) * barWidth / at.Total)
	return clip("["+strings.Repeat("#", full)+strings.Repeat(".", barWidth-full)+"] "+figures(at), 79)
}

func figures(at tasks.Progress) string {
	var b strings.Builder
	switch {
	case at.Total > 0:
		fmt.Fprintf(&b, "%3d %%  %s of %s", min(max(at.Done, 0), at.Total)*100/at.Total, amount(at.Done, at.Unit), amount(at.Total, at.Unit))
	case at.Done > 0:
		b.WriteString(amount(at.Done, at.Unit))
	}
	if at.Text != "" {
		b.WriteString("  " + oneLine(at.Text))
	}
	return strings.TrimSpace(b.String())
}

// amount writes bytes in MB and everything else with its unit.
func amount(n int64, unit string) string {
	if unit == "bytes" {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", n, unit))
}

func clip(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "~"
}
