//go:build !windows

package install

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"

	"thatch/catalog"
)

func (s System) command(ctx context.Context, job Job) (*exec.Cmd, error) {
	if job.Type != catalog.EXE || !s.Programs {
		return nil, fmt.Errorf("%w: %s packages need Windows", ErrPlatform, job.Type)
	}
	arguments, err := Split(job.Arguments)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, job.File, arguments...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

// family is an installer with its children: a process group.
type family struct{ cmd *exec.Cmd }

func (*family) adopt() {}

func (f *family) kill() error { return syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL) }

func (*family) close() {}
