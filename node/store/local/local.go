// Package local is a node's second file: what is its own and not the site's truth. Values by name, and the payloads
// it is downloading. Every write is on disk when it returns.
package local

import (
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

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

// Download is a payload on its way to this node.
type Download struct {
	Digest  [32]byte // SHA-256 of the whole
	Size    int64    // bytes, 0 where unknown
	Have    int64    // bytes on disk
	Source  string   // where they come from
	Began   time.Time
	Problem string // why it stands still, empty while it goes on
}

// Open opens the file, or makes an empty one. A file of a newer version is refused.
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
		return nil
	}
	if tables, err := l.conn.Number("SELECT count(*) FROM sqlite_schema"); err != nil || tables > 0 {
		return errors.Join(fmt.Errorf("%s is no file of this program: move it away or name another", l.path), err)
	}
	if err := l.conn.Script(fmt.Sprintf("BEGIN;%s;PRAGMA user_version = %d;COMMIT", schema, version)); err != nil {
		return sqlite.NewFatal(l.path, "making the tables", err)
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

// Note writes down how far a download is, or that it began.
func (l *Local) Note(d Download) error {
	return l.exec(fmt.Sprintf("noting download %x", d.Digest[:4]), `INSERT INTO download (digest, size, have, source, began, problem)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET size = excluded.size, have = excluded.have,
source = excluded.source, problem = excluded.problem`,
		d.Digest[:], d.Size, d.Have, d.Source, d.Began.UTC().Format(time.RFC3339Nano), d.Problem)
}

// Forget takes a download away: it is complete, or nobody wants it any more.
func (l *Local) Forget(digest [32]byte) error {
	return l.exec(fmt.Sprintf("forgetting download %x", digest[:4]), "DELETE FROM download WHERE digest = ?", digest[:])
}

// Downloads returns the payloads on their way, the oldest first.
func (l *Local) Downloads() (list []Download, err error) {
	err = l.with("listing downloads", func(c *sqlite.Conn) error {
		const query = "SELECT digest, size, have, source, began, problem FROM download ORDER BY began, digest"
		return c.Rows(query, nil, func(row []driver.Value) error {
			digest, _ := row[0].([]byte)
			text := func(i int) string { s, _ := row[i].(string); return s }
			number := func(i int) int64 { n, _ := row[i].(int64); return n }
			began, err := time.Parse(time.RFC3339Nano, text(4))
			if err != nil || len(digest) != 32 {
				return fmt.Errorf("download %x: %w", digest, err)
			}
			list = append(list, Download{
				Digest: [32]byte(digest), Size: number(1), Have: number(2), Source: text(3), Began: began, Problem: text(5),
			})
			return nil
		})
	})
	return list, err
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
