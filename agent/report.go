package agent

import (
	"context"
	"fmt"
	"time"

	"thatch/agent/report"
	"thatch/agent/scan"
	"thatch/agentapi"
)

// reportChanges reports where there is something new to say.
func (a *Agent) reportChanges(ctx context.Context, s *scan.Scan, states []agentapi.UpdateState) (time.Duration, error) {
	if a.memory.Counter != 0 && a.memory.Epoch == a.rules.Epoch {
		if d := a.draft(s, states); d.Silent() {
			return 0, nil
		}
	}
	return a.report(ctx, s, states)
}

// report tells the site what it does not know yet, and returns in how long it wants to hear again, 0 if it did not say.
func (a *Agent) report(ctx context.Context, s *scan.Scan, states []agentapi.UpdateState) (time.Duration, error) {
	if a.memory.Epoch != a.rules.Epoch {
		// Numbers of another epoch mean nothing; attempts keep their meaning only with theirs.
		a.memory = report.Memory{Epoch: a.rules.Epoch, Scanned: a.memory.Scanned, Refetched: a.memory.Refetched}
	}
	for range 2 {
		draft := a.draft(s, states)
		answer, err := a.node.Client.Report(ctx, draft.Request)
		if err != nil {
			return 0, fmt.Errorf("report: %w", err)
		}
		if answer.Resend {
			a.memory.Counter = 0
			continue
		}
		a.step("reported")
		draft.Next.Counter, draft.Next.Contact = answer.Counter, a.cfg.Now()
		a.memory = draft.Next
		if err := a.folder.Write(memoryFile, a.memory); err != nil {
			return 0, err
		}
		return time.Duration(answer.CheckIn) * time.Second, nil
	}
	return 0, fmt.Errorf("report: the node asks for a whole report and does not take it")
}

func (a *Agent) draft(s *scan.Scan, states []agentapi.UpdateState) report.Draft {
	return a.memory.Draft(s, states, report.Scene{
		Epoch: a.rules.Epoch, Cursor: a.rules.Cursor, At: a.cfg.Now(), Agent: a.cfg.Version, Simulated: a.cfg.Simulated,
	})
}
