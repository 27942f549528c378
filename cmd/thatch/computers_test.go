package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A computer is shown with its plain fields first, then tables of its updates and attempts.
func TestPrintComputer(t *testing.T) {
	var out bytes.Buffer
	raw := json.RawMessage(`{"computer":"pc-17","group":"berlin","updates":[{"status":"Retry","bulletin":"KB1","update":"U1","ordered":true,"text":"disk\nfull"}],
		"attempts":[{"update":"U1","started":"2026-03-01T10:00:00Z","code":1603,"text":"fatal"}]}`)
	if err := printComputer(&out, raw); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	at := -1
	for _, want := range []string{"berlin", "updates: 1", "disk full", "attempts: 1", "1603"} {
		next := strings.Index(text, want)
		if next <= at {
			t.Errorf("%q is not where it should be in\n%s", want, text)
		}
		at = next
	}
	if strings.Count(text, "KB1") != 1 {
		t.Errorf("updates stand among the plain fields too:\n%s", text)
	}
	out.Reset()
	if err := printComputer(&out, json.RawMessage(`{"computer":"pc-18"}`)); err != nil || !strings.Contains(out.String(), "updates: 0") {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := printComputer(&out, json.RawMessage(`{"updates":"many"}`)); err == nil {
		t.Error("an answer of another shape is shown")
	}
}
