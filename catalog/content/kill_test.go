//go:build !windows

package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// The process that is killed: it downloads one payload and puts another, and stops dead at a step.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONTENT_TEST_DIR"); dir != "" {
		if os.Getenv("CONTENT_TEST_STEP") == "" {
			downloadAll(dir, os.Getenv("CONTENT_TEST_URL"))
		}
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
			dir, v := folder(t), newVendor(t, p)
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "CONTENT_TEST_DIR="+dir, "CONTENT_TEST_STEP="+step,
				"CONTENT_TEST_URL="+v.URL, "CONTENT_TEST_SHA256="+sum(p))
			if out, err := child.CombinedOutput(); !killed(err) {
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
			if altered, err := scrub(s); err != nil || len(altered) != 0 {
				t.Errorf("altered %v, %v", altered, err)
			}
			if step == "received 2" && !strings.HasPrefix(v.ranges[1], "bytes=") {
				t.Errorf("went on with range %q", v.ranges[1])
			}
		})
	}
}

const manyPayloads = 30

// many is the payload that a vendor of many serves under a number.
func many(i int) []byte { return payload(1000+i, 20_000+i*7_001) }

// downloadAll downloads all payloads of a vendor of many, four at a time, and ends well when all are held.
func downloadAll(dir, address string) {
	s, err := Open(dir, Options{})
	if err != nil {
		panic(err)
	}
	var group errgroup.Group
	group.SetLimit(4)
	for i := range manyPayloads {
		group.Go(func() error {
			_, err := s.Download(context.Background(), Request{URL: fmt.Sprint(address, "/", i), SHA256: sum(many(i))}, nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// A process that is killed again and again at any time gets there all the same, and never holds a bad file.
func TestKilledInLoops(t *testing.T) {
	served := make([]*bytes.Reader, manyPayloads)
	for i := range served {
		served[i] = bytes.NewReader(many(i))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("\"%d\"", i))
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(served[i], 0, served[i].Size()))
	}))
	defer server.Close()
	dir, random := folder(t), rand.New(rand.NewPCG(1, 2))
	for kills := 0; ; kills++ {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "CONTENT_TEST_DIR="+dir, "CONTENT_TEST_STEP=", "CONTENT_TEST_URL="+server.URL)
		var out bytes.Buffer
		child.Stderr = &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		plug := time.AfterFunc(time.Duration(5+random.IntN(40))*time.Millisecond, func() { _ = child.Process.Kill() })
		if kills == 40 {
			plug.Stop() // slow machine: let it end
		}
		err := child.Wait()
		plug.Stop()
		checkFinalNames(t, dir)
		if err == nil {
			t.Logf("done after %d kills", kills)
			break
		}
		if !killed(err) {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range manyPayloads {
		if got, err := readAll(t, s, sum(many(i))); err != nil || !bytes.Equal(got, many(i)) {
			t.Errorf("payload %d: %d bytes, %v", i, len(got), err)
		}
	}
}

func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func checkFinalNames(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, payloadFolder), func(path string, e os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // killed before it made its folders
		}
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
