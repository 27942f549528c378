package install

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"

	"thatch/catalog"
)

func (System) command(ctx context.Context, job Job) (*exec.Cmd, error) {
	program := job.File
	if job.Type != catalog.EXE {
		folder, err := windows.GetSystemDirectory()
		if err != nil {
			return nil, fmt.Errorf("find msiexec.exe: %w", err)
		}
		// By its whole path: a msiexec.exe beside the package must not be found first.
		program = filepath.Join(folder, "msiexec.exe")
	}
	line, err := commandLine(program, job)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line, HideWindow: true, CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	return cmd, nil
}

// family is an installer with its children, held by a job object.
type family struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	job windows.Handle
}

// adopt puts the started installer into a job. One that cannot be put there still runs; then its time limit ends it
// alone.
func (f *family) adopt() {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return
	}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(f.cmd.Process.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, process)
		_ = windows.CloseHandle(process)
	}
	if err != nil {
		_ = windows.CloseHandle(job)
		return
	}
	f.mu.Lock()
	f.job = job
	f.mu.Unlock()
}

func (f *family) kill() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job != 0 {
		if err := windows.TerminateJobObject(f.job, 1); err == nil {
			return nil
		}
	}
	return f.cmd.Process.Kill()
}

func (f *family) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job != 0 {
		_ = windows.CloseHandle(f.job)
		f.job = 0
	}
}
