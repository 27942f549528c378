//go:build !windows

package main

import "context"

// runAsService runs plainly: elsewhere than on Windows a service is a process that ends at SIGTERM, and what it writes
// to its error output goes to the system's journal.
func (p *program) runAsService(ctx context.Context) error { return p.run(ctx, p.err) }
