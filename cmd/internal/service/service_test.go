package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	p := Program{Name: "thatch"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fs.ErrPermission, "administrator"},
		{errors.New("Access is denied."), "administrator"},
		{errors.New("Interactive authentication required."), "administrator"},
		{errors.New("Init already exists: /etc/systemd/system/thatch.service"), "uninstall it first"},
		{errors.New("odd"), "odd"},
	} {
		got := explain(p, Install, c.err)
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) || !strings.Contains(got.Error(), "install service thatch") {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestUnknownVerb(t *testing.T) {
	if state, err := Control(Program{Name: "thatch-test-that-is-not-there"}, "explode"); err == nil {
		t.Errorf("state %q", state)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("Windows has a service manager to speak with")
	}
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Program{Run: func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return fmt.Errorf("ended: %w", ctx.Err())
		}})
	}()
	<-began
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.log")
	write := func(text string) {
		t.Helper()
		f, err := LogFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	write("two\n")
	if text, err := os.ReadFile(path); err != nil || string(text) != "one\ntwo\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Truncate(path, maxLog+1); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	if text, err := os.ReadFile(path); err != nil || string(text) != "three\n" {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if info, err := os.Stat(path + ".old"); err != nil || info.Size() != maxLog+1 {
		t.Errorf("%v", err)
	}
	if _, err := LogFile(filepath.Join(path, "below")); err == nil {
		t.Error("a log below a file")
	}
}

// A service that nobody installed is said to be so, on whatever system; one that does not do its work is an error.
func TestStateOfNothing(t *testing.T) {
	name := "thatch-test-that-is-not-there"
	state, err := Control(Program{Name: name}, State)
	if err != nil && strings.Contains(err.Error(), "no service manager") {
		t.Skip(err)
	}
	if err != nil || state != NotInstalled {
		t.Errorf("state %q, %v", state, err)
	}
	if err := Judge(name, state); !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), name+" service install") {
		t.Errorf("not installed: %v", err)
	}
	if err := Judge(name, Failed); err == nil || errors.Is(err, ErrNotInstalled) {
		t.Errorf("failed: %v", err)
	}
	if Judge(name, Running) != nil || Judge(name, Stopped) != nil {
		t.Error("a service that runs, or was stopped, is an error")
	}
}
