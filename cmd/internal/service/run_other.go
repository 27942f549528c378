//go:build !windows

package service

import "context"

// Run runs a program that the service manager started, until ctx ends: here a service is a process like any other, and
// ends at SIGTERM.
func Run(ctx context.Context, p Program) error { return p.Run(ctx) }
