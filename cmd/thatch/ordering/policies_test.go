package ordering

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"thatch/node/bulletins/staging"
	"thatch/node/policies"
	"thatch/node/policies/contents"
)

func TestPolicyIsShownWithNotes(t *testing.T) {
	var d policies.Detail
	d.Name = "February"
	d.UpdateList = []policies.PinnedUpdate{
		{Name: "u1", Product: "Windows 10", Note: "withdrawn by the vendor, as imported on 2026-11-22; still ordered"},
		{Name: "u2", Product: "Windows 8", Languages: []string{"de"}, Note: "a newer revision exists: revise"},
		{Name: "u3"},
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printPolicy(&out, raw); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{"2026-11-22; still ordered", "a newer revision exists: revise", "neutral"} {
		if line := lines[len(lines)-3+i]; !strings.Contains(line, want) || !strings.HasPrefix(line, d.UpdateList[i].Name) {
			t.Errorf("line %q, want %q", line, want)
		}
	}
	if err := printPolicy(&out, json.RawMessage(`{"updates":"many"}`)); err == nil {
		t.Error("an answer that is no policy is shown")
	}
}

func TestWhatIsLeftOutIsGrouped(t *testing.T) {
	var out bytes.Buffer
	made := policies.Created{Name: "p", Updates: 1, LeftOut: []contents.LeftOut{
		{Update: "KB1", Product: "Windows 8", Bulletin: "KB1", Status: staging.Withdrawn, Text: "the vendor withdrew it"},
		{Update: "KB1", Product: "Windows 10", Bulletin: "KB1", Status: staging.NoPackage, Text: "its vendor names no package"},
		{Update: "KB1", Product: "Windows 7", Bulletin: "KB1", Status: staging.NoPackage, Text: "its vendor names no package"},
	}}
	if err := printCreated(&out, "made", made); err != nil {
		t.Fatal(err)
	}
	want := "made: p with 1 updates ()\nleft out:\n2 updates have no package yet: its vendor names no package\n" +
		"    KB1: Windows 10; Windows 7\n1 update was withdrawn: the vendor withdrew it\n    KB1: Windows 8\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	made.LeftOut = nil
	out.Reset()
	if err := printCreated(&out, "made", made); err != nil || strings.Contains(out.String(), "left out") {
		t.Errorf("nothing left out: %s, %v", out.String(), err)
	}
}
