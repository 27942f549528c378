package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// private lets in the system and administrators alone, and lets nothing through from above: the folders above a
// program's data let every user read.
const private = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// MakePrivate makes the folder with its parents where it is missing, and its own whoever made it: the folders above let
// every user make one there first. A folder of an ordinary user, who may not give it away, stays the user's.
func MakePrivate(dir string) error {
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := protect(dir)
	if err != nil && missing == nil {
		return nil
	}
	return err
}

func protect(dir string) error {
	descriptor, err := windows.SecurityDescriptorFromString(private)
	if err != nil {
		return fmt.Errorf("who may read it: %w", err)
	}
	list, _, err := descriptor.DACL()
	if err != nil {
		return fmt.Errorf("who may read it: %w", err)
	}
	const what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	if err := windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, nil, nil, list, nil); err != nil {
		return fmt.Errorf("who may read it: %w", err)
	}
	administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return fmt.Errorf("whose it is: %w", err)
	}
	// Only administrators may do this, and only then is there something to guard.
	_ = windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION, administrators, nil, nil, nil)
	return nil
}

// replaceFile renames and returns when the new name is on the disk.
func replaceFile(from, to string) error {
	source, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	target, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(source, target, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}

// Lock keeps other agents out, until unlock or the end of the process.
func Lock(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the agent's folder: %w", err)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, filepath.Dir(path)), file.Close())
	}
	return file.Close, nil
}
