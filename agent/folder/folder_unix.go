//go:build !windows

package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// MakePrivate makes the folder with its parents where it is missing.
func MakePrivate(dir string) error { return os.MkdirAll(dir, 0o700) }

// replaceFile renames and makes the new name last.
func replaceFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Lock keeps other agents out, until unlock or the end of the process.
func Lock(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the agent's folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, filepath.Dir(path)), file.Close())
	}
	return file.Close, nil
}
