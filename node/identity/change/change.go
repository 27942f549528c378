// Package change tells how what stands somewhere differs from what stood there, field by field, as people read it.
package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of a difference, so that what is kept of a change is small however large the thing is.
const (
	MaxFields = 60  // that differ; how many more there were is told
	MaxValue  = 300 // bytes of a value; what is longer ends in "… (cut)"
	wholeList = 20  // entries of a list of plain values that is shown whole; of longer ones only what differs
	maxDepth  = 12
)

// Change is a field that differs. "" is nothing: it was not there.
type Change struct {
	Field  string `json:"field"` // "scope", "target.names", "items[Nights].minutes"
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// leaf is a plain value, or a list of plain values.
type leaf struct {
	text   string
	list   []string // nil: no list
	hidden bool     // its value is not to be shown
}

// nothing tells whether a value says no more than that there is none: what is made or removed as a whole is told without it.
func (l leaf) nothing() bool {
	return l.list == nil && slices.Contains([]string{"false", "0", "0001-01-01T00:00:00Z"}, l.text)
}

func (l leaf) equal(other leaf) bool { return l.text == other.text && slices.Equal(l.list, other.list) }

// Between tells how one JSON document differs from another, in the order of the fields' names; nothing (no bytes) stands for
// what is not there. Left is how many fields differ beside those that are told. Only are the members that count, with commas,
// those of entries of lists as "list.member"; after a "-" those that do not count; "" all. Hide says of a member's name that its value is not to be shown: that it differs
// is told all the same.
func Between(before, after []byte, only string, hide func(name string) bool) (changes []Change, left int, err error) {
	f := flat{hide: hide, labels: map[string]string{}}
	if only != "" {
		rest, but := strings.CutPrefix(only, "-")
		f.only, f.but = strings.Split(rest, ","), but
	}
	old, err := f.leaves(before)
	if err != nil {
		return nil, 0, fmt.Errorf("what stood there before: %w", err)
	}
	now, err := f.leaves(after)
	if err != nil {
		return nil, 0, fmt.Errorf("what stands there after: %w", err)
	}
	fields := map[string]bool{}
	for _, leaves := range []map[string]leaf{old, now} {
		for field := range leaves {
			fields[field] = true
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		was, is := old[field], now[field]
		switch {
		case was.equal(is), len(before) == 0 && is.nothing(), len(after) == 0 && was.nothing():
		case len(changes) == MaxFields:
			left++
		default:
			c := told(field, was, is)
			c.Field = entries.ReplaceAllStringFunc(c.Field, func(id string) string {
				if label, ok := f.labels[id[1:len(id)-1]]; ok {
					return "[" + label + "]"
				}
				return id
			})
			changes = append(changes, c)
		}
	}
	return changes, left, nil
}

var entries = regexp.MustCompile(`\[[^\[\]]+\]`)

// flat reads documents as fields with plain values.
type flat struct {
	only   []string // members; nil all
	but    bool     // those are what does not count
	hide   func(name string) bool
	labels map[string]string // what people call entries of lists, by their id
}

// name is what a field is called, and the same without the names of entries of lists.
type name struct {
	full, plain string
	depth       int
}

func (n name) member(called string) name {
	return name{join(n.full, called), join(n.plain, called), n.depth + 1}
}

func (n name) entry(label string) name {
	return name{n.full + "[" + label + "]", n.plain, n.depth + 1}
}

const hidden = "(not kept)"

func told(field string, was, is leaf) Change {
	if was.hidden || is.hidden {
		c := Change{Field: field}
		for side, value := range map[*string]leaf{&c.Before: was, &c.After: is} {
			switch {
			case value.text == "true" || value.text == "false": // whether there is one
				*side = value.text
			case value.text != "" || len(value.list) > 0:
				*side = hidden
			}
		}
		return c
	}
	if len(was.list) > wholeList || len(is.list) > wholeList {
		was, is = leaf{list: without(was.list, is.list)}, leaf{list: without(is.list, was.list)}
	}
	return Change{Field: field, Before: was.String(), After: is.String()}
}

// without are the entries of a list that another lacks. Where that is none, the order alone differs.
func without(list, other []string) []string {
	has := map[string]bool{}
	for _, entry := range other {
		has[entry] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(entry string) bool { return has[entry] })
}

func (l leaf) String() string {
	text := l.text
	if l.list != nil {
		text = strings.Join(l.list, ", ")
	}
	if len(text) > MaxValue {
		return strings.ToValidUTF8(text[:MaxValue], "") + "… (cut)"
	}
	return text
}

func (f flat) leaves(document []byte) (map[string]leaf, error) {
	leaves := map[string]leaf{}
	if len(document) == 0 {
		return leaves, nil
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if object, ok := value.(map[string]any); ok && isList(object) {
		value = object["items"]
	}
	f.add(leaves, name{}, value)
	return leaves, nil
}

// isList knows the answer of a list by its members.
func isList(object map[string]any) bool {
	_, items := object["items"].([]any)
	_, total := object["total"]
	return items && total
}

// counts says whether a field is one that is compared, by its name without the names of entries of lists.
func (f flat) counts(plain string) bool {
	named := slices.ContainsFunc(f.only, func(name string) bool { return plain == name || strings.HasPrefix(plain, name+".") })
	return f.only == nil || named != f.but
}

// add puts a value under its field's name; of what is nested deeper than maxDepth nothing is told.
func (f flat) add(leaves map[string]leaf, at name, value any) {
	switch v := value.(type) {
	case map[string]any:
		for member, inner := range v {
			f.add(leaves, at.member(member), inner)
		}
	case []any:
		f.addList(leaves, at, v)
	default:
		f.put(leaves, at, leaf{text: plain(v)})
	}
}

func (f flat) put(leaves map[string]leaf, at name, value leaf) {
	if value.text == "" && value.list == nil || at.depth > maxDepth || !f.counts(at.plain) {
		return
	}
	value.hidden = f.hide != nil && slices.ContainsFunc(strings.Split(at.plain, "."), f.hide)
	leaves[at.full] = value
}

func (f flat) addList(leaves map[string]leaf, at name, list []any) {
	var texts []string
	var objects []map[string]any
	for _, entry := range list {
		if object, ok := entry.(map[string]any); ok {
			objects = append(objects, object)
		} else if text := plain(entry); text != "" {
			texts = append(texts, text)
		}
	}
	if texts != nil {
		f.put(leaves, at, leaf{list: texts})
	}
	named := called(objects)
	for i, object := range objects {
		label := strconv.Itoa(i + 1)
		if named != "" {
			label, _ = object[named].(string)
			f.readable(label, object)
		}
		f.add(leaves, at.entry(label), object)
	}
}

// readable notes what people call an entry of a list that is told apart by its id.
func (f flat) readable(id string, object map[string]any) {
	for _, member := range names {
		if text, ok := object[member].(string); ok && text != "" && member != "id" {
			f.labels[id] = text
			return
		}
	}
}

// names are members that name an entry of a list.
var names = []string{"id", "name", "bulletin", "policy", "update", "computer", "source", "severity", "digest", "kind"}

// called is the member by which entries are told apart, "" their place in the list.
func called(objects []map[string]any) string {
	for _, member := range names {
		seen := map[string]bool{}
		for _, object := range objects {
			if text, ok := object[member].(string); ok && text != "" {
				seen[text] = true
			}
		}
		if len(seen) == len(objects) {
			return member
		}
	}
	return ""
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func plain(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}
