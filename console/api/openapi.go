package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// Document makes the OpenAPI 3.1 document of a table of routes.
func Document(routes []Route, version string) map[string]any {
	paths := object{}
	book := &schemas{byName: object{}}
	for i := range routes {
		route := &routes[i]
		path, ok := paths[Prefix+route.Path].(object)
		if !ok {
			path = object{}
			paths[Prefix+route.Path] = path
		}
		path[strings.ToLower(route.Method)] = operation(route, book)
	}
	book.of(reflect.TypeFor[Error]())
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Thatch", "version": version, "description": "Every answer that is not 2xx is an Error."},
		"paths":   paths,
		"components": object{
			"schemas":         book.byName,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
		"security": []any{object{"token": []string{}}},
	}
}

var pathName = regexp.MustCompile(`\{(\w+)\}`)

func operation(route *Route, book *schemas) object {
	op := object{
		"summary":     route.Summary,
		"operationId": operationID(route),
		"x-scope":     route.Scope,
		"parameters":  parameters(route),
		"responses": object{
			"default": object{"description": "what went wrong", "content": jsonContent(object{"$ref": "#/components/schemas/Error"})},
		},
	}
	responses := op["responses"].(object)
	switch {
	case route.Do.stream != nil:
		responses["200"] = object{"description": "OK", "content": object{route.Do.media: object{}}}
	case route.Do.out == reflect.TypeFor[None]():
		responses["204"] = object{"description": "done"}
	default:
		responses["200"] = object{"description": "OK", "content": jsonContent(book.of(route.Do.out))}
	}
	if route.File {
		op["requestBody"] = object{"required": true, "content": object{"application/octet-stream": object{"schema": object{"type": "string", "format": "binary"}}}}
	}
	if route.Do.in != reflect.TypeFor[None]() {
		op["requestBody"] = object{"required": true, "content": jsonContent(book.of(route.Do.in))}
	}
	return op
}

func operationID(route *Route) string {
	words := strings.FieldsFunc(route.Path, func(r rune) bool { return r == '/' || r == '{' || r == '}' || r == '-' })
	return strings.ToLower(route.Method) + "_" + strings.Join(words, "_")
}

func jsonContent(schema object) object { return object{"application/json": object{"schema": schema}} }

// columnText describes the parameter of a list's column.
const columnText = "only rows with this value; also !x, a,b, x*, >x, <x"

func parameters(route *Route) []any {
	list := []any{}
	add := func(name, in, kind, text string) {
		list = append(list, object{
			"name": name, "in": in, "required": in == "path" || slices.Contains(route.Needs, name),
			"schema": object{"type": kind}, "description": text,
		})
	}
	for _, found := range pathName.FindAllStringSubmatch(route.Path, -1) {
		add(found[1], "path", "string", "")
	}
	if route.Columns != nil {
		add("q", "query", "string", "words that must occur")
		add("sort", "query", "string", "column, with - before it descending; one of "+strings.Join(route.Columns, ", "))
		add("page", "query", "integer", "from 1")
		add("limit", "query", "integer", "rows per page, "+strconv.Itoa(defaultPage)+" by default")
		for _, name := range route.Columns {
			add(name, "query", "string", columnText)
		}
	}
	for _, p := range route.Query {
		add(p.Name, "query", p.Type, p.Text)
	}
	return list
}

// schemas turns Go types into JSON schemas, named structs by reference.
type schemas struct{ byName object }

func (b *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": b.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": b.of(t.Elem())}
	case reflect.Struct:
		return b.named(t)
	case reflect.Interface:
		return object{}
	}
	return object{"type": "integer"}
}

var packagePath = regexp.MustCompile(`[\w./-]*/`)

func (b *schemas) named(t reflect.Type) object {
	if t.Name() == "" {
		return b.fields(t)
	}
	name := schemaName(t)
	if _, known := b.byName[name]; !known {
		b.byName[name] = object{} // a type may contain itself
		b.byName[name] = b.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schemaName is the type's name with its package, "policies.Policy", except for those of this package.
func schemaName(t reflect.Type) string {
	name := packagePath.ReplaceAllString(t.Name(), "") // type arguments carry whole import paths
	if pkg := t.PkgPath(); !strings.HasSuffix(pkg, "console/api") {
		name = pkg[strings.LastIndex(pkg, "/")+1:] + "." + name
	}
	return strings.NewReplacer("[", ".", "]", "", "api.", "", "*", "").Replace(name)
}

func (b *schemas) fields(t reflect.Type) object {
	properties, required := object{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "" && embedded(f.Type).Kind() == reflect.Struct:
			inner := b.fields(embedded(f.Type))
			for key, schema := range inner["properties"].(object) {
				properties[key] = schema
			}
			if more, ok := inner["required"].([]string); ok && f.Type.Kind() == reflect.Struct { // a nil pointer has no fields
				required = append(required, more...)
			}
			continue
		case name == "":
			name = f.Name
		}
		properties[name] = b.of(f.Type)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, Document(s.routes, s.node.Version()))
}

// embedded is the struct that a field without a name brings its fields from, also by a pointer.
func embedded(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}
