package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"thatch/node/store/local"
	"thatch/node/store/sqlite"
)

func open(t *testing.T, path string) *local.Local {
	t.Helper()
	l, err := local.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestValuesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local.db")
	l := open(t, path)
	must(t, l.Put("a", []byte{0, 255}))
	must(t, l.Put("b", nil))
	must(t, l.Put("a", []byte("second")))
	must(t, l.Put("c", []byte("gone")))
	must(t, l.Delete("c"))
	must(t, l.Delete("never"))
	must(t, l.Close())
	if err := l.Put("a", nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	l = open(t, path)
	for name, want := range map[string]string{"a": "second", "b": ""} {
		if got, err := l.Get(name); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if _, err := l.Get("c"); !errors.Is(err, local.ErrNotFound) || !strings.Contains(err.Error(), path) {
		t.Errorf("deleted: %v", err)
	}
}

func TestList(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "local.db"))
	for _, name := range []string{"a", "a/1", "a/2", "a/%", "a0", "b/1", "A/1", ""} {
		must(t, l.Put(name, []byte(name)))
	}
	for prefix, want := range map[string]int{"a/": 3, "a": 5, "": 8, "a/%": 1, "c": 0} {
		got, err := l.List(prefix)
		if err != nil || len(got) != want {
			t.Errorf("%q: %d values, want %d; %v", prefix, len(got), want, err)
		}
		for name, value := range got {
			if string(value) != name || !strings.HasPrefix(name, prefix) {
				t.Errorf("%q: %q is %q", prefix, name, value)
			}
		}
	}
}

// A file that cannot be used is made anew, whatever is wrong with it; one that can be used stays.
func TestOpenOrRenew(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"newer": func(t *testing.T, path string) { script(t, path, "PRAGMA user_version = 2") },
		"text": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 2000)), 0o600))
		},
		"cut": func(t *testing.T, path string) { must(t, os.Truncate(path, 5000)) },
		"a page of nothing": func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			must(t, err)
			clear(text[4096:8192])
			must(t, os.WriteFile(path, text, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "local.db")
			l := open(t, path)
			for i := range 100 {
				must(t, l.Put(strings.Repeat("x", i), make([]byte, 1000)))
			}
			must(t, l.Close())
			l, lost, err := local.OpenOrRenew(path)
			if err != nil || lost != nil {
				t.Fatalf("a good file: %v, %v", lost, err)
			}
			if got, err := l.List(""); err != nil || len(got) != 100 {
				t.Fatalf("%d values, %v", len(got), err)
			}
			must(t, l.Close())
			spoil(t, path)
			l, lost, err = local.OpenOrRenew(path)
			if err != nil || lost == nil || !strings.Contains(lost.Error(), path) {
				t.Fatalf("lost: %v, %v", lost, err)
			}
			defer l.Close()
			must(t, l.Put("a", []byte("b")))
			if got, err := l.List(""); err != nil || len(got) != 1 {
				t.Errorf("%d values, %v", len(got), err)
			}
		})
	}
	if _, lost, err := local.OpenOrRenew(filepath.Join(t.TempDir(), "no", "folder")); lost == nil || err == nil {
		t.Errorf("where there is no folder: %v, %v", lost, err)
	}
}

func script(t *testing.T, path, text string) {
	t.Helper()
	c, err := sqlite.Open(path)
	must(t, err)
	must(t, c.Script(text))
	must(t, c.Close())
}

func TestManyUseItAtOnce(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "local.db"))
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			name := string(rune('a' + w))
			for i := range 20 {
				if err := l.Put(name, []byte{byte(i)}); err != nil {
					t.Error(err)
				}
				if got, err := l.Get(name); err != nil || got[0] != byte(i) {
					t.Errorf("%s is %v, %v", name, got, err)
				}
			}
		})
	}
	all.Wait()
}

func TestOtherFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	made := func(name string, statements ...string) string {
		path := filepath.Join(dir, name)
		for _, text := range statements {
			script(t, path, text)
		}
		return path
	}
	text := filepath.Join(dir, "text.db")
	must(t, os.WriteFile(text, []byte(strings.Repeat("no database ", 200)), 0o600))
	for path, says := range map[string]string{
		made("newer.db", "PRAGMA user_version = 2"):   "newer version",
		made("other.db", "CREATE TABLE songs (name)"): "no file of this program",
		text: "not a database",
		filepath.Join(dir, "no", "such", "folder", "local"): "cannot be written",
	} {
		if _, err := local.Open(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, says)
		}
	}
}
