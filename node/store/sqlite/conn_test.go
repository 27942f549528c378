package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	lib "modernc.org/sqlite/lib"
)

func opened(t *testing.T) *Conn {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Script(`CREATE TABLE x (a INTEGER PRIMARY KEY, b TEXT UNIQUE); INSERT INTO x VALUES (1, 'one'), (2, 'two')`); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRowsAndNumbers(t *testing.T) {
	c := opened(t)
	if row, err := c.Row(`SELECT b, a FROM x WHERE a > ? ORDER BY a`, int64(0)); err != nil || row[0] != "one" || row[1] != int64(1) {
		t.Errorf("row %v, %v", row, err)
	}
	if _, err := c.Row(`SELECT b FROM x WHERE a = 9`); !errors.Is(err, io.EOF) {
		t.Errorf("no row: %v", err)
	}
	if n, err := c.Number(`SELECT a FROM x WHERE a = 9`); err != nil || n != 0 {
		t.Errorf("no number: %d, %v", n, err)
	}
	if _, err := c.Number(`SELECT b FROM x`); err == nil {
		t.Error("a text is a number")
	}
	var seen []driver.Value
	stop := errors.New("stop")
	err := c.Rows(`SELECT a FROM x ORDER BY a`, nil, func(row []driver.Value) error {
		seen = append(seen, row[0])
		return nil
	})
	if err != nil || fmt.Sprint(seen) != "[1 2]" {
		t.Errorf("rows %v, %v", seen, err)
	}
	if err := c.Rows(`SELECT a FROM x`, nil, func([]driver.Value) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
	if n, err := c.Exec(`UPDATE x SET b = b || '!'`); err != nil || n != 2 {
		t.Errorf("%d rows, %v; a query that was stopped holds the file", n, err)
	}
}

func TestStatementsAreKeptAndForgotten(t *testing.T) {
	c := opened(t)
	for i := range 3 * maxStatements {
		if n, err := c.Number(fmt.Sprintf(`SELECT %d`, i)); err != nil || n != int64(i) {
			t.Fatal(n, err)
		}
		if len(c.cached) > maxStatements {
			t.Fatalf("%d statements are kept", len(c.cached))
		}
	}
	first, err := c.Prepare(`SELECT 1`)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Prepare(`SELECT 1`); err != nil || again != first {
		t.Errorf("prepared twice, %v", err)
	}
	// A statement prepared before the schema changed goes on.
	if _, err := c.Exec(`INSERT INTO x (b) VALUES (?)`, "three"); err != nil {
		t.Fatal(err)
	}
	if err := c.Script(`ALTER TABLE x ADD COLUMN c TEXT DEFAULT 'new'`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(`INSERT INTO x (b) VALUES (?)`, "four"); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreSteadyOrThisMachines(t *testing.T) {
	c := opened(t)
	for text, want := range map[string]string{
		`INSERT INTO x (b) VALUES ('one')`:                "true true 19",
		`INSERT INTO nowhere VALUES (1)`:                  "true false 1",
		`INSERT INTO x (a) VALUES ('text')`:               "true false 20",
		`INSERT INTO x (b) VALUES (zeroblob(2000000000))`: "true false 18",
	} {
		_, err := c.Exec(text)
		steady, constraint := Steady(err)
		if got := fmt.Sprint(steady, " ", constraint, " ", Code(err)); err == nil || got != want {
			t.Errorf("%s: %v is %s, want %s", text, err, got, want)
		}
	}
	for _, code := range []int{lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_READONLY, lib.SQLITE_BUSY, lib.SQLITE_NOMEM} {
		if text := adviceFor(code); text == adviceFor(0) {
			t.Errorf("nothing is advised for code %d", code)
		}
	}
	if steady, _ := Steady(errors.New("another")); steady {
		t.Error("an error that is none of SQLite's is steady")
	}
	inner := NewFatal("p", "reading", errors.New("x"))
	if outer := NewFatal("q", "writing", fmt.Errorf("again: %w", inner)); outer != inner {
		t.Errorf("a Fatal is wrapped twice: %v", outer)
	}
}
