package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"thatch/node/tasks"
)

const (
	maxEvent   = 8 << 20
	pollEvery  = time.Second
	maxStreams = 1000 // streams of one run before the client gives up: each ended early
)

// WaitRun waits for the end of a run and calls see, which may be nil, with its progress; Lines are those that are new.
// A stream that breaks is taken up again. That the run failed is no error of WaitRun: look at its state.
func (c *Client) WaitRun(ctx context.Context, id string, see func(tasks.Run)) (tasks.Run, error) {
	if see == nil {
		see = func(tasks.Run) {}
	}
	shown := 0
	for range maxStreams {
		run, err := c.follow(ctx, id, func(run tasks.Run) {
			run.Lines = newer(run.Lines, shown)
			if n := len(run.Lines); n > 0 {
				shown = run.Lines[n-1].Number
			}
			see(run)
		})
		switch {
		case err != nil:
			return run, err
		case run.Ended != nil:
			var whole tasks.Run
			err := c.Get(ctx, Path("runs", id), nil, &whole)
			return whole, err
		}
		timer := time.NewTimer(pollEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return run, ctx.Err()
		}
	}
	return tasks.Run{}, fmt.Errorf("the events of run %s broke off %d times; see: thatch tasks history %s", id, maxStreams, id)
}

func newer(lines []tasks.Line, shown int) []tasks.Line {
	for len(lines) > 0 && lines[0].Number <= shown {
		lines = lines[1:]
	}
	return lines
}

// follow reads one stream of events to its end.
func (c *Client) follow(ctx context.Context, id string, see func(tasks.Run)) (last tasks.Run, err error) {
	stream, err := c.Open(ctx, Request{Method: http.MethodGet, Path: Path("runs", id, "events")})
	if err != nil {
		return last, err
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		last = tasks.Run{}
		if err := json.Unmarshal(data, &last); err != nil {
			return last, fmt.Errorf("an event of run %s: %w", id, err)
		}
		see(last)
	}
	if ctx.Err() != nil {
		return last, ctx.Err()
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && last.ID == "" {
		return last, fmt.Errorf("the events of run %s: %w", id, err)
	}
	return last, nil
}

// CancelRun cancels a run.
func (c *Client) CancelRun(ctx context.Context, id string) error {
	return c.Post(ctx, Path("runs", id, "cancel"), nil, nil)
}
