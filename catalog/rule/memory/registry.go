package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"thatch/catalog/rule"
)

// maxPath bounds the bytes of a registry path, maxNames the keys in it.
const (
	maxPath  = 4096
	maxNames = 128
)

// Registry is HKEY_LOCAL_MACHINE. Its JSON lists keys by path for each view:
//
//	{"native":{"SOFTWARE\\Example":{"values":{"Version":{"type":"REG_SZ","data":"1.2"}}}},"wow64":{},"partial":true}
//
// Data are numbers for REG_DWORD and REG_QWORD, texts for REG_SZ and REG_EXPAND_SZ, lists of texts for REG_MULTI_SZ,
// and base64 for everything else. A key may be {"unreadable":"access denied"}. Without "native" nothing was
// collected; without "wow64" the 32-bit view of what Windows redirects (SOFTWARE) was not.
type Registry struct {
	// Partial says that only the keys that are listed were collected, each with all its values and the names of its
	// subkeys. Otherwise what is not listed does not exist.
	Partial bool

	native, wow64 *key // nil: not collected
}

type key struct {
	name       string
	listed     bool // not merely on the way to one that is
	unreadable string
	values     map[string]namedValue
	keys       map[string]*key
}

type namedValue struct {
	name string
	rule.Value
}

// NewRegistry makes an empty, complete registry of a 64-bit computer.
func NewRegistry() *Registry { return &Registry{native: &key{}, wow64: &key{}} }

func fold(text string) string { return strings.ToLower(text) }

func containsFold(list []string, text string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, text) })
}

// names cuts a path into keys.
func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '\\' })
}

// make returns the key at a path and makes it where it is not.
func (r *Registry) make(view rule.View, path string) *key {
	root := &r.native
	if view == rule.WOW64 {
		root = &r.wow64
	}
	if *root == nil {
		*root = &key{}
	}
	k := *root
	for _, name := range names(path) {
		child := k.keys[fold(name)]
		if child == nil {
			child = &key{name: name}
			if k.keys == nil {
				k.keys = map[string]*key{}
			}
			k.keys[fold(name)] = child
		}
		k = child
	}
	k.listed = true
	return k
}

// Set writes a value, with its key where there is none.
func (r *Registry) Set(view rule.View, path, name string, v rule.Value) {
	k := r.make(view, path)
	if k.values == nil {
		k.values = map[string]namedValue{}
	}
	k.values[fold(name)] = namedValue{name, v}
}

// SetText writes a REG_SZ.
func (r *Registry) SetText(view rule.View, path, name, text string) {
	r.Set(view, path, name, rule.Value{Type: "REG_SZ", Data: text})
}

// SetNumber writes a REG_DWORD.
func (r *Registry) SetNumber(view rule.View, path, name string, number uint32) {
	r.Set(view, path, name, rule.Value{Type: "REG_DWORD", Data: number})
}

// SetKey makes a key.
func (r *Registry) SetKey(view rule.View, path string) { r.make(view, path) }

// Deny makes a key and what is below it unreadable.
func (r *Registry) Deny(view rule.View, path, why string) { r.make(view, path).unreadable = why }

// Delete removes a value; one that is not there is no error.
func (r *Registry) Delete(view rule.View, path, name string) {
	if k, _, err := r.find(view, path); err == nil && k != nil {
		delete(k.values, fold(name))
	}
}

// DeleteKey removes a key with everything below it; one that is not there is no error.
func (r *Registry) DeleteKey(view rule.View, path string) {
	all := names(path)
	if len(all) == 0 {
		return
	}
	last := len(all) - 1
	if k, _, err := r.find(view, strings.Join(all[:last], `\`)); err == nil && k != nil {
		delete(k.keys, fold(all[last]))
	}
}

// find returns the key at a path, or nil when there is none. Above is the last key on the way.
func (r *Registry) find(view rule.View, path string) (k, above *key, err error) {
	k = r.native
	if view == rule.WOW64 {
		k = r.wow64
	}
	if k == nil {
		return nil, nil, notCollected()
	}
	for _, name := range names(path) {
		if k.unreadable != "" {
			return nil, nil, errors.New(k.unreadable)
		}
		above = k
		if k = k.keys[fold(name)]; k == nil {
			break
		}
	}
	switch {
	case k != nil && k.unreadable != "":
		return nil, nil, errors.New(k.unreadable)
	case k != nil:
		return k, above, nil
	case r.Partial && !above.listed:
		return nil, nil, notCollected()
	}
	return nil, above, nil
}

// views shows a registry as Windows does: the 32-bit view differs from the native one below SOFTWARE alone, native
// programs find it in WOW6432Node, and a 32-bit computer has one view.
type views struct {
	*Registry
	x86 bool
}

func (v views) find(view rule.View, path string) (*key, error) {
	all := names(path)
	software := len(all) > 0 && strings.EqualFold(all[0], "SOFTWARE")
	switch {
	case view == rule.WOW64 && (v.x86 || !software):
		view = rule.Native
	case view == rule.Native && software && len(all) > 1 && strings.EqualFold(all[1], "WOW6432Node") && v.wow64 != nil && !v.x86:
		view, path = rule.WOW64, strings.Join(append([]string{"SOFTWARE"}, all[2:]...), `\`)
	}
	k, _, err := v.Registry.find(view, path)
	return k, err
}

// Key implements rule.Registry.
func (v views) Key(view rule.View, path string) (bool, error) {
	k, err := v.find(view, path)
	return k != nil, err
}

// Value implements rule.Registry.
func (v views) Value(view rule.View, path, name string) (rule.Value, bool, error) {
	k, err := v.find(view, path)
	if k == nil || err != nil {
		return rule.Value{}, false, err
	}
	value, has := k.values[fold(name)]
	if !has && v.Partial && !k.listed {
		return rule.Value{}, false, notCollected()
	}
	return value.Value, has, nil
}

// Subkeys implements rule.Registry; the names are sorted.
func (v views) Subkeys(view rule.View, path string) ([]string, bool, error) {
	k, err := v.find(view, path)
	if k == nil || err != nil {
		return nil, false, err
	}
	if v.Partial && !k.listed {
		return nil, false, notCollected()
	}
	subkeys := make([]string, 0, len(k.keys))
	for _, folded := range slices.Sorted(maps.Keys(k.keys)) {
		subkeys = append(subkeys, k.keys[folded].name)
	}
	return subkeys, true, nil
}

// registryJSON is the form of a Registry.
type registryJSON struct {
	Native  map[string]keyJSON `json:"native"`
	WOW64   map[string]keyJSON `json:"wow64"`
	Partial bool               `json:"partial,omitempty"`
}

type keyJSON struct {
	Values     map[string]valueJSON `json:"values,omitempty"`
	Unreadable string               `json:"unreadable,omitempty"`
}

type valueJSON struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// UnmarshalJSON reads a registry. Values that are not of their type are errors that name them.
func (r *Registry) UnmarshalJSON(data []byte) error {
	var form registryJSON
	if err := json.Unmarshal(data, &form); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	*r = Registry{Partial: form.Partial}
	if form.Native != nil {
		r.native = &key{}
	}
	if form.WOW64 != nil {
		r.wow64 = &key{}
	}
	for view, keys := range map[rule.View]map[string]keyJSON{rule.Native: form.Native, rule.WOW64: form.WOW64} {
		for path, k := range keys {
			if len(path) > maxPath || len(names(path)) > maxNames {
				return fmt.Errorf("registry: a path of %d bytes: at most %d bytes and %d keys are read", len(path), maxPath, maxNames)
			}
			r.make(view, path).unreadable = k.Unreadable
			for name, v := range k.Values {
				value, err := v.value()
				if err != nil {
					return fmt.Errorf("registry: key %q, value %q: %w", path, name, err)
				}
				r.Set(view, path, name, value)
			}
		}
	}
	return nil
}

func (v valueJSON) value() (rule.Value, error) {
	var err error
	value := rule.Value{Type: v.Type}
	switch v.Type {
	case "REG_DWORD":
		value.Data, err = decode[uint32](v.Data)
	case "REG_QWORD":
		value.Data, err = decode[uint64](v.Data)
	case "REG_SZ", "REG_EXPAND_SZ":
		value.Data, err = decode[string](v.Data)
	case "REG_MULTI_SZ":
		value.Data, err = decode[[]string](v.Data)
	case "":
		err = errors.New("it has no type")
	default:
		value.Data, err = decode[[]byte](v.Data)
	}
	return value, err
}

func decode[T any](data json.RawMessage) (value T, err error) {
	if len(data) == 0 {
		return value, errors.New("it has no data")
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return value, fmt.Errorf("data %s: %w", strconv.QuoteToASCII(string(data[:min(len(data), 40)])), err)
	}
	return value, nil
}

// MarshalJSON writes every key that is listed.
func (r *Registry) MarshalJSON() ([]byte, error) {
	form := registryJSON{Partial: r.Partial}
	if r.native != nil {
		form.Native = map[string]keyJSON{}
		if err := r.native.list("", form.Native); err != nil {
			return nil, err
		}
	}
	if r.wow64 != nil {
		form.WOW64 = map[string]keyJSON{}
		if err := r.wow64.list("", form.WOW64); err != nil {
			return nil, err
		}
	}
	return json.Marshal(form)
}

func (k *key) list(path string, into map[string]keyJSON) error {
	if k.listed {
		form := keyJSON{Unreadable: k.unreadable, Values: map[string]valueJSON{}}
		for _, v := range k.values {
			data, err := json.Marshal(v.Data)
			if err != nil {
				return fmt.Errorf("registry: key %q, value %q: %w", path, v.name, err)
			}
			form.Values[v.name] = valueJSON{v.Type, data}
		}
		into[path] = form
	}
	for _, child := range k.keys {
		below := child.name
		if path != "" {
			below = path + `\` + child.name
		}
		if err := child.list(below, into); err != nil {
			return err
		}
	}
	return nil
}
