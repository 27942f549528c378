// Package rows reads lists out of the database a page at a time: filtered, searched, sorted and counted in SQL.
package rows

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"thatch/node/store"
)

// Columns says what of a list can be filtered and sorted: the name that people use -> SQL expression. Search are the
// expressions in which Query.Search is looked for. Order is the list's own order and always ends the ORDER BY, so that
// pages neither overlap nor leave rows out; it must be unique.
type Columns struct {
	From   string // columns and FROM clause, what follows SELECT: "id, name FROM thing"; it has no WHERE of its own
	Names  map[string]string
	Flags  []string // names of columns that hold 0 or 1, which people write as yes and no or true and false
	Search []string
	Order  string
}

// SQL turns a query into the text from WHERE on, in two parts: where ("" or " WHERE ...") is for counting and reading,
// page (" ORDER BY ... LIMIT ...") for reading alone. The args are those of where. An unknown column is ErrInvalid.
func (c Columns) SQL(q store.Query) (where, page string, args []any, err error) {
	var terms []string
	names := make([]string, 0, len(q.Filter))
	for name := range q.Filter {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		expr, ok := c.Names[name]
		if !ok {
			return "", "", nil, unknownColumn(name, c)
		}
		term, values := condition(expr, c.plain(name, q.Filter[name]))
		terms, args = append(terms, term), append(args, values...)
	}
	for _, word := range strings.Fields(q.Search) {
		var any []string
		for _, expr := range c.Search {
			any = append(any, expr+` LIKE ? ESCAPE '\'`)
			args = append(args, "%"+escapeLike(word)+"%")
		}
		if len(any) > 0 {
			terms = append(terms, "("+strings.Join(any, " OR ")+")")
		}
	}
	if len(terms) > 0 {
		where = " WHERE " + strings.Join(terms, " AND ")
	}
	page, err = c.order(q)
	return where, page, args, err
}

func (c Columns) order(q store.Query) (string, error) {
	order := c.Order
	if q.Sort != "" {
		expr, ok := c.Names[q.Sort]
		if !ok {
			return "", unknownColumn(q.Sort, c)
		}
		if q.Descending {
			expr += " DESC"
		}
		if order = expr; c.Order != "" {
			order += ", " + c.Order
		}
	}
	text := ""
	if order != "" {
		text = " ORDER BY " + order
	}
	return text + " LIMIT " + strconv.Itoa(q.Rows()) + " OFFSET " + strconv.Itoa(max(q.Offset, 0)), nil
}

// Known are the names that can be filtered and sorted by, sorted.
func (c Columns) Known() []string {
	names := make([]string, 0, len(c.Names))
	for name := range c.Names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func unknownColumn(name string, c Columns) error {
	return store.Invalid("there is no column %q here; there are %s", name, strings.Join(c.Known(), ", "))
}

// plain writes what people say of a flag as it is stored.
func (c Columns) plain(name, value string) string {
	if !slices.Contains(c.Flags, name) {
		return value
	}
	switch strings.ToLower(value) {
	case "yes", "true":
		return "1"
	case "no", "false":
		return "0"
	}
	return value
}

func condition(expr, value string) (string, []any) {
	negated := strings.HasPrefix(value, "!")
	value = strings.TrimPrefix(value, "!")
	var term string
	var args []any
	switch {
	case strings.HasPrefix(value, ">"):
		term, args = expr+" > ?", []any{typed(value[1:])}
	case strings.HasPrefix(value, "<"):
		term, args = expr+" < ?", []any{typed(value[1:])}
	case strings.HasSuffix(value, "*"):
		term, args = expr+` LIKE ? ESCAPE '\'`, []any{escapeLike(strings.TrimSuffix(value, "*")) + "%"}
	default:
		values := strings.Split(value, ",")
		for _, v := range values {
			args = append(args, typed(v))
		}
		term = expr + " COLLATE NOCASE IN (?" + strings.Repeat(",?", len(values)-1) + ")"
	}
	if negated {
		term = "NOT coalesce(" + term + ", 0)"
	}
	return term, args
}

// typed makes numbers of what people write as numbers; a column of text compares them as text all the same.
func typed(value string) any {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && strconv.FormatInt(n, 10) == value {
		return n
	}
	return value
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s)
}

// List reads one page of a list and the number of all rows that match, in one read transaction.
func List[T any](ctx context.Context, r store.Reader, q store.Query, c Columns, scan func(*sql.Rows) (T, error)) (items []T, total int, err error) {
	where, page, args, err := c.SQL(q)
	if err != nil {
		return nil, 0, err
	}
	err = r.View(ctx, func(tx *sql.Tx) error {
		items = items[:0]
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT `+c.From+where+`)`, args...).Scan(&total)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+c.From+where+page, args...)
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
