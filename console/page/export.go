package page

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// exportRows is how many rows are read from the API at once.
const exportRows = 5_000

// export writes every row that the list's filters leave, on all pages, with the columns that are shown.
func (q *Request) export(l *List, w http.ResponseWriter) error {
	format := q.Arg("format")
	if format != "csv" && format != "json" {
		return Refuse(q.T("A list is written as csv or json, not as %q.", format))
	}
	state := q.state(l)
	columns := l.shown(state)
	ask := l.ask(q, state)
	ask.Set("limit", strconv.Itoa(exportRows))
	ask.Del("page")
	var out rowWriter
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
			out = begin(w, format, strings.Trim(path.Base(q.R.URL.Path)+"-"+page.asOf, "-"), columns, q)
		}
		for i := range page.items.Len() {
			values := make([]any, len(columns))
			for c, column := range columns {
				if values[c] = field(page.items.Index(i), column.Name); column.Name == asOf && page.asOf != "" && c == 0 {
					values[c] = page.asOf
				}
			}
			if err := out.row(values); err != nil {
				return nil // the browser went away
			}
		}
		if page.items.Len() == 0 || at*page.limit >= page.total {
			return out.end()
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

type rowWriter interface {
	row(values []any) error
	end() error
}

func begin(w http.ResponseWriter, format, name string, columns []Column, q *Request) rowWriter {
	if name == "/" || name == "." {
		name = "home"
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+"."+format))
	if format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		out := &csvRows{csv.NewWriter(w)}
		titles := make([]string, len(columns))
		for i, c := range columns {
			titles[i] = q.T(c.Title)
		}
		_ = out.Write(titles)
		return out
	}
	w.Header().Set("Content-Type", "application/json")
	return &jsonRows{w: w, columns: columns}
}

type csvRows struct{ *csv.Writer }

// row writes values as they are, not as the page shows them; what a spreadsheet would run as a formula is kept text by an
// apostrophe before it.
func (c *csvRows) row(values []any) error {
	line := make([]string, len(values))
	for i, value := range values {
		line[i] = text(value)
		if isText(value) && line[i] != "" && strings.ContainsRune("=+-@\t\r", rune(line[i][0])) {
			line[i] = "'" + line[i]
		}
	}
	return c.Write(line)
}

func isText(value any) bool {
	switch value.(type) {
	case string, []string:
		return true
	}
	return false
}

func (c *csvRows) end() error {
	c.Flush()
	return nil
}

type jsonRows struct {
	w       http.ResponseWriter
	columns []Column
	written bool
}

func (j *jsonRows) row(values []any) error {
	var b strings.Builder
	separator := "[\n{"
	if j.written {
		separator = ",\n{"
	}
	j.written = true
	b.WriteString(separator)
	for i, c := range j.columns {
		raw, err := json.Marshal(values[i])
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", c.Name, raw)
	}
	b.WriteByte('}')
	_, err := j.w.Write([]byte(b.String()))
	return err
}

func (j *jsonRows) end() error {
	text := "\n]\n"
	if !j.written {
		text = "[]\n"
	}
	_, _ = j.w.Write([]byte(text))
	return nil
}
