//go:build !windows

package content

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The process that is killed: it downloads one payload and puts another, and stops dead at a step.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONTENT_TEST_DIR"); dir != "" {
		dieAt(dir, os.Getenv("CONTENT_TEST_STEP"), os.Getenv("CONTENT_TEST_URL"), os.Getenv("CONTENT_TEST_SHA256"))
	}
	os.Exit(m.Run())
}

func dieAt(dir, step, address, digest string) {
	s, err := Open(dir, Options{})
	if err != nil {
		panic(err)
	}
	name, count, _ := strings.Cut(step, " ")
	left, _ := strconv.Atoi(count)
	s.step = func(at string) {
		if at == name {
			if left--; left < 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	if _, err := s.Download(context.Background(), Request{URL: address, SHA256: digest}, nil); err != nil {
		panic(err)
	}
	if _, err := s.Put(context.Background(), "", bytes.NewReader(payload(99, 100_000))); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func TestKilledAtEveryStep(t *testing.T) {
	p := payload(20, 6*chunk+17)
	for _, step := range []string{
		"received 0", "received 2", "received 6", "written 0", "synced 0", "renamed 0", "written 1", "synced 1", "renamed 1",
	} {
		t.Run(step, func(t *testing.T) {
			dir, v := t.TempDir(), newVendor(t, p)
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "CONTENT_TEST_DIR="+dir, "CONTENT_TEST_STEP="+step,
				"CONTENT_TEST_URL="+v.URL, "CONTENT_TEST_SHA256="+sum(p))
			var exit *exec.ExitError
			if out, err := child.CombinedOutput(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child was not killed: %v\n%s", err, out)
			}
			checkFinalNames(t, dir)
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil); err != nil {
				t.Fatal(err)
			}
			put(t, s, payload(99, 100_000))
			if n := files(t, s, partialFolder) + files(t, s, draftFolder); n != 0 {
				t.Errorf("%d files left over", n)
			}
			if altered, err := s.Scrub(context.Background(), nil); err != nil || len(altered) != 0 {
				t.Errorf("altered %v, %v", altered, err)
			}
			if step == "received 2" && !strings.HasPrefix(v.ranges[1], "bytes=") {
				t.Errorf("went on with range %q", v.ranges[1])
			}
		})
	}
}

func checkFinalNames(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, payloadFolder), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		whole, err := os.ReadFile(path)
		if err == nil && sum(whole) != e.Name() {
			t.Errorf("%s holds %d bytes of something else", path, len(whole))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
