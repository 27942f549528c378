// Package ringtest says which rings of tests this machine can run. A test of a higher ring begins with Need, which
// skips it with the reason; the summary for people is printed once, by the test of the project's root.
package ringtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Ring is a group of tests that needs something of the machine.
type Ring struct {
	Name  string
	Needs string // what to install or do, for people
	check func() error
}

// The rings beyond the in-process tests, which every machine runs.
var (
	Processes  = &Ring{"processes", "a Unix system, to kill real programs in the middle", processes}
	RealData   = &Ring{"real data", "the vendors' files in ../shared/data, or in the folder that THATCH_DATA names", realData}
	Signing    = &Ring{"signing", "Debian packages osslsigncode, wixl and gcab", commands("osslsigncode", "wixl", "gcab")}
	Wine       = &Ring{"wine", "Debian packages wine, wine64 and wixl", commands("wine", "wixl")}
	Chroot     = &Ring{"chroot", "root, to change the root folder", asRoot()}
	Namespaces = &Ring{"namespaces", "root and the Debian package iproute2", namespaces}
	FullDisk   = &Ring{"full disk", "root, to mount a small file system", asRoot("mount")}
	Browser    = &Ring{"browser", "the Debian package chromium", commands("chromium")}
	// Accessibility is a part of TestEveryPage alone: without it, pages are opened and not judged.
	Accessibility = &Ring{"accessibility", "axe-core of the npm registry where .ci/run puts it, or its axe.min.js named by THATCH_AXE", axe}
)

// All lists the rings from the inside out.
func All() []*Ring {
	return []*Ring{Processes, RealData, Signing, Wine, Chroot, Namespaces, FullDisk, Browser, Accessibility}
}

// Missing is nil when this machine can run the ring, else what it lacks.
func (r *Ring) Missing() error { return r.check() }

// Need skips the test when the ring cannot run here, or when tests are to be short.
func Need(t testing.TB, r *Ring) {
	t.Helper()
	if err := r.Missing(); err != nil {
		t.Skipf("ring %q skipped: %v; it needs %s", r.Name, err, r.Needs)
	}
	if testing.Short() && r != RealData {
		t.Skipf("ring %q skipped: tests are to be short", r.Name)
	}
}

// Data returns the path of a file or folder of the real data, or skips the test.
func Data(t testing.TB, parts ...string) string {
	t.Helper()
	dir, err := dataFolder()
	if err != nil {
		t.Skipf("ring %q skipped: %v", RealData.Name, err)
	}
	path := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("ring %q skipped: %v", RealData.Name, err)
	}
	return path
}

// Root is the folder of go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find go.mod: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working folder")
		}
		dir = parent
	}
}

func dataFolder() (string, error) {
	dir := os.Getenv("THATCH_DATA")
	if dir == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("no folder of real data (%s)", filepath.Base(dir))
	}
	return dir, nil
}

// Axe is the path of axe-core's script.
func Axe() (string, error) {
	path := os.Getenv("THATCH_AXE")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(cache, "thatch", "axe-core", "package", "axe.min.js")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no axe-core (%s)", filepath.Base(path))
	}
	return path, nil
}

func axe() error {
	_, err := Axe()
	return err
}

func realData() error {
	_, err := dataFolder()
	return err
}

func processes() error {
	if runtime.GOOS == "windows" {
		return errors.New("this is Windows")
	}
	return nil
}

func commands(names ...string) func() error {
	return func() error {
		var missing []string
		for _, name := range names {
			if _, err := exec.LookPath(name); err != nil {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("no command %s", strings.Join(missing, ", "))
		}
		return nil
	}
}

func asRoot(names ...string) func() error {
	return func() error {
		if os.Geteuid() != 0 {
			return errors.New("not root")
		}
		return commands(names...)()
	}
}

func namespaces() error {
	if err := asRoot("ip")(); err != nil {
		return err
	}
	const probe = "thatch-probe"
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		return fmt.Errorf("ip netns add: %s", strings.TrimSpace(string(out)))
	}
	return exec.Command("ip", "netns", "del", probe).Run()
}
