// Package rows reads lists out of the database a page at a time: filtered, searched, sorted and counted in SQL.
package rows

import (
	"context"
	"database/sql"
	"maps"
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
	Kinds  map[string]store.Kind // of the columns that are no text; flags hold 0 or 1
	Search []string
	Order  string
}

// SQL turns a query into the text from WHERE on, in two parts: where ("" or " WHERE ...") is for counting and reading,
// page (" ORDER BY ... LIMIT ...") for reading alone. The args are those of where. An unknown column, and a filter that
// its column can never fit, are ErrInvalid.
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
		kind := c.Kinds[name]
		plain, err := kind.Plain(name, q.Filter[name])
		if err != nil {
			return "", "", nil, err
		}
		term, values := condition(kind, expr, plain)
		terms, args = append(terms, term), append(args, values...)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Only)) {
		expr, ok := c.Names[name]
		if !ok {
			return "", "", nil, unknownColumn(name, c)
		}
		values := q.Only[name]
		terms = append(terms, expr+" IN ("+strings.TrimPrefix(strings.Repeat(",?", len(values)), ",")+")")
		for _, value := range values {
			args = append(args, value)
		}
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

// condition is one filter as Kind.Plain wrote it.
func condition(kind store.Kind, expr, value string) (string, []any) {
	rest := strings.TrimLeft(value, "!")
	negated := (len(value)-len(rest))%2 == 1
	value = rest
	var term string
	var args []any
	switch {
	case strings.HasPrefix(value, ">"):
		term, args = expr+" > ?", []any{typed(kind, value[1:])}
	case strings.HasPrefix(value, "<"):
		term, args = expr+" < ?", []any{typed(kind, value[1:])}
	case strings.HasSuffix(value, "*"):
		term, args = beginning(expr, strings.TrimSuffix(value, "*"))
	case kind == store.Time:
		var within []string
		for said := range strings.SplitSeq(value, ",") {
			one, arg := beginning(expr, said)
			if said == "" {
				one, arg = expr+" = ?", []any{""}
			}
			within, args = append(within, one), append(args, arg...)
		}
		term = "(" + strings.Join(within, " OR ") + ")"
	default:
		values := strings.Split(value, ",")
		for _, v := range values {
			args = append(args, typed(kind, v))
		}
		term = expr + " COLLATE NOCASE IN (?" + strings.Repeat(",?", len(values)-1) + ")"
	}
	if negated {
		term = "NOT coalesce(" + term + ", 0)"
	}
	return term, args
}

func beginning(expr, prefix string) (string, []any) {
	return expr + ` LIKE ? ESCAPE '\'`, []any{escapeLike(prefix) + "%"}
}

// typed makes numbers of what people write as numbers; a column of text compares them as text all the same.
func typed(kind store.Kind, value string) any {
	if kind == store.Flag {
		if value == "true" {
			return int64(1)
		}
		return int64(0)
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && strconv.FormatInt(n, 10) == value {
		return n
	}
	if n, err := strconv.ParseFloat(value, 64); err == nil && kind == store.Number {
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
