// Package subject finds out what a call of the API changes, by the path of the route that reads it.
package subject

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Look is a place in which names are looked for: it gives a text, a list of texts, or nothing.
type Look func(name string) any

// Subject is what a call changes.
type Subject struct {
	Only     string // members of what reads it that count (see node/identity/change)
	template string // path and filter: "/policies/{id}", "/tokens/api?id={id}"
	looks    []Look
	optional func(name string) bool
}

// Of are what a call may change, of which the first that stands there is it: templates with blanks between, and after a "#"
// the members that count. Names are looked for in the given places, in their order; optional says of a name that it may be
// empty.
func Of(alters string, optional func(name string) bool, looks ...Look) []Subject {
	templates, only, _ := strings.Cut(alters, "#")
	var all []Subject
	for template := range strings.FieldsSeq(templates) {
		all = append(all, Subject{only, template, looks, optional})
	}
	return all
}

// With looks for names in the members of a JSON document too, after all other places.
func (of Subject) With(document []byte) Subject {
	var members map[string]any
	if json.Unmarshal(document, &members) != nil {
		return of // a list, or nothing
	}
	of.looks = append(slices.Clone(of.looks), func(name string) any { return members[name] })
	return of
}

// Called names the subject by the id that a JSON document bears, for what is called otherwise afterwards is still the same.
func (of Subject) Called(document []byte) Subject {
	var members struct{ ID any }
	if json.Unmarshal(document, &members) != nil || strings.Contains(of.template, "?") {
		return of
	}
	of.looks = append([]Look{func(string) any { return members.ID }}, of.looks...)
	return of
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// value is what stands for a name, none where it is not known yet.
func (of Subject) value(name string) []string {
	for _, look := range of.looks {
		switch v := look(name).(type) {
		case string:
			if v != "" {
				return []string{v}
			}
		case []any:
			var texts []string
			for _, entry := range v {
				if text, ok := entry.(string); ok {
					texts = append(texts, text)
				}
			}
			return texts
		}
	}
	if of.optional(name) {
		return []string{""}
	}
	return nil
}

// Resolve is the path and filter of the route that reads the subject. It says no where a name is not known.
func (of Subject) Resolve() (path string, query url.Values, ok bool) {
	template, filter, _ := strings.Cut(of.template, "?")
	query, ok = url.Values{}, true
	path = inBraces.ReplaceAllStringFunc(template, func(name string) string {
		values := of.value(strings.Trim(name, "{}"))
		if len(values) != 1 {
			ok = false
			return ""
		}
		return url.PathEscape(values[0])
	})
	for pair := range strings.SplitSeq(filter, "&") {
		name, from, some := strings.Cut(pair, "=")
		if !some {
			continue
		}
		values := of.value(strings.Trim(from, "{}"))
		if len(values) > 0 && values[0] != "" {
			query[name] = values
		}
		ok = ok && len(values) > 0
	}
	return path, query, ok
}

// Path is what the audit log calls the subject: without what is not known yet, and without a list's filter.
func (of Subject) Path() string {
	if path, _, ok := of.Resolve(); ok {
		return path
	}
	end := strings.IndexAny(of.template, "{?")
	return strings.TrimSuffix(of.template[:end], "/")
}

// Kind is the noun that the subject is one of.
func (of Subject) Kind() string {
	return strings.FieldsFunc(of.template, func(c rune) bool { return c == '/' || c == '?' })[0]
}
