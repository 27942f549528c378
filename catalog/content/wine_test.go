//go:build !windows

package content_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thatch/agent/winetest"
	"thatch/ringtest"
)

// The store and the judge of signatures pass their tests as Windows programs too.
func TestUnderWine(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the tests were not run as Windows programs")
	}
	c := winetest.New(t, winetest.Options{})
	root, err := ringtest.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"catalog/content", "catalog/content/authenticode"} {
		run := c.Command(t.Context(), winetest.BuildTest(t, pkg), "-test.short", "-test.timeout", "5m")
		run.Dir = filepath.Join(root, filepath.FromSlash(pkg)) // where its testdata is
		out, err := run.CombinedOutput()
		if errors.Is(err, exec.ErrWaitDelay) { // Wine's own processes keep the pipe
			err = nil
		}
		if err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%s: %v\n%s", pkg, err, out)
		}
	}
}
