package intake

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

func (s *Sink) view(ctx context.Context, read func(r reading) error) error {
	err := s.cfg.Reader.View(ctx, func(tx *sql.Tx) error { return read(reading{ctx, tx}) })
	if err != nil {
		return fmt.Errorf("read what was imported: %w", err)
	}
	return nil
}

// reading is one read transaction.
type reading struct {
	ctx context.Context
	tx  *sql.Tx
}

// each calls take with every row of a query.
func (r reading) each(query string, args []any, take func(*sql.Rows) error) error {
	rows, err := r.tx.QueryContext(r.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// eachOf runs a query that ends in IN for many values, some hundreds at a time.
func (r reading) eachOf(query string, first []any, values []string, take func(*sql.Rows) error) error {
	for some := range slices.Chunk(values, 400) {
		args := make([]any, 0, len(some)+len(first))
		args = append(args, first...)
		for _, value := range some {
			args = append(args, value)
		}
		if err := r.each(query+"(?"+strings.Repeat(",?", len(some)-1)+")", args, take); err != nil {
			return err
		}
	}
	return nil
}

// others says whether another site stands above this one, or is known by its key.
func (r reading) others(site string) (others bool, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM parent) OR EXISTS (SELECT 1 FROM document WHERE kind = 'signing-key' AND id <> ?)`
	err = r.tx.QueryRowContext(r.ctx, query, site).Scan(&others)
	return others, err
}
