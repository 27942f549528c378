package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/node/computers/compliance/heads"
)

// Column is what is kept of rows under a name: At gives a pointer to the field, which is a *string, *[]string,
// *catalog.Severity, *int, *uint32, *bool, *float64 (kept in tenths) or *time.Time (kept in whole hours).
type Column[R any] struct {
	Name string
	At   func(row *R) any
}

// Sheet is what is kept of the rows of one report. The first column tells the rows apart.
type Sheet[R any] struct {
	Name    string
	Columns []Column[R]
	Finish  func(row *R) // what follows from the columns; nil: nothing
}

// Told are the columns of counts, but for those that follow from them.
func Told[R any](of func(row *R) *heads.Told) []Column[R] {
	return []Column[R]{
		{"applicable", func(r *R) any { return &of(r).Applicable }},
		{"installed", func(r *R) any { return &of(r).Installed }},
		{"missing", func(r *R) any { return &of(r).Missing }},
		{"failed", func(r *R) any { return &of(r).Failed }},
		{"scheduled", func(r *R) any { return &of(r).Scheduled }},
		{"unknown", func(r *R) any { return &of(r).Unknown }},
	}
}

// isText says whether a column is laid down among the texts, which seldom change from one day to the next.
func (c Column[R]) isText() bool {
	switch c.At(new(R)).(type) {
	case *string, *[]string, *catalog.Severity:
		return true
	}
	return false
}

// between stands between the texts of a list.
const between = "\x1f"

func textOf(at any) string {
	switch v := at.(type) {
	case *string:
		return *v
	case *catalog.Severity:
		return string(*v)
	case *[]string:
		return strings.Join(*v, between)
	}
	panic(fmt.Sprintf("history: a text is no %T", at)) // a fault of the program
}

func setText(at any, text string) {
	switch v := at.(type) {
	case *string:
		*v = text
	case *catalog.Severity:
		*v = catalog.Severity(text)
	case *[]string:
		if *v = []string{}; text != "" {
			*v = strings.Split(text, between)
		}
	}
}

func numberOf(at any) int64 {
	switch v := at.(type) {
	case *int:
		return int64(*v)
	case *uint32:
		return int64(*v)
	case *float64:
		return int64(math.Round(*v * 10))
	case *bool:
		if *v {
			return 1
		}
		return 0
	case *time.Time:
		if v.IsZero() {
			return 0
		}
		return v.Unix() / 3600
	}
	panic(fmt.Sprintf("history: a number is no %T", at)) // a fault of the program
}

func setNumber(at any, number int64) {
	switch v := at.(type) {
	case *int:
		*v = int(number)
	case *uint32:
		*v = uint32(number)
	case *float64:
		*v = float64(number) / 10
	case *bool:
		*v = number != 0
	case *time.Time:
		if *v = (time.Time{}); number != 0 {
			*v = time.Unix(number*3600, 0).UTC()
		}
	}
}

// lay lays columns of rows down: each column's texts, lengths first, or numbers, as what they differ from the one before.
func lay[R any](rows []*R, columns []Column[R], text bool) (body []byte) {
	for _, c := range columns {
		if c.isText() != text {
			continue
		}
		before := int64(0)
		for _, row := range rows {
			if text {
				body = binary.AppendUvarint(body, uint64(len(textOf(c.At(row)))))
				continue
			}
			number := numberOf(c.At(row))
			body = binary.AppendVarint(body, number-before)
			before = number
		}
		for _, row := range rows {
			if text {
				body = append(body, textOf(c.At(row))...)
			}
		}
	}
	return body
}

var errShort = errors.New("it is shorter than its rows")

// raise is the reverse of lay. Named are the columns that were laid down, in their order; a column that this version does not
// know is passed over, and one that was not laid down stays as it is.
func raise[R any](body []byte, rows []*R, columns []Column[R], named []string, text bool) error {
	known := map[string]Column[R]{}
	for _, c := range columns {
		if c.isText() == text {
			known[c.Name] = c
		}
	}
	for _, name := range named {
		c, wanted := known[name]
		var err error
		if text {
			body, err = raiseTexts(body, len(rows), func(at int, text string) {
				if wanted {
					setText(c.At(rows[at]), text)
				}
			})
		} else {
			body, err = raiseNumbers(body, len(rows), func(at int, number int64) {
				if wanted {
					setNumber(c.At(rows[at]), number)
				}
			})
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
	}
	if len(body) > 0 {
		return fmt.Errorf("%d bytes follow its rows", len(body))
	}
	return nil
}

func raiseTexts(body []byte, count int, set func(at int, text string)) (rest []byte, err error) {
	lengths, sum := make([]int, count), 0
	for at := range lengths {
		length, n := binary.Uvarint(body)
		if n <= 0 || length > uint64(len(body)) {
			return nil, errShort
		}
		lengths[at], sum, body = int(length), sum+int(length), body[n:]
	}
	if sum > len(body) {
		return nil, errShort
	}
	all, from := string(body[:sum]), 0
	for at, length := range lengths {
		set(at, all[from:from+length])
		from += length
	}
	return body[sum:], nil
}

func raiseNumbers(body []byte, count int, set func(at int, number int64)) (rest []byte, err error) {
	number := int64(0)
	for at := range count {
		more, n := binary.Varint(body)
		if n <= 0 {
			return nil, errShort
		}
		number, body = number+more, body[n:]
		set(at, number)
	}
	return body, nil
}
