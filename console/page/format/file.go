package format

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// Rows writes the rows of a list to a file, one after the other, then the file's end.
type Rows interface {
	Row(values []any) error
	End() error
}

// CSV begins a file of comma-separated values with the titles of its columns.
func CSV(w io.Writer, titles []string) Rows {
	out := csvRows{csv.NewWriter(w)}
	_ = out.Write(titles) // End tells, if nothing does before
	return out
}

type csvRows struct{ *csv.Writer }

// Row writes values as they are, not as the page shows them; what a spreadsheet would run as a formula is kept text by an
// apostrophe before it.
func (c csvRows) Row(values []any) error {
	line := make([]string, len(values))
	for i, value := range values {
		line[i] = Text(value)
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

// End implements Rows.
func (c csvRows) End() error {
	c.Flush()
	return c.Error()
}

// JSON begins an array of objects, whose members have names.
func JSON(w io.Writer, names []string) Rows { return &jsonRows{w: w, names: names} }

type jsonRows struct {
	w       io.Writer
	names   []string
	written bool
}

// Row implements Rows.
func (j *jsonRows) Row(values []any) error {
	var b bytes.Buffer
	separator := "[\n{"
	if j.written {
		separator = ",\n{"
	}
	j.written = true
	b.WriteString(separator)
	for i, name := range j.names {
		raw, err := json.Marshal(values[i])
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(name) + ":")
		b.Write(raw)
	}
	b.WriteByte('}')
	_, err := j.w.Write(b.Bytes())
	return err
}

// End implements Rows.
func (j *jsonRows) End() error {
	text := "\n]\n"
	if !j.written {
		text = "[]\n"
	}
	_, err := io.WriteString(j.w, text)
	return err
}
