//go:build !windows

package main

import (
	"context"

	"thatch/cmd/internal/service"
)

// runAsService runs plainly: elsewhere than on Windows a service is a process that ends at SIGTERM.
func (p *program) runAsService(ctx context.Context) error {
	program, err := p.service()
	if err != nil {
		return err
	}
	return service.Run(ctx, program)
}
