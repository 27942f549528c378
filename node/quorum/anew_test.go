package quorum_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/node/quorum"
	"thatch/node/store"
)

// salvage does what brings a folder's database as far as its log leads, and makes a new log of it.
func salvage(t *testing.T, dir string) quorum.Salvaged {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := quorum.Salvage(t.Context(), filepath.Join(dir, "quorum"), db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	anew := quorum.Site{ID: "n1", Dir: filepath.Join(dir, "anew"), DB: db, Term: s.Term, Log: slog.New(slog.DiscardHandler)}
	if err := quorum.Anew(t.Context(), anew); err != nil {
		t.Fatal(err)
	}
	if err := quorum.Anew(t.Context(), anew); err == nil && s.To == 0 {
		t.Error("a log is made over another")
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "quorum")), os.Rename(filepath.Join(dir, "anew"), filepath.Join(dir, "quorum"))); err != nil {
		t.Fatal(err)
	}
	return s
}

// before is a folder of a node that stopped, with its database as it was in the middle of its life beside it.
func before(t *testing.T) (dir, all string) {
	t.Helper()
	dir = t.TempDir()
	n := started(t, dir, quorum.Tuning{})
	n.write(t, set("a", "1"))
	if _, err := n.db.Snapshot(t.Context(), filepath.Join(dir, "former.db")); err != nil {
		t.Fatal(err)
	}
	n.write(t, set("b", "2"))
	n.write(t, set("a", "3"))
	all = n.settings(t)
	n.close(t)
	return dir, all
}

func setBack(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"site.db-wal", "site.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "former.db"), filepath.Join(dir, "site.db")); err != nil {
		t.Fatal(err)
	}
}

func TestLogMadeAnew(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		refuse error  // of a start before; nil: it starts
		lost   string // in what could not be read
		all    bool   // nothing is missing after
	}{
		"the log is gone": {
			damage: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "quorum")) },
			refuse: quorum.ErrAhead, lost: "the log", all: true,
		},
		"the log is garbage": {
			damage: func(t *testing.T, dir string) {
				path := filepath.Join(dir, "quorum", "log", "log.bolt")
				if err := os.WriteFile(path, []byte(strings.Repeat("garbage ", 4096)), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			refuse: errAny, lost: "log.bolt", all: true,
		},
		"the database is behind": {damage: setBack, all: true},
		"the database is gone": {
			damage: func(t *testing.T, dir string) {
				setBack(t, dir)
				remove(t, filepath.Join(dir, "site.db"))
			},
			all: true,
		},
		"both are damaged": {
			damage: func(t *testing.T, dir string) {
				setBack(t, dir)
				remove(t, filepath.Join(dir, "quorum", "log"))
			},
			refuse: quorum.ErrAhead, lost: "the log",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, all := before(t)
			c.damage(t, dir)
			n, err := start(t, dir, quorum.Tuning{})
			if c.refuse != nil && !errors.Is(err, c.refuse) && (c.refuse != errAny || err == nil) {
				t.Errorf("it starts: %v", err)
			}
			if c.refuse != nil && c.refuse != errAny {
				for _, way := range []string{"put the folder back", "thatch node join", "thatch node recover", "thatch restore"} {
					if !strings.Contains(err.Error(), way) {
						t.Errorf("the message does not name %q: %v", way, err)
					}
				}
			}
			if err == nil {
				n.close(t)
				c.damage(t, fresh(t, &dir, &all))
			}
			s := salvage(t, dir)
			if c.lost == "" && s.Lost != nil || c.lost != "" && (s.Lost == nil || !strings.Contains(s.Lost.Error(), c.lost)) {
				t.Errorf("lost: %v, want %q", s.Lost, c.lost)
			}
			n = started(t, dir, quorum.Tuning{})
			if got := n.settings(t); c.all && got != all {
				t.Errorf("got %s, want %s", got, all)
			}
			if applied := n.write(t, set("c", "1")); applied.Index <= s.To {
				t.Errorf("a new batch has index %d, the database had %d", applied.Index, s.To)
			}
			n.close(t)
			n = started(t, dir, quorum.Tuning{})
			if got := n.settings(t); !strings.Contains(got, "c=1/1") {
				t.Errorf("after another start: %s", got)
			}
		})
	}
}

var errAny = errors.New("any")

// fresh is a folder like the one that a start just mended by itself.
func fresh(t *testing.T, dir, all *string) string {
	t.Helper()
	*dir, *all = before(t)
	return *dir
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// TestSalvageOverAGap has a database that is older than the log's beginning: what is behind the gap is not applied to it.
func TestSalvageOverAGap(t *testing.T) {
	dir, _ := before(t)
	n := started(t, dir, quorum.Tuning{SnapshotBytes: 1, TrailingBytes: 1})
	for range 2 {
		for range 10 {
			n.write(t, set("filler", strings.Repeat("x", 1000)))
		}
		if err := n.q.Snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	n.write(t, set("last", "1"))
	n.close(t)
	remove(t, filepath.Join(dir, "quorum", "snapshots"))
	if _, err := start(t, dir, quorum.Tuning{}); !errors.Is(err, quorum.ErrNoSnapshot) || !strings.Contains(err.Error(), "thatch node recover") {
		t.Fatalf("it starts without the snapshot that its log continues: %v", err)
	}
	setBack(t, dir)
	if _, err := start(t, dir, quorum.Tuning{}); !errors.Is(err, quorum.ErrNoSnapshot) || !strings.Contains(err.Error(), "thatch node recover") {
		t.Fatalf("it starts: %v", err)
	}
	s := salvage(t, dir)
	if s.From != s.To || s.Lost == nil || !strings.Contains(s.Lost.Error(), "cannot be applied") {
		t.Errorf("%+v", s)
	}
	n = started(t, dir, quorum.Tuning{})
	if got := n.settings(t); got != "a=1/1" {
		t.Errorf("got %.100s", got)
	}
}

func TestSalvageIsCancelled(t *testing.T) {
	dir, _ := before(t)
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := quorum.Salvage(ctx, filepath.Join(dir, "quorum"), db, slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
