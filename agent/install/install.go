// Package install runs the installers of packages and reads what their return codes mean.
//
// Nothing here goes through a shell: the command line is put together as Windows programs expect it, and the file that
// is run is the one that the caller verified.
package install

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
	"unicode/utf8"

	"thatch/catalog"
)

// DefaultLimit is how long an installer may take where its Job names no other time.
const DefaultLimit = 2 * time.Hour

// MaxOutput is how much of an installer's output is kept: its end, in bytes.
const MaxOutput = 2000

// outputDelay is how long an installer's children may hold its output open after it has ended.
const outputDelay = 5 * time.Second

var (
	// ErrPlatform says that this operating system does not run installers of that type.
	ErrPlatform = errors.New("this operating system cannot run the installer")
	// ErrTimeLimit says that an installer was ended because it took too long.
	ErrTimeLimit = errors.New("the installer took too long and was ended")
	// ErrInvalid says that a job makes no sense.
	ErrInvalid = errors.New("this cannot be installed")
)

// Job is one run of an installer.
type Job struct {
	Type      catalog.InstallerType
	File      string // absolute path of the file that is run; its folder is the working folder
	Arguments string // as on a Windows command line; for MSI and MSP they follow /qn /norestart
	Limit     time.Duration
}

// Outcome is how a run ended.
type Outcome struct {
	Code   int
	Output string // the end of what it wrote, valid UTF-8
}

// Runner runs installers. An error says that the installer could not be started or did not end by itself; a return
// code that means failure is no error.
type Runner interface {
	Run(ctx context.Context, job Job) (Outcome, error)
}

// System runs real installers.
type System struct {
	// Programs lets EXE installers run on a system other than Windows. Packages of that kind exist in tests alone.
	Programs bool
}

// Run implements Runner. When ctx ends, the installer is left alone: half an installation is worse than a late one.
// Only its time limit ends it, with its children.
func (s System) Run(ctx context.Context, job Job) (Outcome, error) {
	if err := ctx.Err(); err != nil {
		return Outcome{}, err
	}
	if !filepath.IsAbs(job.File) {
		return Outcome{}, fmt.Errorf("%w: %q is no absolute path", ErrInvalid, job.File)
	}
	limit := job.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	cmd, err := s.command(timed, job)
	if err != nil {
		return Outcome{}, err
	}
	var output tail
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = filepath.Dir(job.File), &output, &output, outputDelay
	family := &family{cmd: cmd}
	cmd.Cancel = family.kill
	if err := cmd.Start(); err != nil {
		return Outcome{}, fmt.Errorf("start %s: %w", filepath.Base(job.File), err)
	}
	family.adopt()
	defer family.close()
	err = cmd.Wait()
	outcome := Outcome{Code: -1, Output: output.String()}
	if cmd.ProcessState != nil {
		outcome.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case timed.Err() != nil:
		return outcome, fmt.Errorf("%s: %w after %v", filepath.Base(job.File), ErrTimeLimit, limit)
	case err == nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		return outcome, nil
	}
	return outcome, fmt.Errorf("run %s: %w", filepath.Base(job.File), err)
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - 2*MaxOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-MaxOutput:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return Text(t.kept) }

// Text makes what a program wrote fit for a report: the last MaxOutput bytes, with UTF-16 and broken characters mended.
func Text(raw []byte) string {
	if len(raw) > MaxOutput {
		raw = raw[len(raw)-MaxOutput:]
	}
	text := make([]rune, 0, len(raw))
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		raw = raw[size:]
		switch {
		case r == 0: // the upper half of UTF-16
		case r == utf8.RuneError && size == 1:
			text = append(text, '?')
		case r < ' ' && r != '\n' && r != '\t':
		default:
			text = append(text, r)
		}
	}
	return string(text)
}
