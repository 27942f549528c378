package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

func TestDownloadsAreKnownAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local.db")
	l := open(t, path)
	at := time.Date(2024, 2, 3, 4, 5, 6, 7, time.FixedZone("east", 3600))
	second := local.Download{Digest: [32]byte{2}, Size: 10, Source: "https://vendor/x.msi", Began: at.Add(time.Hour)}
	first := local.Download{Digest: [32]byte{9}, Source: "sister n2", Began: at}
	must(t, l.Note(second))
	must(t, l.Note(first))
	must(t, l.Note(local.Download{Digest: [32]byte{3}, Began: at}))
	second.Have, second.Problem = 4, "the vendor answers 404"
	must(t, l.Note(second))
	must(t, l.Forget([32]byte{3}))
	must(t, l.Close())
	list, err := open(t, path).Downloads()
	must(t, err)
	if len(list) != 2 || list[0].Digest != first.Digest || !list[0].Began.Equal(at) || list[1].Have != 4 ||
		list[1].Problem != second.Problem || list[1].Size != 10 || list[1].Source != second.Source {
		t.Errorf("downloads %+v", list)
	}
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
		c, err := sqlite.Open(path)
		must(t, err)
		for _, text := range statements {
			must(t, c.Script(text))
		}
		must(t, c.Close())
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
