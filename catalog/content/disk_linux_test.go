package content

import (
	"os"
	"syscall"
	"testing"
)

// smallDisk mounts a disk of 2 MB, or skips.
func smallDisk(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "content-disk-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("thatch-test", folder, "tmpfs", 0, "size=2m"); err != nil {
		os.Remove(folder)
		t.Skipf("no right to mount a small disk (%v): a full disk was not tried", err)
	}
	t.Cleanup(func() {
		_ = syscall.Unmount(folder, syscall.MNT_DETACH)
		os.Remove(folder)
	})
	return folder
}
