package administration

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"thatch/console/page"
)

// item is a value of a JSON document as people read it: a text, a table, or items of its own.
type item struct {
	Label string
	Text  string
	Items []item
	Head  []string // of a table
	Rows  [][]string
	More  int // rows that are left out
}

// Limits of what is shown of a list.
const (
	shownRows  = 50
	shownDepth = 6
)

// readable makes items of a JSON object, in the order in which it was written; nil of what is none.
func readable(q *page.Request, raw json.RawMessage) []item {
	value, err := ordered(json.NewDecoder(bytes.NewReader(raw)), 0)
	if err != nil {
		return nil
	}
	object, ok := value.([]field)
	if !ok {
		return nil
	}
	return reader{q}.items(object, 0)
}

// field is a member of a JSON object.
type field struct {
	name  string
	value any // string, json.Number, bool, nil, []any, []field
}

// ordered decodes a JSON value and keeps the order of its members.
func ordered(d *json.Decoder, depth int) (any, error) {
	d.UseNumber()
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := []field{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := ordered(d, depth+1)
			if err != nil {
				return nil, err
			}
			object = append(object, field{name.(string), value})
		}
		_, err = d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			value, err := ordered(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = d.Token()
		return list, err
	}
	return token, nil
}

type reader struct{ *page.Request }

func (r reader) items(object []field, depth int) []item {
	var items []item
	for _, f := range object {
		it := item{Label: r.label(f.name)}
		switch v := f.value.(type) {
		case []field:
			if depth < shownDepth {
				it.Items = r.items(v, depth+1)
			}
		case []any:
			r.list(&it, v, depth)
		default:
			it.Text = r.scalar(f.name, v)
		}
		if it.Text != "" || it.Items != nil || it.Rows != nil {
			items = append(items, it)
		}
	}
	return items
}

// list shows texts in a line, and objects as a table of their plain members.
func (r reader) list(it *item, list []any, depth int) {
	var plain, columns []string
	var objects [][]field
	for _, value := range list {
		object, ok := value.([]field)
		if !ok {
			plain = append(plain, r.scalar("", value))
			continue
		}
		objects = append(objects, object)
		for _, f := range object {
			if !slices.Contains(columns, f.name) {
				columns = append(columns, f.name)
			}
		}
	}
	if depth < shownDepth && (len(objects) == 1 || slices.ContainsFunc(objects, nested)) {
		r.each(it, objects, depth)
		return
	}
	it.More = max(0, len(plain)-shownRows) + max(0, len(objects)-shownRows)
	it.Text = strings.Join(plain[:min(len(plain), shownRows)], ", ")
	for _, name := range columns {
		it.Head = append(it.Head, r.label(name))
	}
	for _, object := range objects[:min(len(objects), shownRows)] {
		row := make([]string, len(columns))
		for _, f := range object {
			row[slices.Index(columns, f.name)] = r.scalar(f.name, f.value)
		}
		it.Rows = append(it.Rows, row)
	}
}

// nested says whether an object holds a list of objects: a table would not show them.
func nested(object []field) bool {
	return slices.ContainsFunc(object, func(f field) bool {
		list, ok := f.value.([]any)
		return ok && slices.ContainsFunc(list, func(value any) bool { _, ok := value.([]field); return ok })
	})
}

// each shows objects one after the other, under their first text where there are several.
func (r reader) each(it *item, objects [][]field, depth int) {
	if len(objects) == 1 {
		it.Items = r.items(objects[0], depth+1)
		return
	}
	it.More = max(0, len(objects)-shownRows)
	for _, object := range objects[:min(len(objects), shownRows)] {
		label := ""
		if len(object) > 0 {
			label, _ = object[0].value.(string)
		}
		it.Items = append(it.Items, item{Label: label, Items: r.items(object, depth+1)})
	}
}

// scalar writes a plain value; of what holds others, how many.
func (r reader) scalar(name string, value any) string {
	switch v := value.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			if at.IsZero() {
				return ""
			}
			return r.Said(v)
		}
		return v
	case json.Number:
		n, err := v.Int64()
		switch {
		case err != nil:
			return v.String()
		case name == "bytes" || strings.HasSuffix(name, "_bytes") || name == "size":
			return r.Words.Bytes(n)
		}
		return r.Words.Number(n)
	case bool:
		if v {
			return r.T("yes")
		}
		return r.T("no")
	case []any:
		if len(v) == 0 {
			return ""
		}
		return r.Words.Number(int64(len(v)))
	case []field:
		parts := make([]string, 0, len(v))
		for _, f := range v {
			if text := r.scalar(f.name, f.value); text != "" {
				parts = append(parts, r.label(f.name)+" "+text)
			}
		}
		return strings.Join(parts, ", ")
	}
	return ""
}

// label makes "digest_here" to "Digest here", in the reader's language where it is known.
func (r reader) label(name string) string {
	text := strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	if text == "" {
		return ""
	}
	return r.T(strings.ToUpper(text[:1]) + text[1:])
}

// path makes "target.names" to "Target › Names"; the names of entries of lists stay as they are.
func (r reader) path(field string) string {
	var parts []string
	for _, part := range splitPath(field) {
		if entry, ok := strings.CutPrefix(part, "["); ok {
			parts = append(parts, strings.TrimSuffix(entry, "]"))
		} else {
			parts = append(parts, r.label(part))
		}
	}
	return strings.Join(parts, " › ")
}

// splitPath takes the members and entries of a field's name apart: "a.b[x.y].c" is a, b, [x.y], c.
func splitPath(field string) []string {
	var parts []string
	start, inside := 0, false
	cut := func(end int) {
		if end > start {
			parts = append(parts, field[start:end])
		}
	}
	for i, c := range field {
		switch {
		case c == '[' && !inside:
			cut(i)
			start, inside = i, true
		case c == ']' && inside:
			cut(i + 1)
			start, inside = i+1, false
		case c == '.' && !inside:
			cut(i)
			start = i + 1
		}
	}
	cut(len(field))
	return parts
}

// said is a value that the audit log keeps as text.
func (r reader) said(text string) string {
	switch text {
	case "true":
		return r.T("yes")
	case "false":
		return r.T("no")
	}
	return r.scalar("", text)
}
