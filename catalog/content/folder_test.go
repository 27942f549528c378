package content

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// folder makes a folder that goes with the test. t.TempDir is not used: its removal fails under Wine.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "content-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(dir) })
	return dir
}

func removeAll(dir string) {
	var all []string
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		all = append(all, path)
		return nil
	})
	for _, path := range slices.Backward(all) {
		_ = os.Remove(path)
	}
}
