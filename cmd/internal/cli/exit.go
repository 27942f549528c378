package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"thatch/console/api/client"
	"thatch/node/store"
)

// Exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1 // it was tried and did not work, or not wholly
	ExitUsage       = 2 // the command line or what it asked for makes no sense
	ExitNotFound    = 3
	ExitConflict    = 4 // changed meanwhile, or already there
	ExitUnavailable = 5 // no node answers, or it cannot now
)

// ExitText is the table of exit codes for help.
const ExitText = `Exit codes: 0 done; 1 failed; 2 wrong usage; 3 not found; 4 conflict (changed meanwhile, or already there);
5 no node answers, or it cannot now.`

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks an error as the caller's: exit code 2.
func Usage(err error) error { return usageError{err} }

// Usagef makes such an error.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codedError is an error that says itself which exit code it is.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }

// Coded has an error end the process with an exit code.
func Coded(code int, err error) error { return codedError{err, code} }

// Args wants exactly the named arguments.
func Args(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return Usagef("%s takes no arguments; got %q. See: %s --help", cmd.CommandPath(), args, cmd.CommandPath())
		}
		return Usagef("%s takes %s; got %d of %d arguments. See: %s --help", cmd.CommandPath(), strings.Join(names, " "),
			len(args), len(names), cmd.CommandPath())
	}
}

// cobraUsage are the beginnings of cobra's own messages about command lines.
var cobraUsage = []string{
	"unknown command", "unknown flag", "unknown shorthand", "required flag", "accepts ", "requires at",
	"invalid argument", "if any flags in the group", "at least one of the flags", "flag needs an argument",
}

// ExitCode is what an error makes of the process.
func ExitCode(err error) int {
	var usage usageError
	var coded codedError
	var answer *client.Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage), errors.Is(err, client.ErrUsage):
		return ExitUsage
	case errors.As(err, &answer):
		return answerCode(answer.Code)
	case errors.Is(err, client.ErrNoNode), errors.Is(err, context.DeadlineExceeded):
		return ExitUnavailable
	case errors.Is(err, store.ErrNotFound): // of what is read without a node
		return ExitNotFound
	case errors.Is(err, store.ErrConflict):
		return ExitConflict
	}
	for _, begin := range cobraUsage {
		if strings.HasPrefix(err.Error(), begin) {
			return ExitUsage
		}
	}
	return ExitFailed
}

// codeNames are the words of exit codes, as answers of /api/v1 have them.
var codeNames = map[int]string{
	ExitFailed: "failed", ExitUsage: "invalid", ExitNotFound: "not_found", ExitConflict: "conflict", ExitUnavailable: "unavailable",
}

// Failure is what is said of an error with --json.
type Failure struct {
	Code string `json:"code"` // as in answers of /api/v1
	Text string `json:"error"`
	Exit int    `json:"exit"`
}

// Tell says on the standard error why the command ended, for people or as JSON. Arguments are those of the process: where
// they make no sense it is not known what was asked for.
func (a *App) Tell(err error, arguments []string) {
	if !a.JSON && !slices.Contains(arguments, "--json") {
		fmt.Fprintln(a.Err, "thatch:", err)
		return
	}
	exit := ExitCode(err)
	said := Failure{Code: codeNames[exit], Text: err.Error(), Exit: exit}
	var answer *client.Error
	if errors.As(err, &answer) && answer.Code != "" {
		said.Code = answer.Code
	}
	enc := json.NewEncoder(a.Err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(said) // nobody reads it: nobody to tell
}

func answerCode(code string) int {
	switch code {
	case "invalid", "too_large":
		return ExitUsage
	case "not_found":
		return ExitNotFound
	case "conflict":
		return ExitConflict
	case "unavailable":
		return ExitUnavailable
	}
	return ExitFailed
}
