package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFlipAltersTheBodyAlone lays revisions as SQLite lays them in its file, one of them twice, as a page that moved leaves it.
func TestFlipAltersTheBodyAlone(t *testing.T) {
	v := victim{id: "sdp/1/2", name: "ledger-de.exe", languages: "de", origin: "site-1"}
	revision := func(id, body string) string {
		return "digest" + "package" + id + "de" + "site-1" + strings.Repeat("s", 64) + body
	}
	good := revision("sdp/1/2", `{"name":"ledger-de.exe"}`)
	other := revision("sdp/1/3", `{"name":"ledger-de.exe"}`)
	path := filepath.Join(t.TempDir(), "site.db")
	before := "head" + good + "space" + good + other
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	place, err := flip(path, v)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var changed []int
	for i := range after {
		if after[i] != before[i] {
			changed = append(changed, i)
		}
	}
	first := strings.Index(before, "ledger-de.exe")
	want := []int{first, first + len(good) + len("space")}
	if !slices.Equal(changed, want) || place != want[1] {
		t.Errorf("changed %v, said %d; want %v", changed, place, want)
	}
	v.id = "sdp/9/9"
	if _, err := flip(path, v); err == nil {
		t.Error("a package that is not there was altered")
	}
}

func TestWithinAsksUntilThereIsNoError(t *testing.T) {
	asked := 0
	err := within(t.Context(), time.Minute, "the third time", func() error {
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || asked != 3 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	late := errors.New("late")
	if err := within(t.Context(), time.Millisecond, "never", func() error { return late }); !errors.Is(err, late) || !strings.Contains(err.Error(), "never") {
		t.Errorf("beyond its time: %v", err)
	}
	if err := within(t.Context(), time.Minute, "in vain", func() error { return &lastWord{late} }); !errors.Is(err, late) {
		t.Errorf("a last word: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := within(ended, time.Minute, "interrupted", func() error { return late }); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestFourSitesAreATree(t *testing.T) {
	d := &demo{sites: four("dir")}
	names := map[string]int{}
	for _, c := range dozen {
		names[c.site]++
	}
	for i, s := range d.sites {
		if i > 0 && d.at(s.parent) == nil || names[s.name] < 2 {
			t.Errorf("%s is below %q and has %d computers", s.name, s.parent, names[s.name])
		}
	}
	if shown := shortened([]string{"a b", "dir/x", strings.Repeat("f", 64)}, "dir"); !slices.Equal(shown, []string{"'a b'", ".../x", "ffffffffffff..."}) {
		t.Errorf("shown as %q", shown)
	}
}
