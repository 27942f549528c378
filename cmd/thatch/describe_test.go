package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
	"thatch/ringtest"
)

// demoSite starts the demo as a process and returns a client of the node at the top when every computer is compliant.
func demoSite(t *testing.T) *client.Client {
	t.Helper()
	ringtest.Need(t, ringtest.Processes)
	cmd := program("demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	where, told := make(chan string, 1), strings.Builder{}
	go func() {
		defer close(where)
		dir := ""
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			told.WriteString(lines.Text() + "\n")
			if found := regexp.MustCompile(`^Four sites in (\S+)`).FindStringSubmatch(lines.Text()); found != nil {
				dir = found[1]
			}
			if strings.Contains(lines.Text(), "Every computer is compliant") {
				where <- dir
				break
			}
		}
		for lines.Scan() { // so that the demo never waits for us
		}
	}()
	dir, ok := <-where
	if !ok || dir == "" {
		t.Fatalf("the demo ended early:\n%s", told.String())
	}
	c, err := client.New(client.Config{Dir: filepath.Join(dir, "london")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// description is what of an OpenAPI document is read here.
type description struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	Parameters []struct {
		Name, In, Description string
		Required              bool
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]schema
	Required   []string
	Items      *schema
	Additional *schema `json:"additionalProperties"`
}

// fitting is a value that a column can be filtered by: texts, numbers, flags or times.
func fitting(t *testing.T, c *client.Client, path, column string) string {
	t.Helper()
	var err error
	for _, value := range []string{"x", "5", "yes", "2026"} {
		if err = c.Get(t.Context(), path, url.Values{column: {value}}, nil); err == nil {
			return value
		}
	}
	t.Errorf("%s cannot be filtered by %s: %v", path, column, err)
	return ""
}

// TestAnswersFitTheirDescription asks a living site for everything that can be read, and holds the answers against the
// OpenAPI document; lists are also sorted and filtered by each of their columns.
func TestAnswersFitTheirDescription(t *testing.T) {
	c := demoSite(t)
	var doc description
	if err := c.Get(t.Context(), "/openapi.json", nil, &doc); err != nil {
		t.Fatal(err)
	}
	found, asked := map[string]string{}, 0 // list path -> an id in it
	get := func(path string, query url.Values, op operation) any {
		t.Helper()
		asked++
		var value any
		if err := c.Get(t.Context(), path, query, &value); err != nil {
			if cli.ExitCode(err) == cli.ExitNotFound && path == "/parent" {
				return nil // the demo's site has none
			}
			t.Errorf("%s?%s: %v", path, query.Encode(), err)
			return nil
		}
		doc.check(t, path, op.Responses["200"].Content["application/json"].Schema, value)
		return value
	}
	for pass := range 2 { // lists first: they name what else there is
		for path, methods := range doc.Paths {
			op, ok := methods["get"]
			path = strings.TrimPrefix(path, "/api/v1")
			own := strings.HasPrefix(path, "/self/") // is answered to operators with an account, and this client is none
			if _, isJSON := op.Responses["200"].Content["application/json"]; !ok || !isJSON || own || strings.Contains(path, "{") != (pass == 1) {
				continue
			}
			if pass == 1 {
				if path = fill(path, found); path == "" {
					continue
				}
			}
			query, known := required(op)
			if !known {
				continue
			}
			value := get(path, query, op)
			if id := firstID(value); id != "" {
				found[path] = id
			}
			for _, p := range op.Parameters {
				if query != nil || !strings.HasPrefix(p.Description, "only rows with this value") {
					continue
				}
				get(path, url.Values{"sort": {"-" + p.Name}, "limit": {"3"}}, op)
				get(path, url.Values{p.Name: {fitting(t, c, path, p.Name)}, "q": {"y"}}, op)
			}
		}
	}
	if asked < 50 {
		t.Errorf("only %d answers were looked at", asked)
	}
	t.Logf("%d answers fit their description", asked)
}

// required are the parameters without which a path makes no sense, nil when it has none. The values fit the demo.
func required(op operation) (query url.Values, known bool) {
	for _, p := range op.Parameters {
		if p.In == "query" && p.Required {
			if p.Name != "by" {
				return nil, false
			}
			return url.Values{"by": {"severity"}}, true
		}
	}
	return nil, true
}

// fill puts ids that lists showed into a path; "" when none is known.
func fill(path string, found map[string]string) string {
	head, rest, _ := strings.Cut(path, "/{")
	_, tail, _ := strings.Cut(rest, "}")
	id := found[head]
	if id == "" || strings.Contains(tail, "{") {
		return ""
	}
	return head + client.Path(id) + tail
}

func firstID(value any) string {
	object, _ := value.(map[string]any)
	items, _ := object["items"].([]any)
	for _, item := range items {
		fields, _ := item.(map[string]any)
		for _, name := range []string{"id", "sha256", "name"} {
			if id, ok := fields[name].(string); ok && id != "" {
				return id
			}
		}
	}
	return ""
}

// check holds a value against a schema: its type, nothing that is not described, nothing missing.
func (d description) check(t *testing.T, where string, s schema, value any) {
	t.Helper()
	if err := d.fits(s, value); err != nil {
		t.Errorf("%s: %v", where, err)
	}
}

func (d description) fits(s schema, value any) error {
	if s.Ref != "" {
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		if err := d.fits(d.Components.Schemas[name], value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	switch v := value.(type) {
	case nil:
		return errors.New("null is nowhere described")
	case bool:
		return s.is("boolean")
	case string:
		return s.is("string")
	case float64:
		if v == float64(int64(v)) && s.Type == "integer" {
			return nil
		}
		return s.is("number")
	case []any:
		for i, item := range v {
			if s.Items == nil {
				return s.is("array of something")
			}
			if err := d.fits(*s.Items, item); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return s.is("array")
	}
	return d.fitsObject(s, value.(map[string]any))
}

func (d description) fitsObject(s schema, fields map[string]any) error {
	for _, name := range s.Required {
		if _, ok := fields[name]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for name, value := range fields {
		inner, ok := s.Properties[name]
		if !ok && s.Additional != nil {
			inner, ok = *s.Additional, true
		}
		if !ok && s.Type != "" {
			return fmt.Errorf("%s is not described", name)
		}
		if err := d.fits(inner, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return s.is("object")
}

// is compares a JSON type with the one described; a schema without a type describes anything.
func (s schema) is(kind string) error {
	if s.Type == "" || s.Type == kind {
		return nil
	}
	return fmt.Errorf("is %s, described as %s", kind, s.Type)
}
