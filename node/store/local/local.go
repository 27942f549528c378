// Package local is a node's second file: what is its own and not the site's truth, as values by name. Every write is on
// disk when it returns. Whatever uses it must do without: a file that is lost or damaged is made anew.
package local

import (
	"bytes"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"thatch/node/store/sqlite"
)

//go:embed local.sql
var schema string

// version of local.sql, kept as the file's user_version.
const version = 1

// ErrNotFound says that there is no value of a name.
var ErrNotFound = errors.New("not found")

// Local is the file. All methods may be used at once.
type Local struct {
	path string
	mu   sync.Mutex
	conn *sqlite.Conn
}

// OpenOrRenew opens the file. One that cannot be used is put in place of by an empty one, and lost says why.
func OpenOrRenew(path string) (l *Local, lost, err error) {
	if l, err = Open(path); err == nil {
		return l, nil, nil
	}
	lost = err
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	if err := os.Truncate(path, 0); err != nil && !missing(err) { // it stays its owner's alone
		return nil, lost, errors.Join(lost, err)
	}
	for _, name := range []string{path + "-wal", path + "-shm"} {
		if err := os.Remove(name); err != nil && !missing(err) {
			return nil, lost, errors.Join(lost, err)
		}
	}
	l, err = Open(path)
	return l, lost, err
}

// Open opens the file, or makes an empty one. A file that is damaged, or of a newer version, is refused.
func Open(path string) (*Local, error) {
	conn, err := sqlite.Open(path, "journal_mode(WAL)", "synchronous(FULL)")
	if err != nil {
		return nil, sqlite.NewFatal(path, "opening", err)
	}
	l := &Local{path: path, conn: conn}
	if err := l.begin(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return l, nil
}

func (l *Local) begin() error {
	found, err := l.conn.Number("PRAGMA user_version")
	switch {
	case err != nil:
		return sqlite.NewFatal(l.path, "opening", err)
	case found > version:
		return fmt.Errorf("%s has version %d, this program knows %d: run the newer version of the program that wrote it",
			l.path, found, version)
	case found == version:
		return l.sound()
	}
	if tables, err := l.conn.Number("SELECT count(*) FROM sqlite_schema"); err != nil || tables > 0 {
		return errors.Join(fmt.Errorf("%s is no file of this program: move it away or name another", l.path), err)
	}
	if err := l.conn.Script(fmt.Sprintf("BEGIN;%s;PRAGMA user_version = %d;COMMIT", schema, version)); err != nil {
		return sqlite.NewFatal(l.path, "making the tables", err)
	}
	return nil
}

// sound looks at every page. The file is small.
func (l *Local) sound() error {
	row, err := l.conn.Row("PRAGMA quick_check(1)")
	if err != nil {
		return sqlite.NewFatal(l.path, "checking", err)
	}
	if text, _ := row[0].(string); text != "ok" {
		return fmt.Errorf("%s is damaged: %s", l.path, text)
	}
	return nil
}

// Close closes the file.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn = nil
	return err
}

// Get returns the value of a name, or ErrNotFound.
func (l *Local) Get(name string) (value []byte, err error) {
	err = l.with("reading "+name, func(c *sqlite.Conn) error {
		row, err := c.Row("SELECT value FROM own WHERE name = ?", name)
		if errors.Is(err, io.EOF) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		value, _ = row[0].([]byte)
		return nil
	})
	return value, err
}

// Put sets the value of a name.
func (l *Local) Put(name string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return l.exec("writing "+name, `INSERT INTO own (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
}

// Delete takes a name and its value away, if they are there.
func (l *Local) Delete(name string) error {
	return l.exec("deleting "+name, "DELETE FROM own WHERE name = ?", name)
}

// List returns the values whose names begin with a prefix.
func (l *Local) List(prefix string) (values map[string][]byte, err error) {
	values = map[string][]byte{}
	err = l.with("listing "+prefix, func(c *sqlite.Conn) error {
		const query = "SELECT name, value FROM own WHERE substr(name, 1, length(?1)) = ?1 AND name >= ?1"
		return c.Rows(query, []driver.Value{prefix}, func(row []driver.Value) error {
			name, _ := row[0].(string)
			value, _ := row[1].([]byte)
			values[name] = bytes.Clone(value)
			return nil
		})
	})
	return values, err
}

func (l *Local) exec(op, text string, args ...driver.Value) error {
	return l.with(op, func(c *sqlite.Conn) error {
		_, err := c.Exec(text, args...)
		return err
	})
}

// with uses the connection. Errors of SQLite come with what to do about them.
func (l *Local) with(op string, use func(*sqlite.Conn) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return fmt.Errorf("%s: %s: the file is closed", l.path, op)
	}
	err := use(l.conn)
	switch {
	case err == nil:
		return nil
	case sqlite.Code(err) != 0:
		return sqlite.NewFatal(l.path, op, err)
	}
	return fmt.Errorf("%s: %s: %w", l.path, op, err)
}
