// Package service installs and controls our programs as services of the operating system, and runs them there.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/kardianos/service"
)

// Program is what runs as a service.
type Program struct {
	Name      string   // of the service: "thatch"
	Title     string   // for people
	Text      string   // what it does, a line
	Arguments []string // with which the service manager starts this executable
	Run       func(ctx context.Context) error
}

// The verbs of Control.
const (
	Install   = "install"
	Uninstall = "uninstall"
	Start     = "start"
	Stop      = "stop"
	State     = "status"
)

// Answers of the verb State.
const (
	Running      = "running"
	Stopped      = "stopped"
	NotInstalled = "not installed"
)

// Control does one verb and answers with the state of the service afterwards.
func Control(p Program, verb string) (state string, err error) {
	s, err := service.New(&runner{program: p}, config(p))
	if errors.Is(err, service.ErrNoServiceSystemDetected) {
		return "", errors.New("this system has no service manager that we know; start the program by other means")
	}
	if err != nil {
		return "", fmt.Errorf("service %s: %w", p.Name, err)
	}
	if verb != State {
		if err := service.Control(s, verb); err != nil {
			return "", explain(p, verb, err)
		}
	}
	return stateOf(s, p)
}

func stateOf(s service.Service, p Program) (string, error) {
	status, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return NotInstalled, nil
	case err != nil:
		return "", explain(p, State, err)
	case status == service.StatusRunning:
		return Running, nil
	}
	return Stopped, nil
}

// explain says what to do about an error of the service manager.
func explain(p Program, verb string, err error) error {
	hint := ""
	text := strings.ToLower(err.Error())
	switch {
	case errors.Is(err, os.ErrPermission), strings.Contains(text, "permission"), strings.Contains(text, "access is denied"),
		strings.Contains(text, "authentication"):
		hint = "; services belong to the machine's administrator: try again as one"
	case strings.Contains(text, "already exists"):
		hint = "; uninstall it first to change how it is started"
	}
	return fmt.Errorf("%s service %s: %w%s", verb, p.Name, err, hint)
}

func config(p Program) *service.Config {
	return &service.Config{
		Name: p.Name, DisplayName: p.Title, Description: p.Text, Arguments: p.Arguments,
		Dependencies: dependencies(),
		Option: service.KeyValue{
			"Restart": "on-failure", "OnFailure": "restart", "OnFailureDelayDuration": "10s", "LimitNOFILE": 65536,
		},
	}
}

func dependencies() []string {
	if runtime.GOOS == "linux" {
		return []string{"After=network-online.target", "Wants=network-online.target"}
	}
	return nil
}

// Managed says that the Windows service manager started this process, so that it has to be spoken with. Elsewhere a
// service is a plain process that ends at SIGTERM.
func Managed() bool { return runtime.GOOS == "windows" && !service.Interactive() }

// Run runs the program: under the service manager where that started it, else plainly until ctx ends.
func Run(ctx context.Context, p Program) error {
	if !Managed() {
		return p.Run(ctx)
	}
	r := &runner{program: p, parent: ctx, ended: make(chan error, 1)}
	s, err := service.New(r, config(p))
	if err != nil {
		return fmt.Errorf("service %s: %w", p.Name, err)
	}
	return errors.Join(s.Run(), r.err)
}

// runner is a program as the service manager sees it.
type runner struct {
	program Program
	parent  context.Context
	cancel  context.CancelFunc
	ended   chan error
	err     error
}

// Start implements service.Interface; it must not block.
func (r *runner) Start(service.Service) error {
	ctx, cancel := context.WithCancel(r.parent)
	r.cancel = cancel
	go func() {
		err := r.program.Run(ctx)
		r.ended <- err
		if err != nil && ctx.Err() == nil {
			os.Exit(1) // the service manager sees a failure and starts it again
		}
	}()
	return nil
}

// Stop implements service.Interface.
func (r *runner) Stop(service.Service) error {
	r.cancel()
	r.err = <-r.ended
	return nil
}

// maxLog is the size at which a log file is put aside, in bytes.
const maxLog = 16 << 20

// LogFile opens the log file of a service that has nowhere else to write: it goes on with the former one, or puts that
// aside as PATH.old when it is large. It is looked at once, at the start.
func LogFile(path string) (io.WriteCloser, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("put the log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return f, nil
}
