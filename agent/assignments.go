package agent

import (
	"context"
	"fmt"

	"thatch/agent/order"
	"thatch/agentapi"
)

func (a *Agent) reader() order.Reader { return order.Reader{Keys: a.identity.Keys, Log: a.cfg.Log} }

type storedAssignments struct {
	Epoch  string                       `json:"epoch"`
	Answer agentapi.AssignmentsResponse `json:"answer"`
}

// fetchAssignments asks what is ordered. It returns the former orders when nothing changed.
func (a *Agent) fetchAssignments(ctx context.Context, former *order.Assignments) (*order.Assignments, error) {
	epoch := a.rules.Epoch
	request := agentapi.AssignmentsRequest{Epoch: epoch}
	if former != nil && former.Epoch == epoch {
		request.Tag = former.Answer.Tag
	}
	answer, err := a.node.Client.Assignments(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("ask for assignments: %w", err)
	}
	a.memory.Contact = a.cfg.Now()
	if err := a.learn(answer.Keys); err != nil {
		return nil, err
	}
	if answer.Unchanged && request.Tag != "" {
		answer.Policies, answer.Windows, answer.Tag = former.Answer.Policies, former.Answer.Windows, former.Answer.Tag
		former.Answer.Settings = answer.Settings
		return former, nil
	}
	if err := a.folder.Write(assignmentsFile, storedAssignments{epoch, answer}); err != nil {
		return nil, err
	}
	return a.reader().Read(answer, epoch), nil
}

// storedAssignments reads what was ordered last, for what can be said of it without a node.
func (a *Agent) storedAssignments() *order.Assignments {
	var stored storedAssignments
	if err := a.folder.Read(assignmentsFile, &stored); err != nil {
		a.cfg.Log.Warn("the assignments held are not readable", "error", err)
		return nil
	}
	if stored.Answer.Tag == "" {
		return nil
	}
	return a.reader().Read(stored.Answer, stored.Epoch)
}
