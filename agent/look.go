package agent

import (
	"context"
	"fmt"

	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/rule"
)

// read asks the source, and adds what the agent itself knows.
func (a *Agent) read(ctx context.Context) (*rule.Facts, error) {
	read, err := a.cfg.Source.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	own := *read
	own.History = history(a.orders)
	return &own, nil
}

// history is what this agent installed: rule.History.
type history map[string]*progress

// Once implements rule.History. Rules name updates by their documents' ids.
func (h history) Once(update string) (bool, error) {
	p := h[update]
	return p != nil && p.LastApplied != nil, nil
}

// look judges every update of the catalog by what was read of the computer.
func (a *Agent) look(ctx context.Context, read *rule.Facts) (*scan.Scan, error) {
	machine, err := a.machine(ctx)
	if err != nil {
		return nil, err
	}
	var all []scan.Update
	err = a.rules.Each(func(update *agentapi.NumberedUpdate) error {
		one := scan.Update{Number: update.Number, ID: update.Document.ID, Month: update.Month}
		var err error
		if one.Body, err = catalog.Decode[catalog.Update](update.Document.Body); err != nil {
			one.Body = catalog.Update{NoRule: err.Error()}
		}
		all = append(all, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s, err := scan.New(ctx, machine, read, all)
	if err != nil {
		return nil, err
	}
	s.Refused = a.rules.Refused
	return s, nil
}
