package counting

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestIdsThatBeginWithABracket: a quote before a bracket is not always the end of the list.
func TestIdsThatBeginWithABracket(t *testing.T) {
	for _, want := range [][]string{{"", "]"}, {"]"}, {"],x", "y"}, {"a", "],", "]"}, {`"]`, "b"}} {
		raw, err := json.Marshal(map[string]any{"supersedes": want})
		if err != nil {
			t.Fatal(err)
		}
		list, _ := after(raw, `"supersedes":`)
		if got := texts(list); !slices.Equal(got, want) {
			t.Errorf("%s is read as %q", raw, got)
		}
	}
}
