package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"thatch/console/api/client"
)

func decodeNumbers(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}

// Text shows a JSON value to people: times in the zone of the reader, yes and no, lists on one line.
func Text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case string:
		if len(v) >= len("2006-01-02T15:04:05Z") {
			if t, err := time.Parse(time.RFC3339, v); err == nil {
				return t.Local().Format("2006-01-02 15:04:05")
			}
		}
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = Text(v[i])
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
	return fmt.Sprint(value)
}

// Object shows one JSON object to people: a line per field, in the order of the answer, names with spaces; what is
// empty is left out.
func Object(w io.Writer, raw json.RawMessage) error { return object(w, raw, "") }

func object(w io.Writer, raw json.RawMessage, indent string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		_, err := fmt.Fprintf(w, "%s%s\n", indent, raw)
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return fmt.Errorf("the answer: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("the answer: %w", err)
		}
		if err := field(w, fmt.Sprint(name), value, indent); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("the answer is cut: %w", err)
	}
	return nil
}

func field(w io.Writer, name string, value json.RawMessage, indent string) error {
	label := indent + strings.ReplaceAll(name, "_", " ") + ":"
	var plain any
	if err := decodeNumbers(value, &plain); err != nil {
		return fmt.Errorf("the answer: %s: %w", name, err)
	}
	switch v := plain.(type) {
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
		fmt.Fprintln(w, label)
		return object(w, value, indent+"  ")
	case []any:
		if len(v) > 0 && isObject(v[0]) {
			return objects(w, label, value, indent)
		}
	}
	text := Text(plain)
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%-24s %s\n", label, oneLine(text))
	return err
}

func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

func objects(w io.Writer, label string, raw json.RawMessage, indent string) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	fmt.Fprintln(w, label)
	for i, item := range list {
		if i > 0 {
			fmt.Fprintln(w, indent+"  -")
		}
		if err := object(w, item, indent+"  "); err != nil {
			return err
		}
	}
	return nil
}

// Plain shows an answer but for what is shown otherwise: apart takes that out. A value that is not a T is an error.
func Plain[T any](w io.Writer, raw json.RawMessage, apart func(*T)) error {
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	apart(&value)
	rest, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	return Object(w, rest)
}

// Show prints one object of the API.
func (a *App) Show(ctx context.Context, path string) error { return a.ShowAs(ctx, path, Object) }

// ShowAs prints one object of the API, for people as text writes it.
func (a *App) ShowAs(ctx context.Context, path string, text func(w io.Writer, raw json.RawMessage) error) error {
	return a.AskAs(ctx, client.Request{Method: http.MethodGet, Path: path}, text)
}

// Ask sends a request to the API and prints the object that it answers.
func (a *App) Ask(ctx context.Context, in client.Request) error { return a.AskAs(ctx, in, Object) }

// AskAs does the same, and prints for people what text writes.
func (a *App) AskAs(ctx context.Context, in client.Request, text func(w io.Writer, raw json.RawMessage) error) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.Do(ctx, in, &raw); err != nil {
		return err
	}
	return a.Print(raw, func(w io.Writer) error { return text(w, raw) })
}

// Told sends a request to the API and prints what it answers, for people as the line that say makes of it.
func Told[T any](ctx context.Context, a *App, in client.Request, say func(answer T) string) error {
	return a.AskAs(ctx, in, func(w io.Writer, raw json.RawMessage) error {
		var answer T
		if err := json.Unmarshal(raw, &answer); err != nil {
			return fmt.Errorf("the answer: %w", err)
		}
		_, err := fmt.Fprintln(w, say(answer))
		return err
	})
}

// Delete takes away what is at a path of the API, and says in a word what became of what is called so: "deleted".
func (a *App) Delete(ctx context.Context, path, word, name string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	if err := c.Delete(ctx, path); err != nil {
		return err
	}
	return a.Done(word, name, word)
}
