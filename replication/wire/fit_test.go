package wire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"thatch/node/replicas/dataset"
	"thatch/replication/wire"
)

// TestFit: the largest results become as small as they are to be, and say what they lack; small ones stay as they are.
func TestFit(t *testing.T) {
	long := strings.Repeat("<", 512) // six bytes each in JSON
	r := wire.RunResult{Verified: &wire.Verified{}}
	for i := range 1000 {
		key := dataset.Key{Kind: "bulletin", ID: fmt.Sprint(long, i)}
		r.Aside = append(r.Aside, key)
		if i < 200 {
			r.Yielded, r.Refused = append(r.Yielded, key), append(r.Refused, wire.Refusal{Key: key, Reason: long})
			r.Verified.Lines = append(r.Verified.Lines, long+long)
		}
	}
	r.Omit(wire.ListRefused, 7)
	whole := r.Verified
	r.Fit(100_000)
	raw, err := json.Marshal(r)
	if err != nil || len(raw) > 101_000 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	for list, have := range map[string][2]int{
		wire.ListAside: {len(r.Aside), 1000}, wire.ListYielded: {len(r.Yielded), 200}, wire.ListRefused: {r.RefusedCount() - r.More[wire.ListRefused], 207},
		wire.ListLines: {len(r.Verified.Lines), 200},
	} {
		if have[0] == 0 || r.More[list] == 0 || have[0]+r.More[list] != have[1] {
			t.Errorf("%s: %d and %d more, want %d in all", list, have[0], r.More[list], have[1])
		}
	}
	if r.RefusedCount() != 207 || len(whole.Lines) != 200 {
		t.Errorf("%d were refused; the verification itself has %d lines", r.RefusedCount(), len(whole.Lines))
	}
	small := wire.RunResult{Aside: []dataset.Key{{Kind: "k", ID: "i"}}}
	small.Omit(wire.ListAside, 0)
	if small.Fit(1000); len(small.Aside) != 1 || small.More != nil {
		t.Errorf("a small one: %+v", small)
	}
	small.Fit(0)
	if raw, err := json.Marshal(small); err != nil || !strings.Contains(string(raw), `"more":{"aside":1}`) {
		t.Errorf("%s, %v", raw, err)
	}
}

// TestTextsAreCutBetweenLetters: of any number of bytes.
func TestTextsAreCutBetweenLetters(t *testing.T) {
	for lead := range 4 {
		text := strings.Repeat("a", lead) + strings.Repeat("𝄞", wire.MaxText)
		if got := wire.Text(text); !utf8.ValidString(got) || len(got) > wire.MaxText || len(got) < wire.MaxText-3 || !strings.HasPrefix(text, got) {
			t.Errorf("after %d letters: %d bytes, valid %v", lead, len(got), utf8.ValidString(got))
		}
		answer := httptest.NewRecorder()
		answer.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(answer).Encode(wire.Error{Code: "x", Text: text[:lead+4*2000]}) // a buffer takes everything
		if err := wire.ReadError(answer.Result()); !utf8.ValidString(err.Error()) || strings.ContainsRune(err.Error(), utf8.RuneError) {
			t.Errorf("after %d letters: an error ends in half a letter", lead)
		}
	}
	if wire.Text("short") != "short" {
		t.Error("a short text was changed")
	}
}
