package format

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"
)

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// Link fills the {fields} of an address with a row's; "" where one of them is empty.
func Link(pattern string, row reflect.Value) string {
	whole := true
	filled := placeholder.ReplaceAllStringFunc(pattern, func(name string) string {
		value := Text(Field(row, strings.Trim(name, "{}")))
		whole = whole && value != ""
		if strings.Contains(pattern, "?") && strings.Index(pattern, name) > strings.Index(pattern, "?") {
			return url.QueryEscape(value)
		}
		return url.PathEscape(value)
	})
	if !whole {
		return ""
	}
	return filled
}

// Text writes a value as it stands in a file of comma-separated values.
func Text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return strings.Join(v, ", ")
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	case *float64:
		if v == nil {
			return ""
		}
		return fmt.Sprintf("%.1f", *v)
	case float64:
		return fmt.Sprint(v)
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(value)
}

var fieldsOf sync.Map // reflect.Type -> map[string][]int

// Field is the value of a struct's field by its JSON name, also of those that are embedded; nil where there is none.
func Field(row reflect.Value, name string) any {
	for row.Kind() == reflect.Pointer || row.Kind() == reflect.Interface {
		if row.IsNil() {
			return nil
		}
		row = row.Elem()
	}
	if row.Kind() != reflect.Struct {
		return nil
	}
	known, ok := fieldsOf.Load(row.Type())
	if !ok {
		known = fields(row.Type())
		fieldsOf.Store(row.Type(), known)
	}
	at, ok := known.(map[string][]int)[name]
	if !ok {
		return nil
	}
	value, err := row.FieldByIndexErr(at)
	if err != nil {
		return nil // in an embedded pointer that is nil
	}
	if value.Kind() == reflect.String {
		return value.String() // statuses and severities too
	}
	return value.Interface()
}

func fields(t reflect.Type) map[string][]int {
	found := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.PkgPath != "" || f.Anonymous && name == "" || name == "-" || name == "" {
			continue
		}
		if former, twice := found[name]; !twice || len(f.Index) < len(former) {
			found[name] = f.Index
		}
	}
	return found
}
