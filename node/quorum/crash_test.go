package quorum

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/node/store"
)

// The crash test starts itself again as a child that writes under load and says on its standard output what was
// acknowledged, and kills it in a loop. After each kill nothing acknowledged may be lost, and the database must equal
// what the log makes of an empty one. THATCH_KILLS sets how often it is killed, THATCH_SEED repeats a run.

const crashWriters = 16

func TestMain(m *testing.M) {
	if dir := os.Getenv("THATCH_CRASH_DIR"); dir != "" {
		if err := crashChild(dir, os.Getenv("THATCH_CRASH_SNAPSHOTS") != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func crashOpen(dir string, snapshots bool) (*store.DB, *Quorum, error) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		return nil, nil, err
	}
	tuning := Tuning{SnapshotBytes: 1 << 40}
	if snapshots {
		tuning.SnapshotBytes, tuning.TrailingBytes, tuning.CompactBytes = 100<<10, 20<<10, 64<<10
	}
	q, err := Open(ctx, Config{
		ID: "n1", Dir: filepath.Join(dir, "quorum"), DB: db, Tuning: tuning, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	if err := q.Ready(ctx); err != nil {
		return nil, nil, err
	}
	return db, q, nil
}

// crashChild writes until it is killed.
func crashChild(dir string, snapshots bool) error {
	db, q, err := crashOpen(dir, snapshots)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	errs := make(chan error, crashWriters+1)
	if snapshots {
		all.Go(func() { errs <- crashShrink(db, q) })
	}
	for w := range crashWriters {
		next := 0
		if err := db.View(context.Background(), func(tx *sql.Tx) error {
			return tx.QueryRow(`SELECT coalesce(max(version), 0) FROM setting WHERE name = ?`, "writer "+strconv.Itoa(w)).Scan(&next)
		}); err != nil {
			return err
		}
		all.Go(func() {
			for i := next + 1; ; i++ {
				if err := crashWrite(q, w, i); err != nil {
					errs <- err
					return
				}
				os.Stdout.WriteString(fmt.Sprintf("%d %d\n", w, i)) // one write of the system: whole or not at all
			}
		})
	}
	all.Wait()
	return <-errs
}

// crashShrink fills the file, removes what it filled it with, and gives the pages back, over and over.
func crashShrink(db *store.DB, q *Quorum) error {
	for i := 0; ; i++ {
		var fill []store.Statement
		for k := range 40 {
			fill = append(fill, store.Statement{
				SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 0) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
				Args: []any{fmt.Sprint("bulk ", k), strings.Repeat("x", 20_000+i%7)},
			})
		}
		for _, statements := range [][]store.Statement{fill, {{SQL: `DELETE FROM setting WHERE name LIKE 'bulk %'`}}} {
			applied, err := q.Write(context.Background(), store.Batch{Actor: "crash", Reason: "fill", Statements: statements})
			if err = errors.Join(err, applied.Err()); err != nil {
				return err
			}
		}
		if _, err := db.Shrink(context.Background()); err != nil {
			return err
		}
	}
}

// crashWrite counts a writer's counter from i-1 to i and adds a row beside it.
func crashWrite(q *Quorum, w, i int) error {
	name := "writer " + strconv.Itoa(w)
	b := store.Batch{Actor: "crash", Reason: "count", At: time.Unix(int64(i), 0), Statements: []store.Statement{
		{
			SQL:  `INSERT INTO setting (name, value, version) VALUES (?, '', ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version WHERE version = ?`,
			Args: []any{name, i, i - 1}, Want: 1,
		},
		{SQL: `INSERT INTO language (tag, since) VALUES (?, ?)`, Args: []any{fmt.Sprintf("%d-%d", w, i), strings.Repeat("x", 100+i%300)}},
	}}
	applied, err := q.Write(context.Background(), b)
	if err != nil {
		return err
	}
	return applied.Err()
}

func TestKilledInALoop(t *testing.T) {
	kills, seed := 5, uint64(time.Now().UnixNano())
	if text := os.Getenv("THATCH_KILLS"); text != "" {
		kills, _ = strconv.Atoi(text)
	} else if testing.Short() {
		kills = 2
	}
	if text := os.Getenv("THATCH_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	for _, snapshots := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshots=%v", snapshots), func(t *testing.T) {
			t.Logf("THATCH_SEED=%d", seed)
			c := crash{t: t, dir: t.TempDir(), snapshots: snapshots, random: rand.New(rand.NewPCG(seed, 1))}
			for range kills {
				c.killOnce()
				if !snapshots && c.random.IntN(2) == 0 {
					c.losePower()
				}
				c.check()
			}
			t.Logf("%d acknowledged writes, %d kills, %d power cuts", c.total(), kills, c.cut)
		})
	}
}

type crash struct {
	t            *testing.T
	dir          string
	snapshots    bool
	random       *rand.Rand
	acknowledged [crashWriters]int
	cut          int // how often power was lost
}

func (c *crash) total() (n int) {
	for _, i := range c.acknowledged {
		n += i
	}
	return n
}

// killOnce runs the child for a while and notes what it acknowledged.
func (c *crash) killOnce() {
	c.t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "THATCH_CRASH_DIR="+c.dir)
	if c.snapshots {
		child.Env = append(child.Env, "THATCH_CRASH_SNAPSHOTS=yes")
	}
	var complaints bytes.Buffer
	child.Stderr = &complaints
	out, err := child.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		c.t.Fatal(err)
	}
	// The time runs from the first acknowledgement; one run in five is cut before it has any.
	limit := time.Duration(30+c.random.IntN(300)) * time.Millisecond
	timer := time.AfterFunc(time.Minute, func() { child.Process.Kill() })
	if c.random.IntN(5) == 0 {
		timer.Reset(limit / 4)
	}
	lines := bufio.NewScanner(out)
	first := true
	for lines.Scan() {
		if first {
			first = false
			timer.Reset(limit)
		}
		var w, i int
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &i); err != nil {
			c.t.Fatalf("child said %q", lines.Text())
		}
		if i <= c.acknowledged[w] {
			c.t.Fatalf("writer %d wrote %d again, %d was acknowledged", w, i, c.acknowledged[w])
		}
		c.acknowledged[w] = i
	}
	timer.Stop()
	child.Wait()
	if complaints.Len() > 0 {
		c.t.Fatalf("child failed: %s", complaints.String())
	}
}

// losePower cuts the end of the database's write-ahead log off: what a power cut may do, for it is not synced with
// every transaction. The log has to bring it back. (Where the write-ahead log was folded into the file meanwhile, it
// was synced before, and cutting it would be no power cut.)
func (c *crash) losePower() {
	c.t.Helper()
	path := filepath.Join(c.dir, "site.db-wal")
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 || info.Size() > 30<<20 {
		return
	}
	if err := os.Truncate(path, c.random.Int64N(info.Size())); err != nil {
		c.t.Fatal(err)
	}
	c.cut++
}

// check starts the node again, here, and holds it against what was acknowledged, and against its log.
func (c *crash) check() {
	c.t.Helper()
	db, q, err := crashOpen(c.dir, c.snapshots)
	if err != nil {
		c.t.Fatalf("after a kill: %v", err)
	}
	err = db.View(context.Background(), func(tx *sql.Tx) error {
		for w, i := range c.acknowledged {
			var counted, rows int
			if err := tx.QueryRow(`SELECT coalesce(max(version), 0), (SELECT count(*) FROM language WHERE tag GLOB ?) FROM setting WHERE name = ?`,
				fmt.Sprintf("%d-*", w), fmt.Sprintf("writer %d", w)).Scan(&counted, &rows); err != nil {
				return err
			}
			// One more may have been applied whose answer did not get out.
			if counted != rows || counted < i || counted > i+1 {
				c.t.Errorf("writer %d: %d acknowledged, counter is %d beside %d rows", w, i, counted, rows)
			}
			c.acknowledged[w] = counted
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	digest, applied := c.close(db, q)
	again := filepath.Join(c.t.TempDir(), "again")
	if err := os.CopyFS(filepath.Join(again, "quorum"), os.DirFS(filepath.Join(c.dir, "quorum"))); err != nil {
		c.t.Fatal(err)
	}
	db, q, err = crashOpen(again, c.snapshots)
	if err != nil {
		c.t.Fatalf("made anew from the log: %v", err)
	}
	if got, at := c.close(db, q); got != digest || at != applied {
		c.t.Errorf("the database is at %d, %s; its log makes %d, %s", applied, digest, at, got)
	}
}

func (c *crash) close(db *store.DB, q *Quorum) (digest string, applied uint64) {
	c.t.Helper()
	digest, err := db.Digest(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	applied = db.Applied()
	if err := q.Close(); err != nil {
		c.t.Error(err)
	}
	if err := db.Close(); err != nil {
		c.t.Error(err)
	}
	return digest, applied
}
