package store

import (
	"slices"
	"strconv"
	"strings"
)

// MaxPage is the largest number of rows of one page of a list.
const MaxPage = 10_000

// Query asks for one page of a list. The zero value asks for the first rows in the list's own order.
type Query struct {
	Search     string            // words that must occur, in any of the list's search columns
	Filter     map[string]string // column name -> value; "!x" other than x, "a,b" one of, "x*" beginning with, ">x" "<x"
	Sort       string            // column name; empty: the list's own order
	Descending bool
	Offset     int
	Limit      int // 0: MaxPage
}

// Columns says what of a list can be filtered and sorted: the name that people use -> SQL expression. Search are the
// expressions in which Query.Search is looked for. Order is the list's own order and always ends the ORDER BY, so that
// pages neither overlap nor leave rows out; it must be unique.
type Columns struct {
	Names  map[string]string
	Search []string
	Order  string
}

// SQL turns a query into the text from WHERE on, in two parts: where ("" or " WHERE ...") is for counting and reading,
// page (" ORDER BY ... LIMIT ...") for reading alone. The args are those of where. An unknown column is ErrInvalid.
func (q Query) SQL(c Columns) (where, page string, args []any, err error) {
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
		term, values := condition(expr, q.Filter[name])
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
	page, err = q.order(c)
	return where, page, args, err
}

func (q Query) order(c Columns) (string, error) {
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

// Rows is the number of rows asked for, between 1 and MaxPage.
func (q Query) Rows() int {
	if q.Limit <= 0 || q.Limit > MaxPage {
		return MaxPage
	}
	return q.Limit
}

func unknownColumn(name string, c Columns) error {
	return Invalid("there is no column %q here; there are %s", name, strings.Join(c.Known(), ", "))
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
