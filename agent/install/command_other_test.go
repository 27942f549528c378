//go:build !windows

package install

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"thatch/catalog"
)

// The program's child holds a pipe open that is read to its end: that comes when nobody who was started is left.
func TestRunEndsAtItsLimitWithItsChildren(t *testing.T) {
	path := program(t, `exec 3>held; while :; do :; done & wait`)
	held := filepath.Join(filepath.Dir(path), "held")
	if err := syscall.Mkfifo(held, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		reader, err := os.Open(held) // waits for the program
		if err == nil {
			_, err = io.Copy(io.Discard, reader)
			_ = reader.Close()
		}
		gone <- err
	}()
	outcome, err := System{Programs: true}.Run(context.Background(), Job{Type: catalog.EXE, File: path, Limit: time.Second})
	if !errors.Is(err, ErrTimeLimit) {
		t.Fatalf("%+v, %v", outcome, err)
	}
	select {
	case err := <-gone:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a child of the program is still there")
	}
}
