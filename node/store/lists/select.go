package lists

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Column is one column of a list that is held in memory. Value returns a string, int, float64, bool or []string, as its
// kind says (a time is a string that begins as in RFC 3339, in UTC); a list of strings fits a filter when one of them
// does.
type Column[T any] struct {
	Name   string
	Kind   Kind
	Value  func(row T) any
	Search bool // Query.Search looks here
	// Rank is what the column is sorted by where its values have an order of their own; nil: by Value.
	Rank func(row T) int
}

// Select is Query.SQL for a list in memory: it returns the page asked for and how many rows fit the filters. The list's
// own order is that of rows, which is not changed. An unknown column, and a filter that its column can never fit, are
// ErrInvalid.
func Select[T any](q Query, rows []T, columns []Column[T]) (page []T, total int, err error) {
	tests, err := filters(q, columns)
	if err != nil {
		return nil, 0, err
	}
	fit := make([]T, 0, len(rows))
	for _, row := range rows {
		if !slices.ContainsFunc(tests, func(test func(T) bool) bool { return !test(row) }) {
			fit = append(fit, row)
		}
	}
	from := min(max(q.Offset, 0), len(fit))
	if q.Sort != "" {
		if err := order(fit, q, columns, from+q.Rows()); err != nil {
			return nil, 0, err
		}
	}
	return fit[from:min(from+q.Rows(), len(fit))], len(fit), nil
}

// Group is one value of the column a list is grouped by.
type Group struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// GroupBy counts the rows that fit a query by the values of a column, in the order in which they come first.
func GroupBy[T any](q Query, rows []T, columns []Column[T], name string) ([]Group, error) {
	by, err := column(name, columns)
	if err != nil {
		return nil, err
	}
	tests, err := filters(q, columns)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	groups := []Group{}
	for _, row := range rows {
		if slices.ContainsFunc(tests, func(test func(T) bool) bool { return !test(row) }) {
			continue
		}
		for _, text := range texts(by.Value(row)) {
			i, known := at[text]
			if !known {
				i = len(groups)
				at[text], groups = i, append(groups, Group{Value: text})
			}
			groups[i].Count++
		}
	}
	return groups, nil
}

// ColumnNames are the names of columns, in their order.
func ColumnNames[T any](columns []Column[T]) []string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return names
}

func column[T any](name string, columns []Column[T]) (Column[T], error) {
	for _, c := range columns {
		if c.Name == name {
			return c, nil
		}
	}
	known := ColumnNames(columns)
	slices.Sort(known)
	return Column[T]{}, Invalid("there is no column %q here; there are %s", name, strings.Join(known, ", "))
}

func filters[T any](q Query, columns []Column[T]) ([]func(T) bool, error) {
	var tests []func(T) bool
	for _, name := range slices.Sorted(maps.Keys(q.Filter)) {
		c, err := column(name, columns)
		if err != nil {
			return nil, err
		}
		wanted, err := c.Kind.Plain(name, q.Filter[name])
		if err != nil {
			return nil, err
		}
		fits := filter(c.Kind, wanted)
		tests = append(tests, func(row T) bool { return fits(c.Value(row)) })
	}
	for name, values := range q.Only {
		c, err := column(name, columns)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(row T) bool { return slices.Contains(values, text(c.Value(row))) })
	}
	for _, word := range strings.Fields(strings.ToLower(q.Search)) {
		tests = append(tests, func(row T) bool {
			return slices.ContainsFunc(columns, func(c Column[T]) bool {
				return c.Search && slices.ContainsFunc(texts(c.Value(row)), func(text string) bool {
					return strings.Contains(strings.ToLower(text), word)
				})
			})
		})
	}
	return tests, nil
}

// filter reads one filter value (see Query.Filter) as Kind.Plain wrote it.
func filter(kind Kind, wanted string) func(value any) bool {
	if rest, negated := strings.CutPrefix(wanted, "!"); negated {
		fits := filter(kind, rest)
		return func(value any) bool { return !fits(value) }
	}
	var one func(value any) bool
	switch {
	case kind == Time && wanted != "" && (wanted[0] == '>' || wanted[0] == '<'):
		later := 1
		if wanted[0] == '<' {
			later = -1
		}
		one = func(value any) bool { return cmp.Compare(sinceNever(text(value)), wanted[1:]) == later }
	case strings.HasPrefix(wanted, ">"):
		to := said(wanted[1:])
		one = func(value any) bool { return to.compare(value) > 0 }
	case strings.HasPrefix(wanted, "<"):
		to := said(wanted[1:])
		one = func(value any) bool { return to.compare(value) < 0 }
	case strings.HasSuffix(wanted, "*"):
		prefix := strings.ToLower(strings.TrimSuffix(wanted, "*"))
		one = func(value any) bool { return strings.HasPrefix(strings.ToLower(text(value)), prefix) }
	default:
		var choices []wantedValue
		for choice := range strings.SplitSeq(wanted, ",") {
			choices = append(choices, said(choice))
		}
		one = func(value any) bool {
			return slices.ContainsFunc(choices, func(choice wantedValue) bool {
				if kind == Time {
					return timeFits(text(value), choice.text)
				}
				return choice.compare(value) == 0
			})
		}
	}
	return func(value any) bool {
		if list, ok := value.([]string); ok {
			return slices.ContainsFunc(list, func(s string) bool { return one(s) }) || len(list) == 0 && one("")
		}
		return one(value)
	}
}

// wantedValue is what a person wrote, read once for all rows.
type wantedValue struct {
	text, folded     string
	number           float64
	flag             bool
	noNumber, noFlag error
}

func said(text string) (w wantedValue) {
	w.text, w.folded = text, strings.ToLower(text)
	w.number, w.noNumber = strconv.ParseFloat(text, 64)
	w.flag, w.noFlag = parseBool(text)
	return w
}

// compare compares a row's value with it, as the value's type says.
func (w *wantedValue) compare(value any) int {
	switch v := value.(type) {
	case int:
		if w.noNumber == nil {
			return cmp.Compare(float64(v), w.number)
		}
	case float64:
		if w.noNumber == nil {
			return cmp.Compare(v, w.number)
		}
	case bool:
		if w.noFlag == nil {
			return compareValues(v, w.flag)
		}
	}
	return cmp.Compare(strings.ToLower(text(value)), w.folded)
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return strconv.ParseBool(text)
}

// order brings the first rows of the order asked for to the front: lists of fifty thousand are sorted between two
// requests, for a page of a hundred.
func order[T any](rows []T, q Query, columns []Column[T], first int) error {
	c, err := column(q.Sort, columns)
	if err != nil {
		return err
	}
	compare := func(a, b keyedRow[T]) int {
		order := a.compare(&b)
		if q.Descending {
			order = -order
		}
		if order == 0 {
			return cmp.Compare(a.at, b.at)
		}
		return order
	}
	key := func(at int) keyedRow[T] { // once a row
		if c.Rank != nil {
			return keyOf(c.Rank(rows[at]), rows[at], at)
		}
		return keyOf(c.Value(rows[at]), rows[at], at)
	}
	var keyed []keyedRow[T]
	if first < len(rows)/4 {
		keyed = leading(len(rows), first, key, compare)
	} else {
		for at := range rows {
			keyed = append(keyed, key(at))
		}
		slices.SortFunc(keyed, compare)
	}
	for at := range keyed {
		rows[at] = keyed[at].row
	}
	return nil
}

// leading returns the first rows in order, of count rows.
func leading[R any](count, first int, row func(at int) R, compare func(a, b R) int) []R {
	best := make([]R, 0, first+1)
	for at := range count {
		one := row(at)
		if len(best) == first && (first == 0 || compare(one, best[first-1]) >= 0) {
			continue
		}
		place, _ := slices.BinarySearchFunc(best, one, compare)
		best = slices.Insert(best, place, one)
		best = best[:min(len(best), first)]
	}
	return best
}

// keyedRow is a row with what it is sorted by; at is its place before.
type keyedRow[T any] struct {
	number       float64
	folded, text string
	row          T
	at           int
}

func (k *keyedRow[T]) compare(other *keyedRow[T]) int {
	switch {
	case k.number != other.number:
		return cmp.Compare(k.number, other.number)
	case k.folded != other.folded:
		return cmp.Compare(k.folded, other.folded)
	}
	return cmp.Compare(k.text, other.text)
}

func keyOf[T any](value any, row T, at int) keyedRow[T] {
	k := keyedRow[T]{row: row, at: at}
	switch v := value.(type) {
	case int:
		k.number = float64(v)
	case float64:
		k.number = v
	case bool:
		k.number = float64(number(v))
	default:
		k.text = text(value)
		k.folded = strings.ToLower(k.text)
	}
	return k
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case int:
		return cmp.Compare(a, b.(int))
	case float64:
		return cmp.Compare(a, b.(float64))
	case bool:
		return cmp.Compare(number(a), number(b.(bool)))
	}
	x, y := text(a), text(b)
	return cmp.Or(cmp.Compare(strings.ToLower(x), strings.ToLower(y)), cmp.Compare(x, y))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func text(value any) string { return strings.Join(texts(value), ",") }

func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case int:
		return []string{strconv.Itoa(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'g', -1, 64)}
	case bool:
		return []string{strconv.FormatBool(v)}
	}
	return nil
}
