package page

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"thatch/console/page/format"
	"thatch/node/identity"
)

// List is a page that shows a list of the API, with search, filters, order, groups, columns and pages in its address.
type List struct {
	Path    string   // of the API, below its prefix; {names} are those of the page's path
	Args    []string // names and values in turn that every call carries; {names} in values are those of the page's path
	Key     string   // JSON field that names a row in actions
	Columns []Column
	Sort    string // as the API takes it, where the address says nothing: "-released"
	Group   string // column that it is grouped by at first, "" none
	Views   []ListView
	Actions []Action // on chosen rows
	Empty   string   // what to say where there is nothing at all, and what to do
	Limit   int      // rows of a page where the address says nothing; 0: 100
	Past    bool     // the API has it as of a past day too
	// Head makes what stands above the list (a chart, a form): the name of a template and its data.
	Head func(q *Request) (template string, data any, err error)
	// Named gives the page another title than its own, and where it stands; nil: its own.
	Named func(q *Request) (title string, crumbs []Link, err error)
}

// ListView is a set of filters with a name.
type ListView struct {
	Title string // in English
	// "severity=Critical&sort=-released"; {3d} in it is the day three days ago, {last-month} the month before this one
	Query string
}

// Action is what can be done with chosen rows: a button whose form says do=Name and key=... for each row.
type Action struct {
	Name    string // of the page's Act
	Title   string // in English
	Scope   identity.Scope
	Call    string  // of the API that it makes for each row or for all: "PUT /computers/{key}", "POST /bulletins/stage"
	Fields  []Field // asked for beside the rows
	Confirm string  // a question before it, "" none
	Danger  bool
}

// Field is an input of an Action.
type Field struct {
	Name, Title string
	Options     func(q *Request) ([]Option, error) // a choice; nil: a line of text
}

// Option is one choice of a Field.
type Option struct{ Value, Text string }

const (
	defaultRows = 100
	maxRows     = 500 // of a page: larger ones are no pages any more
)

// Table is a List with the rows of one page, ready to be shown.
type Table struct {
	*List
	Frame    *Request
	Shown    []ShownColumn
	Groups   []RowGroup
	Total    int
	From, To int // rows of this page, from 1
	Prev     string
	Next     string
	Chips    []Chip
	Tabs     []Tab
	Saved    []SavedView
	Then
	state url.Values // of the address, without what says nothing
	Above HTML       // what Head made
}

// ShownColumn is a column with what its head does.
type ShownColumn struct {
	Column
	Href      string // sorts by it; "" it cannot be sorted
	Direction string // ascending, descending, "" not sorted by it
}

// RowGroup is the rows of one value of the column that the list is grouped by; Title is "" where it is not.
type RowGroup struct {
	Title string
	Rows  []Row
}

// Row is one row of a table.
type Row struct {
	Key   string
	Pick  bool // it can be chosen: it is in the operator's part of the site
	Cells []Cell
}

// Chip is a filter in force, and the address without it.
type Chip struct{ Text, Without string }

// Tab is a view, and its address.
type Tab struct {
	Title, Href string
	Current     bool
}

// reserved are the names that say in an address how a list is shown. A column of that name cannot be filtered.
var reserved = []string{"q", "sort", "page", "limit", "columns", "grouped", asOf}

// state is what the address says of the list, and nothing else.
func (q *Request) state(l *List) url.Values {
	state := url.Values{}
	for name, values := range q.R.URL.Query() {
		known := slices.Contains(reserved, name) && (name != asOf || l.Past) ||
			slices.ContainsFunc(l.Columns, func(c Column) bool { return c.Name == name && !c.Unfiltered })
		if known && len(values) > 0 && strings.TrimSpace(values[0]) != "" {
			state.Set(name, strings.TrimSpace(strings.Join(values, ","))) // check boxes send one value each
		}
	}
	return state
}

// asking is the query that the API is asked for a state.
func (l *List) asking(state url.Values) url.Values {
	ask := url.Values{}
	for name := range state {
		if !slices.Contains([]string{"columns", "grouped"}, name) {
			ask.Set(name, state.Get(name))
		}
	}
	if group := l.group(state); group != "" {
		if strings.TrimPrefix(ask.Get("sort"), "-") != group {
			if l.Columns[slices.IndexFunc(l.Columns, func(c Column) bool { return c.Name == group })].Kind == Severity {
				group = "-" + group // the most severe first
			}
			ask.Set("sort", group)
		}
	} else if ask.Get("sort") == "" && l.Sort != "" {
		ask.Set("sort", l.Sort)
	}
	limit := l.rows(state)
	ask.Set("limit", strconv.Itoa(limit))
	return ask
}

func (l *List) rows(state url.Values) int {
	n, err := strconv.Atoi(state.Get("limit"))
	if err != nil || n < 1 {
		if n = l.Limit; n == 0 {
			n = defaultRows
		}
	}
	return min(n, maxRows)
}

// group is the column that the list is grouped by: what the address says, "none" for none.
func (l *List) group(state url.Values) string {
	name := first(state.Get("grouped"), l.Group)
	if i := slices.IndexFunc(l.Columns, func(c Column) bool { return c.Name == name && c.Groups }); i < 0 {
		return ""
	}
	return name
}

// shown are the columns that the address asks for, or those shown at first.
func (l *List) shown(state url.Values) []Column {
	var shown []Column
	wanted := strings.Split(state.Get("columns"), ",")
	for _, c := range l.Columns {
		if state.Get("columns") == "" && !c.Hidden || slices.Contains(wanted, c.Name) {
			shown = append(shown, c)
		}
	}
	if shown == nil {
		return l.shown(url.Values{})
	}
	return shown
}

// path is the list's address in the API.
func (l *List) path(q *Request) string {
	path := l.Path
	for name := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(name, "{") {
			path = strings.Replace(path, name, url.PathEscape(q.Var(strings.Trim(name, "{}"))), 1)
		}
	}
	return path
}

// ask is the whole query of the list.
func (l *List) ask(q *Request, state url.Values) url.Values {
	ask := l.asking(state)
	for i := 0; i+1 < len(l.Args); i += 2 {
		value := l.Args[i+1]
		if strings.HasPrefix(value, "{") {
			value = q.Var(strings.Trim(value, "{}"))
		}
		ask.Set(l.Args[i], value)
	}
	return ask
}

// Table reads the page of a list that the address asks for.
func (q *Request) Table(l *List) (*Table, error) {
	t := &Table{List: l, Frame: q, state: q.state(l)}
	answer, err := q.Ask(http.MethodGet, l.path(q), l.ask(q, t.state), nil)
	if err != nil {
		return t.without(err)
	}
	page, err := listed(answer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Path, err)
	}
	t.Total = page.total
	if page.items.Len() > 0 {
		t.From = (page.page-1)*page.limit + 1
		t.To = t.From + page.items.Len() - 1
	}
	if page.page > 1 {
		t.Prev = t.href("page", strconv.Itoa(min(page.page-1, max(1, (t.Total+page.limit-1)/page.limit))))
	}
	if t.To < t.Total && t.To > 0 {
		t.Next = t.href("page", strconv.Itoa(page.page+1))
	}
	t.Day, t.Taken = page.asOf, page.taken
	columns := l.shown(t.state)
	t.head(columns)
	t.fill(columns, page)
	t.chips()
	t.tabs()
	if err := t.saved(); err != nil {
		return nil, err
	}
	if l.Head != nil {
		name, data, err := l.Head(q)
		if err != nil {
			return nil, err
		}
		if t.Above, err = q.Part(name, data); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// listPage is the view of a page that is a list.
func (q *Request) listPage(l *List) (*View, error) {
	t, err := q.Table(l)
	if err != nil {
		return nil, err
	}
	view := &View{Template: "list.html", Data: t}
	if l.Named != nil {
		view.Title, view.Crumbs, err = l.Named(q)
	}
	return view, err
}

// href is the address of the list with names and values in turn instead of those in force; "" takes one out. What is
// asked for anew begins at the first page.
func (t *Table) href(pairs ...string) string {
	state := maps.Clone(t.state)
	if state == nil {
		state = url.Values{}
	}
	state.Del("page")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			state.Del(pairs[i])
		} else {
			state.Set(pairs[i], pairs[i+1])
		}
	}
	if len(state) == 0 {
		return t.Frame.R.URL.EscapedPath()
	}
	return t.Frame.R.URL.EscapedPath() + "?" + state.Encode()
}

func (t *Table) head(columns []Column) {
	sorted, descending := strings.CutPrefix(first(t.state.Get("sort"), t.Sort), "-")
	if group := t.GroupedBy(); group != "" && strings.TrimPrefix(t.state.Get("sort"), "-") != group {
		sorted, descending = group, false
	}
	for _, c := range columns {
		s := ShownColumn{Column: c}
		if !c.Unsorted {
			to := c.Name
			if c.Kind.largestFirst() {
				to = "-" + c.Name
			}
			if c.Name == sorted {
				s.Direction = "ascending"
				if descending {
					s.Direction = "descending"
				}
				to = c.Name
				if !descending {
					to = "-" + c.Name
				}
			}
			s.Href = t.href("sort", to)
		}
		t.Shown = append(t.Shown, s)
	}
}

func (t *Table) fill(columns []Column, page listedPage) {
	group, may := t.GroupedBy(), t.Allowed()
	for i := range page.items.Len() {
		row := page.items.Index(i)
		title := ""
		if group != "" {
			c := t.Columns[slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == group })]
			title = first(t.Frame.cell(c, row).Text, "–")
		}
		if len(t.Groups) == 0 || t.Groups[len(t.Groups)-1].Title != title {
			t.Groups = append(t.Groups, RowGroup{Title: title})
		}
		r := Row{Key: format.Text(format.Field(row, t.Key))}
		r.Pick = slices.ContainsFunc(may, func(a Action) bool { return t.picks(a, r.Key) })
		for _, c := range columns {
			r.Cells = append(r.Cells, t.lead(t.Frame.cell(c, row)))
		}
		last := &t.Groups[len(t.Groups)-1]
		last.Rows = append(last.Rows, r)
	}
}

func (t *Table) chips() {
	if search := t.state.Get("q"); search != "" {
		t.Chips = append(t.Chips, Chip{t.Frame.T("Search: %s", search), t.href("q", "")})
	}
	for _, c := range t.Columns {
		if value := t.state.Get(c.Name); value != "" {
			t.Chips = append(t.Chips, Chip{t.Frame.T(c.Title) + ": " + t.Frame.filterText(c, value), t.href(c.Name, "")})
		}
	}
}

// filterText says a filter in words.
func (q *Request) filterText(c Column, value string) string {
	if rest, not := strings.CutPrefix(value, "!"); not {
		return q.T("not %s", q.filterText(c, rest))
	}
	if c.Kind == Flag {
		switch value {
		case "true", "yes":
			return q.T("yes")
		case "false", "no":
			return q.T("no")
		}
	}
	parts := strings.Split(value, ",")
	for i, part := range parts {
		if c.Kind == Severity || c.Kind == State || c.Kind == Word {
			parts[i] = q.T(part)
		}
	}
	return strings.Join(parts, ", ")
}

var daysAgo = regexp.MustCompile(`\{\d+d\}`)

// fillTimes puts days and months in the places of their names in a view's query.
func (q *Request) fillTimes(query string) string {
	now := q.Now().UTC()
	query = strings.ReplaceAll(query, "{last-month}", now.AddDate(0, 0, -now.Day()).Format("2006-01"))
	return daysAgo.ReplaceAllStringFunc(query, func(days string) string {
		n, _ := strconv.Atoi(days[1 : len(days)-2])
		return now.AddDate(0, 0, -n).Format(time.DateOnly)
	})
}

func (t *Table) tabs() {
	for _, v := range t.Views {
		query, err := url.ParseQuery(t.Frame.fillTimes(v.Query))
		if err != nil {
			panic(fmt.Sprintf("view %q: %v", v.Title, err)) // a fault of the program
		}
		tab := Tab{Title: t.Frame.T(v.Title), Href: t.Frame.R.URL.EscapedPath(), Current: sameFilters(query, t.state)}
		t.keep(query)
		if len(query) > 0 {
			tab.Href += "?" + query.Encode()
		}
		t.Tabs = append(t.Tabs, tab)
	}
}

// sameFilters says whether two states ask for the same rows in the same order.
func sameFilters(a, b url.Values) bool {
	a, b = maps.Clone(a), maps.Clone(b)
	for _, name := range []string{"page", "limit", "columns", asOf} {
		a.Del(name)
		b.Del(name)
	}
	return a.Encode() == b.Encode()
}

// GroupedBy is the column that the list is grouped by, "" none.
func (t *Table) GroupedBy() string { return t.group(t.state) }

// State is what the address says, for forms that keep it; but for the names given.
func (t *Table) State(without ...string) []Option {
	var kept []Option
	for _, name := range slices.Sorted(maps.Keys(t.state)) {
		if name != "page" && !slices.Contains(without, name) {
			kept = append(kept, Option{name, t.state.Get(name)})
		}
	}
	return kept
}

// Asked is what the address says of one name.
func (t *Table) Asked(name string) string { return t.state.Get(name) }

// RowsPerPage is how many rows a page has.
func (t *Table) RowsPerPage() int { return t.rows(t.state) }

// Filtered says whether the list leaves rows out.
func (t *Table) Filtered() bool { return len(t.Chips) > 0 }

// Export is the address of what is shown as a file.
func (t *Table) Export(format string) string { return t.href("format", format) }

// Plain is the list without filters, of the same day.
func (t *Table) Plain() string {
	query := url.Values{}
	if t.keep(query); len(query) > 0 {
		return t.Frame.R.URL.EscapedPath() + "?" + query.Encode()
	}
	return t.Frame.R.URL.EscapedPath()
}

// Allowed are the actions that the operator may do.
func (t *Table) Allowed() []Action {
	var may []Action
	if t.Day != "" {
		return nil // they would act on what there is now
	}
	for _, a := range t.Actions {
		if t.Frame.May(first(a.Scope, identity.Operate)) && (a.Call == "" || t.Frame.Allows(a.Call)) {
			may = append(may, a)
		}
	}
	return may
}

// picks says whether an action is for a row too.
func (t *Table) picks(a Action, key string) bool {
	if t.Frame.Session.Operator.Part.Whole() || !strings.Contains(a.Call, "{key}") {
		return true
	}
	return t.Frame.Allows(strings.ReplaceAll(a.Call, "{key}", url.PathEscape(key)))
}

// ChoicesOf are the values to choose from in the filter of a column; none: any can be written.
func (t *Table) ChoicesOf(c Column) ([]string, error) {
	if c.Values == nil {
		return c.Choices, nil
	}
	return c.Values(t.Frame)
}

// FieldOptions are the choices of a field of an action.
func (t *Table) FieldOptions(f Field) ([]Option, error) {
	if f.Options == nil {
		return nil, nil
	}
	return f.Options(t.Frame)
}

// IsShown says whether a column is shown.
func (t *Table) IsShown(name string) bool {
	return slices.ContainsFunc(t.Shown, func(c ShownColumn) bool { return c.Name == name })
}

// Width is the number of columns that are shown, with the one to choose rows by.
func (t *Table) Width() int {
	if len(t.Allowed()) > 0 {
		return len(t.Shown) + 1
	}
	return len(t.Shown)
}

// PageSizes are the numbers of rows that a page may have.
func (t *Table) PageSizes() []int { return []int{25, 50, 100, 250, maxRows} }

// Token is the hidden field of the table's forms.
func (t *Table) Token() HTML { return (&frame{Request: t.Frame}).Token() }
