package store

import (
	"context"
	"database/sql"
	"slices"
)

// Known are the names that can be filtered and sorted by, sorted.
func (c Columns) Known() []string {
	names := make([]string, 0, len(c.Names))
	for name := range c.Names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// List reads one page of a list and the number of all rows that match, in one read transaction. From is the columns
// and the FROM clause, what follows SELECT: "id, name FROM thing". It has no WHERE of its own; where one is needed,
// select from a subquery.
func List[T any](ctx context.Context, r Reader, q Query, c Columns, from string, scan func(*sql.Rows) (T, error)) (items []T, total int, err error) {
	where, page, args, err := q.SQL(c)
	if err != nil {
		return nil, 0, err
	}
	err = r.View(ctx, func(tx *sql.Tx) error {
		items = items[:0]
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT `+from+where+`)`, args...).Scan(&total)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+from+where+page, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			item, err := scan(rows)
			if err != nil {
				return err
			}
			items = append(items, item)
		}
		return rows.Err()
	})
	return items, total, err
}
