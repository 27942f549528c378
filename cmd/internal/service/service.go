// Package service installs and controls our programs as services of the operating system, and runs them there.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/kardianos/service"
)

// Program is what runs as a service. Its arguments say that the service manager starts it: Run is told so, because on
// Windows a process cannot tell for certain by itself.
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
	Failed       = "failed" // it ended by itself and is not started again
	NotInstalled = "not installed"
)

// nobody stands where kardianos/service wants a program to run: it only installs and controls ours. The service
// manager is spoken with in Run.
type nobody struct{}

func (nobody) Start(service.Service) error { return nil }
func (nobody) Stop(service.Service) error  { return nil }

// Control does one verb and answers with the state of the service afterwards.
func Control(p Program, verb string) (state string, err error) {
	s, err := service.New(nobody{}, config(p))
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
	var exit *exec.ExitError
	switch {
	case errors.Is(err, service.ErrNotInstalled), err != nil && scripted(s) && !exists(scripts+p.Name):
		return NotInstalled, nil
	case errors.As(err, &exit) && scripted(s):
		return Stopped, nil // the script ends with 1 then
	case err != nil && strings.Contains(err.Error(), "failed state"):
		return Failed, nil
	case err != nil:
		return "", explain(p, State, err)
	case status == service.StatusRunning:
		return Running, nil
	}
	return Stopped, nil
}

// ErrNotInstalled says that the service manager knows no such service.
var ErrNotInstalled = errors.New("there is no such service on this machine")

// Judge makes an error of a state in which the service does not do its work though nobody stopped it. The program of a
// service bears the service's name.
func Judge(name, state string) error {
	switch state {
	case NotInstalled:
		return fmt.Errorf("%w: %s; install it with: %s service install", ErrNotInstalled, name, name)
	case Failed:
		return fmt.Errorf("the service %s ended by itself; the system's log says why", name)
	}
	return nil
}

// scripts is where systems without a manager of services keep the scripts that start them.
const scripts = "/etc/init.d/"

// scripted says whether the system starts services by scripts: there one that is not installed is any other error.
func scripted(s service.Service) bool { return s.Platform() == "unix-systemv" }

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
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
