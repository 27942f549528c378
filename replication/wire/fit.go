package wire

import (
	"encoding/json"
	"strings"
)

// Names of a result's lists in More.
const (
	ListYielded = "yielded"
	ListRefused = "refused"
	ListAside   = "aside"
	ListLines   = "lines"
)

// Omit counts what a list of the result does not name.
func (r *RunResult) Omit(list string, count int) {
	if count <= 0 {
		return
	}
	if r.More == nil {
		r.More = map[string]int{}
	}
	r.More[list] += count
}

// RefusedCount is how many documents went into quarantine by the run.
func (r *RunResult) RefusedCount() int { return len(r.Refused) + r.More[ListRefused] }

// Fit shortens the lists of a result, so that all of them have at most so many bytes of JSON; More says by how many.
func (r *RunResult) Fit(most int) {
	most /= 4
	r.Yielded = fit(r, ListYielded, r.Yielded, most)
	r.Refused = fit(r, ListRefused, r.Refused, most)
	r.Aside = fit(r, ListAside, r.Aside, most)
	if r.Verified != nil {
		v := *r.Verified
		v.Lines = fit(r, ListLines, v.Lines, most)
		r.Verified = &v
	}
}

func fit[T any](r *RunResult, name string, list []T, most int) []T {
	for i := range list {
		raw, err := json.Marshal(list[i])
		if most -= len(raw) + 1; err != nil || most < 0 {
			r.Omit(name, len(list)-i)
			return list[:i]
		}
	}
	return list
}

// Text is a text of at most MaxText bytes, cut between letters.
func Text(text string) string {
	if len(text) <= MaxText {
		return text
	}
	return strings.ToValidUTF8(text[:MaxText], "")
}
