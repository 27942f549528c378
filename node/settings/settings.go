// Package settings keeps what an administrator sets for the whole site: typed, with defaults, each under a name and with
// a version. A setting that nobody set has its default, which may change with the program.
package settings

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"thatch/node/identity"
	"thatch/node/store"
)

const maxValue = 64 << 10 // bytes of JSON

// Setting is a setting whose value is a T.
type Setting[T any] struct {
	Name    string
	Default T
	Text    string        // one line for people
	Choices []T           // of which it is one; nil: any
	check   func(T) error // nil: every T is good
}

// definition is a Setting without its type.
type definition struct {
	name, text, kind string
	standard         json.RawMessage
	choices          []string
	check            func(json.RawMessage) error
}

var definitions = map[string]definition{}

func define[T any](s Setting[T]) Setting[T] {
	standard, err := json.Marshal(s.Default)
	if err != nil {
		panic(fmt.Sprintf("settings: default of %s: %v", s.Name, err)) // a fault of this package, seen by any test
	}
	definitions[s.Name] = definition{
		name: s.Name, text: s.Text, kind: kindOf(reflect.TypeFor[T]()), standard: standard, choices: texts(s.Choices),
		check: func(raw json.RawMessage) error {
			value, err := decode[T](raw)
			if err == nil && s.check != nil {
				err = s.check(value)
			}
			return err
		},
	}
	return s
}

// texts are choices as people read them.
func texts[T any](choices []T) []string {
	var list []string
	for _, c := range choices {
		list = append(list, fmt.Sprint(c))
	}
	return list
}

func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[Sealed]() {
		return secretKind
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list of texts"
	}
	return "number"
}

func decode[T any](raw json.RawMessage) (T, error) {
	var value T
	if string(raw) == "null" {
		return value, errors.New("there is no value")
	}
	err := json.Unmarshal(raw, &value)
	return value, err
}

// Values are all settings at one moment.
type Values struct{ raw map[string]json.RawMessage }

// In is the setting's value; its default where nobody set it, or where another version of the program wrote what this
// one cannot read.
func (s Setting[T]) In(v Values) T {
	raw, ok := v.raw[s.Name]
	if !ok {
		return s.Default
	}
	value, err := decode[T](raw)
	if err != nil || s.check != nil && s.check(value) != nil {
		return s.Default
	}
	return value
}

// Entry is a setting for people.
type Entry struct {
	Name    string          `json:"name"`
	Value   json.RawMessage `json:"value"`
	Default json.RawMessage `json:"default"`
	Set     bool            `json:"set"`  // somebody set it
	Type    string          `json:"type"` // boolean, text, number, list of texts, secret
	Text    string          `json:"text"`
	Choices []string        `json:"choices,omitempty"` // of which it is one
	Version int             `json:"version"`           // 0: never set
}

// Room reads and writes the settings. It is safe for use by several goroutines.
type Room struct {
	reader store.Reader
	writer store.Writer
	sealer Sealer
}

// New makes the room.
func New(reader store.Reader, writer store.Writer, sealer Sealer) *Room {
	return &Room{reader: reader, writer: writer, sealer: sealer}
}

type row struct {
	value   json.RawMessage
	version int
}

func (r *Room) read(ctx context.Context) (map[string]row, error) {
	found := map[string]row{}
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		clear(found)
		rows, err := tx.QueryContext(ctx, `SELECT name, value, version FROM setting`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, value string
			var version int
			if err := rows.Scan(&name, &value, &version); err != nil {
				return err
			}
			found[name] = row{json.RawMessage(value), version}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return found, nil
}

// All reads all settings at once.
func (r *Room) All(ctx context.Context) (Values, error) {
	found, err := r.read(ctx)
	v := Values{raw: make(map[string]json.RawMessage, len(found))}
	for name, row := range found {
		v.raw[name] = row.value
	}
	return v, err
}

// List is every setting that this version knows, by name.
func (r *Room) List(ctx context.Context) ([]Entry, error) {
	found, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(definitions))
	for _, d := range definitions {
		entries = append(entries, d.entry(found))
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

func (d definition) entry(found map[string]row) Entry {
	e := Entry{Name: d.name, Value: d.standard, Default: d.standard, Type: d.kind, Text: d.text, Choices: d.choices}
	if row, ok := found[d.name]; ok {
		e.Version = row.version
		if string(row.value) != "null" {
			e.Value, e.Set = row.value, true
			if d.kind == secretKind {
				e.Value = hidden
			}
		}
	}
	return e
}

// Get is one setting.
func (r *Room) Get(ctx context.Context, name string) (Entry, error) {
	d, ok := definitions[name]
	if !ok {
		return Entry{}, store.NotFound("setting", name)
	}
	found, err := r.read(ctx)
	if err != nil {
		return Entry{}, err
	}
	return d.entry(found), nil
}

// Set changes a setting; a nil or null value has it at its default again. Version is that of the entry which the change
// was made from, -1 any; a newer one is a conflict.
func (r *Room) Set(ctx context.Context, name string, value json.RawMessage, version int) (Entry, error) {
	now, err := r.Get(ctx, name)
	if err != nil {
		return now, err
	}
	if value == nil {
		value = json.RawMessage("null")
	}
	if len(value) > maxValue {
		return now, store.Invalid("setting %s: %d bytes, at most %d are kept", name, len(value), maxValue)
	}
	if string(value) != "null" {
		if err := definitions[name].check(value); err != nil {
			return now, store.Invalid("setting %s takes a %s: %v", name, now.Type, err)
		}
	}
	if now.Type == secretKind {
		ctx = identity.Discreet(ctx)
		if string(value) != "null" {
			if value, err = r.seal(name, value); err != nil {
				return now, err
			}
		}
	}
	if version < 0 {
		version = now.Version
	}
	applied, err := r.writer.Write(ctx, store.Batch{
		Reason: "set " + name + ", which was " + clip(string(now.Value)),
		Topics: []string{"settings"}, Statements: []store.Statement{change(name, value, version)},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return now, fmt.Errorf("set %s: %w", name, err)
	}
	entry, err := r.Get(ctx, name)
	if err != nil || applied.Repeated || entry.Version == version+1 {
		return entry, err // a request that is asked again is answered with what stands now
	}
	// It was changed again since: the answer is about this change.
	entry.Version, entry.Set = version+1, string(value) != "null"
	if entry.Type != secretKind {
		if entry.Value = value; !entry.Set {
			entry.Value = entry.Default
		}
	}
	return entry, nil
}

// change is the statement by which a setting at a version gets a value. The version goes on rising when the setting is at its
// default again, so that no form made earlier fits by chance.
func change(name string, value json.RawMessage, version int) store.Statement {
	if version == 0 {
		return store.Statement{
			SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 1) ON CONFLICT DO NOTHING`,
			Args: []any{name, string(value)}, Want: 1,
		}
	}
	return store.Statement{
		SQL:  `UPDATE setting SET value = ?, version = version + 1 WHERE name = ? AND version = ?`,
		Args: []any{string(value), name, version}, Want: 1,
	}
}

func clip(text string) string {
	if len(text) > 200 {
		return text[:200] + "..."
	}
	return text
}
