package agent

import (
	"context"
	"fmt"
	"slices"

	"thatch/agent/rulebook"
	"thatch/agentapi"
	"thatch/catalog/document"
)

// fetchRules asks for pages until there are no more. It returns whether anything changed.
func (a *Agent) fetchRules(ctx context.Context, platform string) (changed bool, err error) {
	request := agentapi.RulesRequest{Epoch: a.rules.Epoch, Cursor: a.rules.Cursor, Platform: platform}
	if len(a.rules.Refused) > 0 && a.due(a.memory.Refetched) {
		// What was refused may have been damaged on its way: once in a while everything is asked for again.
		request.Epoch, request.Cursor = "", ""
		a.memory.Refetched = a.cfg.Now()
	}
	for {
		answer, err := a.node.Client.Rules(ctx, request)
		if err != nil {
			return changed, fmt.Errorf("fetch rules: %w", err)
		}
		if err := a.learn(answer.Keys); err != nil {
			return changed, err
		}
		p := a.verifyPage(&answer)
		// A page that does not continue what is held starts anew, whatever it says of itself.
		p.Reset = p.Reset || request.Cursor == "" || answer.Epoch != request.Epoch
		changed = changed || p.Reset || len(p.Updates)+len(p.Removed)+len(p.Refused) > 0
		if err := a.rules.Apply(p); err != nil {
			return changed, err
		}
		if !answer.More {
			return changed, nil
		}
		if answer.Cursor == request.Cursor && answer.Epoch == request.Epoch {
			return changed, fmt.Errorf("fetch rules: the node says that there is more after cursor %.40q and does not go on", answer.Cursor)
		}
		request.Epoch, request.Cursor = answer.Epoch, answer.Cursor
	}
}

// verifyPage keeps the documents that are signed by the site that made them; the others are told apart with a reason.
func (a *Agent) verifyPage(answer *agentapi.RulesResponse) *rulebook.Page {
	p := &rulebook.Page{Epoch: answer.Epoch, Cursor: answer.Cursor, Reset: answer.Reset, Removed: answer.Removed}
	for _, update := range answer.Updates {
		err := a.identity.Keys.Verify(&update.Document)
		if err == nil && update.Document.Kind != document.Update {
			err = fmt.Errorf("%s %q is no update", update.Document.Kind, update.Document.ID)
		}
		if err != nil {
			a.cfg.Log.Warn("an update document is refused", "number", update.Number, "error", err)
			if p.Refused == nil {
				p.Refused = map[uint32]string{}
			}
			p.Refused[update.Number] = err.Error()
			continue
		}
		p.Updates = append(p.Updates, rulebook.NewEntry(&update))
	}
	p.Updates = slices.Clip(p.Updates)
	return p
}
