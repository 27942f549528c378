package backup

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"thatch/node/tasks"
)

func TestTrouble(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.Local)
	made := func(ago time.Duration) *Backup { return &Backup{Made: now.Add(-ago), State: Here} }
	run := func(ago time.Duration, state tasks.State, params string) *tasks.Run {
		return &tasks.Run{Started: now.Add(-ago), State: state, Params: json.RawMessage(params), Error: "no space left on device\nand more"}
	}
	for name, c := range map[string]struct {
		standing Standing
		run      *tasks.Run
		want     string // "" no trouble
	}{
		"by hand alone":          {Standing{Last: made(100 * 24 * time.Hour)}, run(time.Hour, tasks.Failed, `{}`), ""},
		"just switched on":       {Standing{Schedule: Daily}, nil, ""},
		"of last night":          {Standing{Schedule: Daily, Last: made(9 * time.Hour)}, run(9*time.Hour, tasks.Done, `{}`), ""},
		"going on":               {Standing{Schedule: "30 11 * * *", Last: made(24 * time.Hour)}, run(time.Minute, tasks.Running, `{}`), ""},
		"missed":                 {Standing{Schedule: Daily, Last: made(30 * time.Hour)}, run(30*time.Hour, tasks.Done, `{}`), "No backup was made since"},
		"weekly":                 {Standing{Schedule: "0 3 * * 0", Last: made(30 * time.Hour)}, nil, ""},
		"made by hand since":     {Standing{Schedule: Daily, Last: made(time.Hour)}, run(9*time.Hour, tasks.Failed, `{}`), ""},
		"failed":                 {Standing{Schedule: Daily, Last: made(33 * time.Hour)}, run(9*time.Hour, tasks.Failed, `{"keep":7}`), "failed (no space left on device)"},
		"never made any":         {Standing{Schedule: Daily}, run(9*time.Hour, tasks.Failed, `{}`), "failed (no space"},
		"cut by the node's end":  {Standing{Schedule: Daily, Last: made(20 * time.Hour)}, run(9*time.Hour, tasks.Interrupted, `{}`), "failed"},
		"by hand, and it failed": {Standing{Schedule: Daily, Last: made(9 * time.Hour)}, run(time.Hour, tasks.Failed, `{"here":true}`), ""},
		"gone":                   {Standing{Schedule: Daily, Last: &Backup{Made: now.Add(-9 * time.Hour), State: Missing}}, nil, "not where it was written"},
		"no such schedule":       {Standing{Schedule: "nonsense", Last: made(1000 * time.Hour)}, nil, ""},
	} {
		got := c.standing.trouble(&tasks.Task{Last: c.run}, now)
		if (got != nil) != (c.want != "") || got != nil && (!strings.Contains(got.Text, c.want) || got.Advice == "") {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
