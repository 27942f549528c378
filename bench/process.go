package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used since it began.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes of memory
}

// usageOf reads a running process's usage from /proc (Linux).
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("read the node's usage (Linux only): %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 14 {
		return usage{}, errors.New("/proc/PID/stat has too few fields")
	}
	const ticks = 100 // USER_HZ
	var cpu int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		cpu += n
	}
	peak, err := memoryOf(pid, "VmHWM:")
	return usage{cpu: time.Duration(cpu) * time.Second / ticks, peak: peak}, err
}

// memoryOf reads a figure of /proc/PID/status, in bytes.
func memoryOf(pid int, name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status names no %s", name)
}

// nodeProcess is a real node in a folder of its own.
type nodeProcess struct {
	binary, folder string
	cmd            *exec.Cmd
}

// buildThatch builds the shipped binary once per run.
func buildThatch(ctx context.Context, folder string) (string, error) {
	binary := filepath.Join(folder, "thatch")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/thatch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build thatch: %w: %s", err, out)
	}
	return binary, nil
}

// startNode starts a node on an empty folder and waits until it answers.
func startNode(ctx context.Context, binary string) (*nodeProcess, error) {
	folder, err := os.MkdirTemp("", "thatch-bench-")
	if err != nil {
		return nil, err
	}
	n := &nodeProcess{binary: binary, folder: folder}
	n.cmd = exec.CommandContext(ctx, binary, "node", "run", "--data", folder, "--listen", "127.0.0.1:0", "--languages", "en,de")
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if _, err := n.thatch(ctx, "site", "show", "--json"); err == nil {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	n.stop()
	return nil, errors.New("the node did not answer")
}

// thatch runs the command line against the node and returns what it printed.
func (n *nodeProcess) thatch(ctx context.Context, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, n.binary, append(args, "--data", n.folder)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("thatch %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out, nil
}

func (n *nodeProcess) stop() {
	_ = n.cmd.Process.Signal(os.Interrupt)
	_ = n.cmd.Wait()
	_ = os.RemoveAll(n.folder)
}
