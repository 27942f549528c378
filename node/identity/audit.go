package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// maxDetail is how much of a request the audit log keeps, in bytes.
const maxDetail = 4 << 10

// secretKeys are JSON keys whose values the audit log does not keep.
var secretKeys = []string{"token", "password", "secret", "key", "proxy"}

// unaudited are the first words of actors whose batches have histories of their own.
var unaudited = []string{"computer", "agents", "task"}

// Audited returns the statement that records a batch in the audit log, which becomes part of the batch's first group, so that
// what was undone is not recorded. What computers and tasks do by themselves is in their own history and is not recorded here.
func Audited(ctx context.Context, b store.Batch) []store.Statement {
	who, _, _ := strings.Cut(b.Actor, " ")
	if len(b.Statements) == 0 || slices.Contains(unaudited, who) {
		return nil
	}
	s := record(b.At, b.Actor, b.Reason, b.Request, detailOf(ctx))
	if c := store.CallerOf(ctx); c != nil {
		s.Args[len(s.Args)-1] = c.Subject
	}
	return []store.Statement{s}
}

type discreetKey struct{}

// Discreet returns a context whose batches are audited without what was asked for: it is a secret.
func Discreet(ctx context.Context) context.Context {
	return context.WithValue(ctx, discreetKey{}, true)
}

func detailOf(ctx context.Context) string {
	c := store.CallerOf(ctx)
	if discreet, _ := ctx.Value(discreetKey{}).(bool); discreet || c == nil {
		return ""
	}
	return c.Detail
}

// AuditEntry returns the statement that records something in the audit log: for what actors do that Audited leaves out,
// such as a computer's enrolment. It belongs to the group of the change that it records.
func AuditEntry(at time.Time, actor, action string) store.Statement {
	return record(at, actor, action, "", "")
}

func record(at time.Time, actor, action, request, detail string) store.Statement {
	return store.Statement{
		SQL:  `INSERT INTO audit (idx, pos, at, actor, action, request, detail, subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		Args: []any{store.Index{}, store.Position(0), rows.Stamp(at), actor, action, request, detail, ""},
	}
}

// Redacted is a request's JSON as the audit log keeps it: bounded, and without secrets.
func Redacted(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	var value any
	if json.Unmarshal(body, &value) != nil {
		return fmt.Sprintf("%d bytes that are no JSON", len(body))
	}
	redact(value)
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	if len(text) > maxDetail {
		return strings.ToValidUTF8(string(text[:maxDetail]), "") + "..."
	}
	return string(text)
}

func redact(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if isSecret(key) {
				v[key] = "(not kept)"
			} else {
				redact(inner)
			}
		}
	case []any:
		for _, inner := range v {
			redact(inner)
		}
	}
}

func isSecret(key string) bool {
	for _, word := range secretKeys {
		if strings.Contains(strings.ToLower(key), word) {
			return true
		}
	}
	return false
}
