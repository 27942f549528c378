package page

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"thatch/console/page/format"
)

// exportRows is how many rows are read from the API at once.
const exportRows = 5_000

// export writes every row that the list's filters leave, on all pages, with the columns that are shown.
func (q *Request) export(l *List, w http.ResponseWriter) error {
	kind := q.Arg("format")
	if kind != "csv" && kind != "json" {
		return Refuse(q.T("A list is written as csv or json, not as %q.", kind))
	}
	state := q.state(l)
	columns := l.shown(state)
	ask := l.ask(q, state)
	ask.Set("limit", strconv.Itoa(exportRows))
	ask.Del("page")
	var out format.Rows
	for at := 1; ; at++ {
		ask.Set("page", strconv.Itoa(at))
		page, err := q.exported(l, ask)
		if err != nil && out != nil { // the file has begun: that it has no end is all that can be told
			q.console.Log.Error("a file could not be written to its end", "path", q.R.URL.Path, "page", at, "error", err)
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			return err
		}
		if out == nil {
			if page.asOf != "" {
				columns = append([]Column{{Name: asOf, Title: "As of"}}, columns...)
			}
			out = q.begin(w, kind, strings.Trim(path.Base(q.R.URL.Path)+"-"+page.asOf, "-"), columns)
		}
		for i := range page.items.Len() {
			values := make([]any, len(columns))
			for c, column := range columns {
				if values[c] = format.Field(page.items.Index(i), column.Name); column.Name == asOf && page.asOf != "" && c == 0 {
					values[c] = page.asOf
				}
			}
			if err := out.Row(values); err != nil {
				return nil // the browser went away
			}
		}
		if page.items.Len() == 0 || at*page.limit >= page.total {
			return out.End()
		}
	}
}

// exported reads a page of a list.
func (q *Request) exported(l *List, ask url.Values) (page listedPage, err error) {
	answer, err := q.Ask(http.MethodGet, l.path(q), ask, nil)
	if err != nil {
		return page, err
	}
	return listed(answer)
}

// begin begins the file of a list.
func (q *Request) begin(w http.ResponseWriter, kind, name string, columns []Column) format.Rows {
	if name == "/" || name == "." {
		name = "home"
	}
	titles, names := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		titles[i], names[i] = q.T(c.Title), c.Name
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+"."+kind))
	if kind == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		return format.CSV(w, titles)
	}
	w.Header().Set("Content-Type", "application/json")
	return format.JSON(w, names)
}
