package page

import (
	"net/url"
	"reflect"
)

// Grid makes a table of rows that a page holds already: {{template "grid" .}} shows them all, with the columns of a List
// and without search, filters or pages. Items is a slice.
func (q *Request) Grid(items any, columns ...Column) *Table {
	rows := reflect.ValueOf(items)
	t := &Table{List: &List{Columns: columns}, Frame: q, state: url.Values{}, Total: rows.Len()}
	for _, c := range columns {
		t.Shown = append(t.Shown, ShownColumn{Column: c})
	}
	t.fill(columns, listedPage{items: rows})
	return t
}
