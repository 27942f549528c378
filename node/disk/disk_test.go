package disk_test

import (
	"path/filepath"
	"strings"
	"testing"

	"thatch/node/disk"
)

func TestOf(t *testing.T) {
	s, err := disk.Of(t.TempDir())
	if err != nil || s.Total <= 0 || s.Free < 0 || s.Free > s.Total {
		t.Errorf("a disk of %d bytes has %d free: %v", s.Total, s.Free, err)
	}
	missing := filepath.Join(t.TempDir(), "nowhere")
	if _, err := disk.Of(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("of a folder that is not there: %v", err)
	}
}
