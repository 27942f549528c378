package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"thatch/node/store"
)

// Readers that always overlap never leave SQLite a moment to start its write-ahead log over.
func TestLogStaysBoundedUnderReadersThatOverlap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	const limit = 1 << 20
	db, err := store.Open(t.Context(), store.Config{Path: path, LogBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write(t, db, batch(set("a", "1")))
	stop := make(chan struct{})
	var reading sync.WaitGroup
	turn := make(chan struct{}, 1)
	for range 2 { // each begins before the other ends
		reading.Go(func() {
			for {
				err := db.View(t.Context(), func(tx *sql.Tx) error {
					var n int
					if err := tx.QueryRow(`SELECT count(*) FROM setting`).Scan(&n); err != nil {
						return err
					}
					select {
					case turn <- struct{}{}: // the other is here
					case <-turn:
					case <-stop:
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	large := strings.Repeat("x", 20_000)
	var most int64
	for i := range 400 {
		write(t, db, batch(set(fmt.Sprint(i%50), large)))
		if info, err := os.Stat(path + "-wal"); err == nil {
			most = max(most, info.Size())
		}
	}
	close(stop)
	reading.Wait()
	if most > 4*limit {
		t.Errorf("the write-ahead log grew to %d bytes, %d were allowed", most, limit)
	}
}

// A read that goes on for long costs the log's size, not the writers' time: it is asked for less and less often.
func TestLongReadDoesNotHoldUpWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	db, err := store.Open(t.Context(), store.Config{Path: path, LogBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	large := strings.Repeat("x", 20_000)
	view(t, db, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM setting`).Scan(&n); err != nil {
			return err
		}
		for i := range 100 {
			write(t, db, batch(set(fmt.Sprint(i), large)))
		}
		return nil
	})
	for i := range 200 { // until it is tried again
		write(t, db, batch(set(fmt.Sprint(i), large)))
	}
	info, err := os.Stat(path + "-wal")
	if err != nil || info.Size() > 8<<20 {
		t.Errorf("after the read the write-ahead log keeps %d bytes, %v", info.Size(), err)
	}
}

func TestFileCanGiveFreePagesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := value(t, db, `PRAGMA auto_vacuum`); got != "2" {
		t.Errorf("auto_vacuum is %s, want 2 (incremental): it can be chosen only while a file is empty", got)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "query_only": "1", "foreign_keys": "1"} {
		if got := value(t, db, `PRAGMA `+pragma); got != want {
			t.Errorf("%s of a reader is %s, want %s", pragma, got, want)
		}
	}
}
