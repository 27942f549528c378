package format

import (
	"errors"
	"fmt"
	"html/template"
	"net/url"

	"thatch/catalog"
)

// Funcs are what templates call to write values.
func (f Values) Funcs() template.FuncMap {
	return template.FuncMap{
		"t":        f.T,
		"count":    f.Count,
		"number":   f.Figure,
		"percent":  f.Percent,
		"bytes":    f.Bytes,
		"date":     f.Date,
		"when":     f.When,
		"ago":      f.Ago,
		"said":     f.Said,
		"sentence": f.Sentence,
		"severity": f.severity,
		"tone":     Tone,
		"query":    query,
		"dict":     dict,
	}
}

func (f Values) severity(s catalog.Severity) string {
	if s == catalog.Unspecified {
		return f.T("Unspecified")
	}
	return f.T(string(s))
}

// dict makes a map of names and values in turn, for templates that take several.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict takes names and values in turn")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// query makes "?name=value&..." of names and values in turn.
func query(pairs ...string) template.URL {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return template.URL("?" + values.Encode())
}
