package folder

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

type value struct {
	Number int `json:"number"`
}

func make(t *testing.T) Folder {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := MakePrivate(dir); err != nil {
		t.Fatal(err)
	}
	if err := MakePrivate(dir); err != nil {
		t.Fatalf("again: %v", err)
	}
	return Folder{dir, func(string) {}}
}

func TestReadAndWrite(t *testing.T) {
	f := make(t)
	v := value{7}
	if err := f.Read("x.json", &v); err != nil || v.Number != 7 {
		t.Fatalf("a file that is not there: %v, %v", v, err)
	}
	for _, want := range []value{{1}, {2}} {
		if err := f.Write("x.json", want); err != nil {
			t.Fatal(err)
		}
		var got value
		if err := f.Read("x.json", &got); err != nil || got != want {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	}
	if err := os.WriteFile(f.Path("x.json"), []byte(`{"number":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Read("x.json", &v); err == nil {
		t.Fatal("half a file was read")
	}
	if err := f.Write("x.json", func() {}); err == nil {
		t.Fatal("a function was written")
	}
	if err := f.Write("no/such/folder.json", v); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("into a folder that is not there: %v", err)
	}
}

// Whenever the process ends during a write, the file is the former or the new one.
func TestWriteIsWholeOrNot(t *testing.T) {
	for n := 1; ; n++ {
		f := make(t)
		if err := f.Write("x.json", value{1}); err != nil {
			t.Fatal(err)
		}
		reached := func() (reached bool) {
			defer func() { reached = recover() != nil }()
			steps := 0
			f.Step = func(string) {
				if steps++; steps == n {
					panic("the process ends")
				}
			}
			if err := f.Write("x.json", value{2}); err != nil {
				t.Error(err)
			}
			return false
		}()
		var got value
		if err := f.Read("x.json", &got); err != nil || got.Number != 1 && got.Number != 2 {
			t.Fatalf("ended at step %d: %v, %v", n, got, err)
		}
		f.Step = func(string) {}
		if err := f.Write("x.json", value{3}); err != nil {
			t.Fatalf("after an end at step %d: %v", n, err)
		}
		if !reached {
			if n < 4 {
				t.Errorf("only %d steps", n)
			}
			return
		}
	}
}

func TestLock(t *testing.T) {
	path := make(t).Path("lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("%v, want ErrLocked", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveAll(t *testing.T) {
	f := make(t)
	if err := f.RemoveAll("gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(f.Path("full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"full/a", "full/b"} {
		if err := f.WriteBytes(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.RemoveAll("full"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Path("full")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v", err)
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: access lists are not seen in file modes")
	}
	f := make(t)
	if err := f.Write("x", 1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{f.Dir: 0o700, f.Path("x"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}
