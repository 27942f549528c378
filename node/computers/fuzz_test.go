package computers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"thatch/node/store"
	"thatch/node/store/batch"
)

// Whatever an agent sends, a report is either refused as such or becomes statements that fit a batch.
func FuzzReport(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"Base":1,"Applicable":{"Add":[1,2]},"Unknown":{"Add":[3]},"Reasons":{"3":"no WMI"}}`,
		`{"Facts":{"name":"pc","hotfixes":["KB1"]},"States":[{"number":1,"status":"Retry"}],"Attempts":[{"id":"a","number":1}]}`,
		`{"Applicable":{"Add":[4294967295],"Remove":[1]}}`,
	} {
		f.Add([]byte(seed))
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var rep Report
		if json.Unmarshal(raw, &rep) != nil {
			return
		}
		statements, err := rep.statements(standing{number: 1, sets: NewSets()}, rep.digest(), at)
		if err != nil {
			if !errors.Is(err, ErrBadReport) {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		b := store.Batch{Actor: "fuzz", Reason: "fuzz", At: at, Statements: statements}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		if encoded, err := batch.Encode(b); err == nil && len(encoded) > store.MaxBatch {
			t.Fatalf("%d bytes", len(encoded))
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("12.3")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			return
		}
		if back, err := ParseCursor(c.String()); err != nil || back != c {
			t.Fatalf("%q reads as %v, which does not come back", text, c)
		}
	})
}

func FuzzNormalHardware(f *testing.F) {
	f.Add("To Be Filled By O.E.M.")
	f.Add(strings.Repeat("ä", 300))
	f.Fuzz(func(t *testing.T, text string) {
		once := NormalHardware(text)
		if twice := NormalHardware(once); twice != once || len(once) > 200 {
			t.Fatalf("%q becomes %q, then %q", text, once, twice)
		}
	})
}
