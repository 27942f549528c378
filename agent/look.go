package agent

import (
	"context"
	"fmt"

	"thatch/agent/scan"
	"thatch/catalog/rule"
)

// read asks the source, and adds what the agent itself knows.
func (a *Agent) read(ctx context.Context) (*rule.Facts, error) {
	read, err := a.cfg.Source.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	own := *read
	own.History = a.orders
	return &own, nil
}

// look judges every update of the catalog by what was read of the computer.
func (a *Agent) look(ctx context.Context, read *rule.Facts) (*scan.Scan, error) {
	machine, err := a.machine(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := a.rules.Catalog()
	if err != nil {
		return nil, err
	}
	catalog.Pin(a.ordered.Updates())
	s, err := scan.New(ctx, machine, read, catalog)
	if err != nil {
		return nil, err
	}
	s.Refused = a.rules.Refused
	return s, nil
}
