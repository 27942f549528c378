package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"strings"
)

// Table is a table's digest: SHA-256 over its rows in the order of the primary key, every value with its type.
type Table struct {
	Name   string
	Rows   int
	Digest [sha256.Size]byte
}

// Tables returns the digests of all tables, by name, at the state of the transaction.
func Tables(ctx context.Context, tx *sql.Tx) ([]Table, error) {
	names, err := Texts(ctx, tx, `SELECT name FROM sqlite_schema WHERE type = 'table'
AND (name NOT LIKE 'sqlite~_%' ESCAPE '~' OR name = 'sqlite_sequence') ORDER BY name`)
	if err != nil {
		return nil, err
	}
	tables := make([]Table, 0, len(names))
	for _, name := range names {
		t, err := digestTable(ctx, tx, name)
		if err != nil {
			return nil, fmt.Errorf("digest of table %s: %w", name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func digestTable(ctx context.Context, tx *sql.Tx, name string) (Table, error) {
	// Columns that are no part of the key order after it: a table without one is ordered by all.
	columns, err := Texts(ctx, tx, `SELECT name FROM pragma_table_info(?) ORDER BY pk = 0, pk, cid`, name)
	if err != nil {
		return Table{}, err
	}
	for i := range columns {
		columns[i] = quoted(columns[i])
	}
	list := strings.Join(columns, ", ")
	rows, err := tx.QueryContext(ctx, `SELECT `+list+` FROM `+quoted(name)+` ORDER BY `+list)
	if err != nil {
		return Table{}, err
	}
	defer rows.Close()
	t := Table{Name: name}
	sum := sha256.New()
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return Table{}, err
		}
		for _, v := range values {
			if err := hashValue(sum, v); err != nil {
				return Table{}, err
			}
		}
		t.Rows++
	}
	t.Digest = [sha256.Size]byte(sum.Sum(nil))
	return t, rows.Err()
}

func hashValue(sum hash.Hash, value any) error {
	var buf [9]byte
	put := func(kind byte, n uint64, rest []byte) {
		buf[0] = kind
		binary.BigEndian.PutUint64(buf[1:], n)
		sum.Write(buf[:])
		sum.Write(rest)
	}
	switch v := value.(type) {
	case nil:
		put('n', 0, nil)
	case int64:
		put('i', uint64(v), nil)
	case float64:
		put('f', math.Float64bits(v), nil)
	case string:
		put('s', uint64(len(v)), []byte(v))
	case []byte:
		put('b', uint64(len(v)), v)
	default:
		return fmt.Errorf("value of type %T", value)
	}
	return nil
}

// Texts reads the one column of a query, which holds texts.
func Texts(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

// quoted is a name as SQL writes it.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
