// Thatch-agent keeps the computer that it runs on patched, as the site it is enrolled at orders.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"thatch/agent"
	"thatch/agentapi"
)

// version is set by the release build; otherwise the build's revision stands in.
var version = ""

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // it was tried and did not work
	exitUsage       = 2 // the command line makes no sense
	exitNotEnrolled = 3
	exitRefused     = 4 // the site refuses this computer: retired, a clone, a bad token
	exitUnavailable = 5 // no node answers, or it cannot now
	exitInstall     = 6 // the round was made, and an install in it failed
	exitLocked      = 7 // another agent works in the folder
)

const exitText = `Exit codes: 0 done; 1 failed; 2 wrong usage; 3 not enrolled; 4 the site refuses this computer (retired, a clone,
a bad token, another authority); 5 no node answers, or it cannot now; 6 the round was made and an install in it
failed; 7 another agent works in the folder.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newProgram(os.Stdout, os.Stderr).command().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "thatch-agent:", err)
	}
	os.Exit(exitCode(err))
}

var (
	errUsage   = errors.New("wrong usage")
	errInstall = errors.New("an install failed")
)

func usage(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w: %w; see %s --help", errUsage, err, cmd.CommandPath())
}

func exitCode(err error) int {
	var answer *agentapi.Error
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage), errors.Is(err, agentapi.ErrToken), errors.Is(err, agentapi.ErrAddress), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.Is(err, agent.ErrNotEnrolled):
		return exitNotEnrolled
	case errors.Is(err, agent.ErrLocked):
		return exitLocked
	case errors.Is(err, errInstall):
		return exitInstall
	case errors.Is(err, agent.ErrClone), errors.Is(err, agentapi.ErrUntrusted):
		return exitRefused
	case errors.As(err, &answer):
		return answerCode(answer.Code)
	case agentapi.Unreachable(err):
		return exitUnavailable
	}
	return exitFailed
}

func answerCode(code string) int {
	switch code {
	case agentapi.CodeBusy, agentapi.CodeTooSoon, "":
		return exitUnavailable
	case agentapi.CodeInvalid, agentapi.CodeTooLarge, agentapi.CodeNotHeld:
		return exitFailed
	}
	return exitRefused
}

func buildVersion() string {
	if version != "" {
		return version
	}
	revision, changed := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+changed"
			}
		}
	}
	if revision == "" {
		return "dev"
	}
	return "dev-" + revision + changed
}
