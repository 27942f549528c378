package agent

import (
	"context"
	"fmt"
	"time"

	"thatch/agent/report"
	"thatch/agentapi"
)

// Between two waiting calls, where the node does not say.
const (
	leastAsk  = time.Second
	firstRest = 5 * time.Second
	longRest  = 5 * time.Minute
)

// errand is what an operator asked of this computer. What was begun when the program ended is told by the site again.
type errand struct {
	prompt *agentapi.Prompt // nil: nothing
	done   *agentapi.Done   // what became of the last one, until a node has heard it
}

// turn makes the round that is due, or the one that an operator asked for.
func (a *Agent) turn(ctx context.Context) (Cycle, error) {
	asked := a.errand.prompt
	if asked == nil {
		return a.RunOnce(ctx)
	}
	a.cfg.Log.Info("an operator asks", "for", asked.Kind)
	cycle, err := a.runOnce(ctx, asked.Kind == agentapi.PromptScan)
	done := &agentapi.Done{Prompt: asked.ID}
	switch counts := cycle.Counts; {
	case err != nil && (ctx.Err() != nil || ofNode(err)):
		return cycle, err // tried again
	case err != nil:
		done.Failed, done.Text = true, report.Cut(err.Error(), agentapi.MaxText)
	case asked.Kind == agentapi.PromptScan:
		done.Text = fmt.Sprintf("missing %d, cannot tell %d", counts.Missing, counts.Unknown)
	default:
		done.Text = fmt.Sprintf("installed now %d, failed %d; missing %d, cannot tell %d", cycle.Installed, cycle.Failed, counts.Missing, counts.Unknown)
	}
	a.errand = errand{done: done}
	return cycle, err
}

// rest waits until a time, or until an operator asks for something, or the site has something to say that ends the waiting.
func (a *Agent) rest(ctx context.Context, until time.Time) {
	backoff := agentapi.Backoff{First: firstRest, Most: longRest, Random: a.cfg.Random}
	failures := 0
	for ctx.Err() == nil {
		left := until.Sub(a.cfg.Now())
		if left <= 0 {
			return
		}
		pause, err := a.ask(ctx, min(left, a.node.Until()+time.Second))
		switch {
		case a.errand.prompt != nil || lasting(err):
			return
		case agentapi.HasCode(err, agentapi.CodeInvalid): // a node of an earlier version
			pause = left
		case err != nil:
			failures++
			pause = backoff.Wait(failures, err)
			if soon, moved := a.node.Move(ctx, err); moved {
				pause = min(pause, soon)
			}
			a.cfg.Log.Debug("the node was not asked whether there is something to do", "error", err, "again_in", pause)
		default:
			failures = 0
			a.node.Heard(ctx)
			a.node.Survey(ctx)
		}
		a.pause(ctx, min(pause, left, a.node.Until()+time.Second))
	}
}

// ask makes one waiting call, and says when to make the next.
func (a *Agent) ask(ctx context.Context, left time.Duration) (pause time.Duration, err error) {
	if err := a.node.Connect(); err != nil {
		return 0, err
	}
	began, done := a.cfg.Now(), a.errand.done
	answer, err := a.node.Client.Wait(ctx, agentapi.WaitRequest{Seconds: int(left / time.Second), Done: done})
	if err != nil {
		return 0, err
	}
	a.errand.done = nil
	if p := answer.Prompt; p != nil {
		if p.Kind == agentapi.PromptScan || p.Kind == agentapi.PromptCycle {
			a.errand.prompt = p
			return 0, nil
		}
		a.errand.done = &agentapi.Done{Prompt: p.ID, Failed: true, Text: fmt.Sprintf("this agent (%s) does not know what %.40q is", a.cfg.Version, p.Kind)}
	}
	return max(time.Duration(answer.After)*time.Second, leastAsk-a.cfg.Now().Sub(began)), nil
}
