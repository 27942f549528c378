package store

import "thatch/node/store/lists"

// How lists are asked for is told in node/store/lists. Rooms that answer them know the store alone.
type (
	Query         = lists.Query
	Kind          = lists.Kind
	Group         = lists.Group
	Column[T any] = lists.Column[T]
)

// See node/store/lists.
const (
	MaxPage = lists.MaxPage
	Text    = lists.Text
	Number  = lists.Number
	Flag    = lists.Flag
	Time    = lists.Time
)

// ErrInvalid says that what was asked for makes no sense. Like ErrNotFound and ErrConflict it is wrapped by rooms and
// translated by doors: the API into statuses, the command line into exit codes.
var ErrInvalid = lists.ErrInvalid

// Invalid makes an error that wraps ErrInvalid.
func Invalid(format string, args ...any) error { return lists.Invalid(format, args...) }

// Select is lists.Select.
func Select[T any](q Query, rows []T, columns []Column[T]) (page []T, total int, err error) {
	return lists.Select(q, rows, columns)
}

// GroupBy is lists.GroupBy.
func GroupBy[T any](q Query, rows []T, columns []Column[T], name string) ([]Group, error) {
	return lists.GroupBy(q, rows, columns, name)
}

// ColumnNames is lists.ColumnNames.
func ColumnNames[T any](columns []Column[T]) []string { return lists.ColumnNames(columns) }
