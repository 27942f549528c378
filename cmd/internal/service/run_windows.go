package service

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/windows/svc"
)

// Run runs a program that the service control manager started, and speaks with that until it says stop. The command
// line says who started us: svc.IsWindowsService guesses it from the process's parent, and not every Windows has
// parents as it expects.
func Run(ctx context.Context, p Program) error {
	h := &handler{program: p, ctx: ctx}
	if err := svc.Run(p.Name, h); err != nil {
		return fmt.Errorf("speak with the service manager: %w", err)
	}
	return h.err
}

type handler struct {
	program Program
	ctx     context.Context
	err     error
}

// failed is the service's own exit code after an error, so that the manager starts it again where it was told to.
const failed = 1

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (ownCode bool, code uint32) {
	status <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.program.Run(ctx) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case err := <-ended:
			status <- svc.Status{State: svc.StopPending}
			if err != nil && !errors.Is(err, context.Canceled) {
				h.err = err
				return true, failed
			}
			return false, 0
		case request := <-requests:
			switch request.Cmd {
			case svc.Interrogate:
				status <- request.CurrentStatus
			case svc.Stop, svc.Shutdown:
				// What is under way may take longer to end than the manager waits.
				status <- svc.Status{State: svc.StopPending}
				cancel()
			}
		}
	}
}
