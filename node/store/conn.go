package store

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

// source is the name under which SQLite opens a file, with its pragmas.
func source(path string, pragmas ...string) string {
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

// conn is the one writing connection: the driver's, without the pool, locks and copies of database/sql, which here
// would only cost time. It is used by one goroutine at a time.
type conn struct {
	driver driver.Conn
	cached map[string]*prepared
	args   []driver.NamedValue
}

type prepared struct {
	driver.Stmt
	exec    driver.StmtExecContext
	inputs  int
	journal bool // it writes the journal
	schema  bool // it changes the schema
}

func openConn(path string, pragmas ...string) (*conn, error) {
	c, err := (&sqlite.Driver{}).Open(source(path, pragmas...))
	if err != nil {
		return nil, err
	}
	return &conn{driver: c, cached: map[string]*prepared{}}, nil
}

func (c *conn) close() error {
	c.forget()
	return c.driver.Close()
}

// writesJournal says whether a statement adds to the journal: all such statements are made in document.go.
func writesJournal(text string) bool { return strings.HasPrefix(text, "INSERT INTO journal") }

func changesSchema(text string) bool {
	return strings.HasPrefix(text, "CREATE") || strings.HasPrefix(text, "ALTER") || strings.HasPrefix(text, "DROP") ||
		strings.HasPrefix(text, "UPDATE applied")
}

// forget finalises the prepared statements.
func (c *conn) forget() {
	for text, p := range c.cached {
		p.Close()
		delete(c.cached, text)
	}
}

// prepare returns the prepared statement of a text, kept for the next time.
func (c *conn) prepare(text string) (*prepared, error) {
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
	p := &prepared{Stmt: stmt, exec: exec, inputs: judged(text).inputs, journal: writesJournal(text), schema: changesSchema(text)}
	c.cached[text] = p
	return p, nil
}

// run executes a prepared statement and returns the number of rows affected.
func (c *conn) run(p *prepared, args []driver.NamedValue) (int, error) {
	result, err := p.exec.ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	return int(rows), err
}

// exec runs SQL with plain arguments.
func (c *conn) exec(text string, args ...driver.Value) (int, error) {
	p, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	return c.run(p, c.named(args))
}

// script runs many statements without arguments.
func (c *conn) script(text string) error {
	stmt, err := c.driver.Prepare(text)
	if err != nil {
		return err
	}
	defer stmt.Close()
	_, err = stmt.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return err
}

// row reads the first row of a query; io.EOF when there is none.
func (c *conn) row(text string, args ...driver.Value) ([]driver.Value, error) {
	p, err := c.prepare(text)
	if err != nil {
		return nil, err
	}
	query, ok := p.Stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, fmt.Errorf("SQLite driver: statements of type %T cannot query", p.Stmt)
	}
	rows, err := query.QueryContext(context.Background(), c.named(args))
	if err != nil {
		return nil, err
	}
	values := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(values)
	if closing := rows.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	return values, nil
}

// number reads one integer; 0 when there is no row.
func (c *conn) number(text string, args ...driver.Value) (int64, error) {
	values, err := c.row(text, args...)
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

func (c *conn) named(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

// resolved binds the arguments of a statement of a batch.
func (c *conn) resolved(args []any, index uint64, position int) []driver.NamedValue {
	c.args = c.args[:0]
	for i, arg := range args {
		value := arg
		switch v := arg.(type) {
		case int:
			value = int64(v)
		case Index:
			value = int64(index)
		case Position:
			value = int64(position) + int64(v)
		case []byte:
			if v == nil {
				value = nil
			}
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return c.args
}
