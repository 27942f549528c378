// Package sqlite is one SQLite file: a writing connection with prepared statements, what its errors mean, and a digest
// over all its tables. It knows nothing of batches.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// maxStatements is how many prepared statements a connection keeps.
const maxStatements = 256

// Source is the name under which SQLite opens a file, with its pragmas.
func Source(path string, pragmas ...string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	slashed := filepath.ToSlash(abs)
	if !strings.HasPrefix(slashed, "/") { // C:/...
		slashed = "/" + slashed
	}
	query := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return "file://" + (&url.URL{Path: slashed}).EscapedPath() + "?" + query.Encode()
}

// Conn is the one writing connection: the driver's, without the pool, locks and copies of database/sql, which here
// would only cost time. It is used by one goroutine at a time.
type Conn struct {
	driver driver.Conn
	cached map[string]*Prepared
	args   []driver.NamedValue
}

// Prepared is a statement that its connection keeps for the next time.
type Prepared struct {
	driver.Stmt
	exec driver.StmtExecContext
}

// Open opens a file, or makes an empty one, with pragmas such as "journal_mode(WAL)".
func Open(path string, pragmas ...string) (*Conn, error) {
	c, err := (&sqlite.Driver{}).Open(Source(path, pragmas...))
	if err != nil {
		return nil, err
	}
	return &Conn{driver: c, cached: map[string]*Prepared{}}, nil
}

// Close finalises the prepared statements and closes the file, which folds its write-ahead log into it.
func (c *Conn) Close() error {
	c.forget()
	return c.driver.Close()
}

// forget finalises the prepared statements.
func (c *Conn) forget() {
	for text, p := range c.cached {
		p.Close()
		delete(c.cached, text)
	}
}

// Prepare returns the prepared statement of a text, kept for the next time.
func (c *Conn) Prepare(text string) (*Prepared, error) {
	if p, ok := c.cached[text]; ok {
		return p, nil
	}
	stmt, err := c.driver.Prepare(text)
	if err != nil {
		return nil, err
	}
	exec, ok := stmt.(driver.StmtExecContext)
	if !ok {
		stmt.Close()
		return nil, fmt.Errorf("SQLite driver: statements of type %T cannot run", stmt)
	}
	if len(c.cached) >= maxStatements {
		c.forget()
	}
	p := &Prepared{Stmt: stmt, exec: exec}
	c.cached[text] = p
	return p, nil
}

// Run executes a prepared statement and returns the number of rows affected.
func (c *Conn) Run(p *Prepared, args []driver.NamedValue) (int, error) {
	result, err := p.exec.ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	return int(rows), err
}

// Exec runs SQL with plain arguments.
func (c *Conn) Exec(text string, args ...driver.Value) (int, error) {
	p, err := c.Prepare(text)
	if err != nil {
		return 0, err
	}
	return c.Run(p, c.named(args))
}

// Script runs many statements without arguments.
func (c *Conn) Script(text string) error {
	stmt, err := c.driver.Prepare(text)
	if err != nil {
		return err
	}
	defer stmt.Close()
	_, err = stmt.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return err
}

// Row reads the first row of a query; io.EOF when there is none.
func (c *Conn) Row(text string, args ...driver.Value) (first []driver.Value, err error) {
	err = c.Rows(text, args, func(values []driver.Value) error {
		first = values
		return io.EOF
	})
	switch {
	case first != nil && errors.Is(err, io.EOF):
		return first, nil
	case err == nil:
		return nil, io.EOF
	}
	return nil, err
}

// Rows calls a function with every row of a query, until it returns an error, which is returned.
func (c *Conn) Rows(text string, args []driver.Value, each func([]driver.Value) error) error {
	p, err := c.Prepare(text)
	if err != nil {
		return err
	}
	query, ok := p.Stmt.(driver.StmtQueryContext)
	if !ok {
		return fmt.Errorf("SQLite driver: statements of type %T cannot query", p.Stmt)
	}
	rows, err := query.QueryContext(context.Background(), c.named(args))
	if err != nil {
		return err
	}
	for err == nil {
		values := make([]driver.Value, len(rows.Columns()))
		if err = rows.Next(values); err == nil {
			err = each(values)
		} else if errors.Is(err, io.EOF) {
			return rows.Close()
		}
	}
	return errors.Join(err, rows.Close())
}

// Number reads one integer; 0 when there is no row.
func (c *Conn) Number(text string, args ...driver.Value) (int64, error) {
	values, err := c.Row(text, args...)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, ok := values[0].(int64)
	if !ok {
		return 0, fmt.Errorf("%s: answer has type %T", text, values[0])
	}
	return n, nil
}

func (c *Conn) named(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}
