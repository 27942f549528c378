package page

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"thatch/console/api"
)

// asOf is the parameter of lists that are asked for as of a past day, of pages and of the API.
const asOf = "as_of"

// Then is the past day that a table is of.
type Then struct {
	Day    string // "" now
	Taken  time.Time
	Absent string // why there is nothing of the day that was asked for
}

// AsOf is the past day that the address asks for, "" now.
func (q *Request) AsOf() string { return q.Arg(asOf) }

// without is the table of a day of which no figures are kept: it says so, and which day is the nearest.
func (t *Table) without(err error) (*Table, error) {
	if e := api.AsError(err); t.state.Get(asOf) != "" && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest && strings.Contains(e.Text, asOf)) {
		t.Absent = e.Text
		t.tabs()
		return t, nil
	}
	return nil, err
}

// keep has another address of the list be of the same day.
func (t *Table) keep(query url.Values) {
	if day := t.state.Get(asOf); day != "" {
		query.Set(asOf, day)
	}
}

// Yesterday is the latest day that can be asked for, somewhere.
func (t *Table) Yesterday() string { return t.Frame.Now().UTC().Format(time.DateOnly) }

// Today is the same list of now.
func (t *Table) Today() string { return t.href(asOf, "") }

var names = regexp.MustCompile(`\{\w*\}`)

// lead has the links of a past day lead to that day. A figure leads nowhere where its page is of now alone.
func (t *Table) lead(c Cell) Cell {
	if t.Day == "" || c.Href == "" {
		return c
	}
	path, _, _ := strings.Cut(c.Link, "?")
	path = names.ReplaceAllString(path, "{}")
	for at, p := range t.Frame.console.pages {
		if p.List != nil && p.List.Past && names.ReplaceAllString(at, "{}") == path {
			to, err := url.Parse(c.Href)
			if err != nil {
				return c
			}
			query := to.Query()
			query.Set(asOf, t.Day)
			to.RawQuery = query.Encode()
			c.Href = to.String()
			return c
		}
	}
	if slices.Contains([]Kind{Number, Percent, State}, c.Kind) {
		c.Href = ""
	}
	return c
}
