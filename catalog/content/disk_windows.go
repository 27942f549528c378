package content

import (
	"errors"
	"syscall"
)

const (
	errorHandleDiskFull = syscall.Errno(39)  // ERROR_HANDLE_DISK_FULL
	errorDiskFull       = syscall.Errno(112) // ERROR_DISK_FULL
)

// syncFolder does nothing: NTFS journals a rename itself, and folders cannot be flushed.
func syncFolder(string) error { return nil }

func isDiskFull(err error) bool {
	return errors.Is(err, errorDiskFull) || errors.Is(err, errorHandleDiskFull)
}
