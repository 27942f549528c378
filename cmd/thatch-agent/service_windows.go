package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/windows/svc"
)

// runAsService speaks with the service control manager itself. The command line says that it started this process:
// svc.IsWindowsService guesses that from the process's parent, and not every Windows has parents as it expects.
func (p *program) runAsService(ctx context.Context) error {
	h := &handler{program: p, ctx: ctx}
	if err := svc.Run(serviceName, h); err != nil {
		return fmt.Errorf("speak with the service manager: %w", err)
	}
	return h.err
}

type handler struct {
	program *program
	ctx     context.Context
	err     error
}

// Execute implements svc.Handler. An error of the agent is the service's own exit code, so that the manager starts it
// again where it was told to.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (ownCode bool, code uint32) {
	status <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.program.logged(ctx) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case err := <-ended:
			status <- svc.Status{State: svc.StopPending}
			if err != nil && !errors.Is(err, context.Canceled) {
				h.err = err
				return true, uint32(exitCode(err))
			}
			return false, 0
		case request := <-requests:
			switch request.Cmd {
			case svc.Interrogate:
				status <- request.CurrentStatus
			case svc.Stop, svc.Shutdown:
				// An installer under way is let finish, which may take longer than the manager waits.
				status <- svc.Status{State: svc.StopPending}
				cancel()
			}
		}
	}
}
