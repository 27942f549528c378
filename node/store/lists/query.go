// Package lists is how people and tools ask for a page of a list: search, filters, order, groups. Lists that are held in
// memory are answered here, those in tables by node/store/rows, in the same words.
package lists

import (
	"errors"
	"fmt"
)

// ErrInvalid says that what was asked for makes no sense.
var ErrInvalid = errors.New("invalid")

// Invalid makes an error that wraps ErrInvalid.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// MaxPage is the largest number of rows of one page of a list.
const MaxPage = 10_000

// Query asks for one page of a list. The zero value asks for the first rows in the list's own order.
type Query struct {
	Search     string              // words that must occur, in any of the list's search columns
	Filter     map[string]string   // column name -> value; "!x" other than x, "a,b" one of, "x*" beginning with, ">x" "<x"
	Only       map[string][]string // column name -> values of which a row has one, whatever else is asked for
	Sort       string              // column name; empty: the list's own order
	Descending bool
	Offset     int
	Limit      int // 0: MaxPage
}

// Rows is the number of rows asked for, between 1 and MaxPage.
func (q Query) Rows() int {
	if q.Limit <= 0 || q.Limit > MaxPage {
		return MaxPage
	}
	return q.Limit
}
