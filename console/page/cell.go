package page

import (
	"errors"
	"html/template"
	"reflect"
	"strconv"
	"strings"
	"time"

	"thatch/console/page/format"
)

// Kind says how the values of a column are written.
type Kind int

// The kinds of columns.
const (
	Text     Kind = iota
	Number        // aligned right, with separators
	Percent       // of 100, with a bar
	Flag          // yes, or nothing
	Severity      // a vendor's
	State         // a word with a colour; translated
	Score         // a CVSS score; nothing where there is none
	Bytes         // a size
	Date          // a day
	Time          // a moment, to the minute
	Ago           // a moment, as how long ago
	Word          // a word without a colour; translated
	Said          // what the node said
)

func (k Kind) largestFirst() bool {
	switch k {
	case Number, Percent, Flag, Severity, Score, Bytes, Date, Time, Ago:
		return true
	}
	return false
}

// Class is the style class of the kind.
func (k Kind) Class() string {
	switch k {
	case Number, Percent, Score, Bytes:
		return "number"
	case Date, Time, Ago:
		return "time"
	case Flag:
		return "flag"
	case Severity, State:
		return "word"
	}
	return "text"
}

// Column is a column of a List.
type Column struct {
	Name       string // of the JSON field, and of the API's column
	Title      string // in English
	Kind       Kind
	Link       string                                // where its cell leads: "/bulletins/{id}", with the row's JSON fields; "" nowhere
	Choices    []string                              // values to choose from in the filter
	Values     func(q *Request) ([]string, error)    // instead of Choices, where the API knows them
	Hidden     bool                                  // not shown at first
	Groups     bool                                  // the list can be grouped by it
	Unsorted   bool                                  // the API does not sort by it
	Unfiltered bool                                  // the API does not filter by it
	Wide       bool                                  // takes the room that is left
	Called     func(q *Request, value string) string // what people call the value of a Text
}

// Filterable says whether the column has a filter.
func (c Column) Filterable() bool { return !c.Unfiltered }

// Cell is one value of a row.
type Cell struct {
	Column
	Head string // the column's title in the reader's language
	Text string
	Href string
	Tone string // colour of a state
	Bar  int    // width of the bar of a percentage, 0 to 20; -1 none
	ISO  string // of a time, for machines
}

// length is the style class of how long a text is: a name of one word stands in one line, a sentence has room.
func (c *Cell) length() string {
	switch {
	case c.Kind.Class() != "text":
		return ""
	case len(c.Text) > 24:
		return " long"
	case !strings.Contains(c.Text, " "):
		return " whole"
	}
	return ""
}

// Markup is the cell as a table shows it. It is no template, since a page has a thousand cells.
func (c *Cell) Markup() HTML {
	class := c.Kind.Class() + c.length()
	if c.Wide {
		class += " wide"
	}
	if c.Text == "0" {
		class += " zero"
	}
	var b strings.Builder
	write := func(parts ...string) { // what is not ours is every second part
		for i, part := range parts {
			if i%2 == 1 {
				part = template.HTMLEscapeString(part)
			}
			b.WriteString(part)
		}
	}
	write(`<td class="`, class, `" data-label="`, c.Head, `">`)
	if c.Bar >= 0 {
		write(`<span class="meter m`, strconv.Itoa(c.Bar), `" aria-hidden="true"></span>`)
	}
	if c.Href != "" {
		write(`<a href="`, c.Href, `">`)
	}
	switch {
	case c.Kind.Class() == "word":
		write(`<span class="state `, c.Tone, `">`, c.Text, `</span>`)
	case c.ISO != "":
		write(`<time datetime="`, c.ISO, `" title="`, c.ISO, `">`, c.Text, `</time>`)
	default:
		write("", c.Text)
	}
	if c.Href != "" {
		b.WriteString("</a>")
	}
	b.WriteString("</td>")
	return HTML(b.String())
}

// cell makes the cell of a column in a row.
func (q *Request) cell(c Column, row reflect.Value) Cell {
	value := format.Field(row, c.Name)
	cell := Cell{Column: c, Head: q.T(c.Title), Bar: -1}
	f := q.values()
	switch c.Kind {
	case Number:
		cell.Text = f.Figure(value)
	case Percent:
		cell.percent(f, value)
	case Flag:
		if value == true {
			cell.Text = q.T("yes")
		}
	case Severity:
		cell.Text, cell.Tone = q.T(first(format.Text(value), "Unspecified")), format.SeverityTone(format.Text(value))
	case State:
		if text := format.Text(value); text != "" {
			cell.Text, cell.Tone = q.T(text), format.Tone(text)
		}
	case Score:
		if score, ok := value.(float64); ok && score > 0 {
			cell.Text = f.Decimal(score, 1)
		}
	case Word:
		if text := format.Text(value); text != "" {
			cell.Text = q.T(text)
		}
	case Said:
		cell.Text = q.Said(format.Text(value))
	case Bytes:
		if n, ok := value.(int64); ok && n > 0 {
			cell.Text = f.Bytes(n)
		}
	case Date:
		cell.Text = f.Date(value)
	case Time:
		cell.Text = f.When(value)
	case Ago:
		cell.Text = f.Ago(value)
		if at, _, ok := format.Moment(value); ok {
			cell.ISO = at.UTC().Format(time.RFC3339)
		}
	default:
		cell.Text = format.Text(value)
		if c.Called != nil {
			cell.Text = c.Called(q, cell.Text)
		}
	}
	if c.Link != "" && cell.Text != "" {
		cell.Href = format.Link(c.Link, row)
	}
	return cell
}

// bars is how many steps the bar of a percentage has: its width is a style class, since pages carry no inline styles.
const bars = 20

func (c *Cell) percent(f format.Values, value any) {
	c.Text = f.Percent(value)
	share, ok := value.(float64)
	if p, isPointer := value.(*float64); isPointer && p != nil {
		share, ok = *p, true
	}
	if ok {
		c.Bar = int(share * bars / 100)
	}
}

// listedPage is an api.List of whatever items.
type listedPage struct {
	items              reflect.Value
	total, page, limit int
	asOf               string // day, "" now
	taken              time.Time
}

func listed(answer any) (listedPage, error) {
	v := reflect.ValueOf(answer)
	if v.Kind() == reflect.Slice { // a list without pages
		return listedPage{items: v, total: v.Len(), page: 1, limit: max(v.Len(), 1)}, nil
	}
	if v.Kind() != reflect.Struct || !v.FieldByName("Items").IsValid() {
		return listedPage{}, errors.New("its answer is no list")
	}
	number := func(name string) int { return int(v.FieldByName(name).Int()) }
	list := listedPage{items: v.FieldByName("Items"), total: number("Total"), page: number("Page"), limit: max(number("Limit"), 1)}
	if day := v.FieldByName("AsOf"); day.IsValid() {
		list.asOf, list.taken = day.String(), v.FieldByName("Taken").Interface().(time.Time)
	}
	return list, nil
}
