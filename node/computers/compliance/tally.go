// Package compliance says how computers and updates stand to each other: bitmap arithmetic over what computers reported
// and the catalog in memory, by bulletin, computer, update, CVE and month.
package compliance

import (
	"slices"

	"thatch/catalog"
	"thatch/node/computers"
)

// Update is what compliance asks of an update of the catalog. Detectors and withdrawn updates are not counted.
type Update struct {
	Number     uint32
	Changed    computers.Cursor // sequence of its present revision
	Platform   string           // "": any
	Severity   catalog.Severity
	Exploited  bool // it repairs a vulnerability that was seen exploited
	Superseded bool // or its bulletin is never offered: it is not missing
}

// waiting are the cursors of all computers that are not retired, by platform: how many have not come to a sequence is a
// search, not a count.
type waiting struct {
	steps map[string][]step // "": of all platforms
}

// step says how many computers have a cursor of at most at.
type step struct {
	at     computers.Cursor
	behind int
}

func newWaiting(v computers.View) *waiting {
	w := &waiting{steps: make(map[string][]step)}
	all := make(map[computers.Cursor]int)
	for platform, counts := range v.Cursors() {
		w.steps[platform] = stepsOf(counts)
		for at, n := range counts {
			all[at] += n
		}
	}
	w.steps[""] = stepsOf(all)
	return w
}

func stepsOf(counts map[computers.Cursor]int) []step {
	steps := make([]step, 0, len(counts))
	for at, n := range counts {
		steps = append(steps, step{at, n})
	}
	slices.SortFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	sum := 0
	for i := range steps {
		sum += steps[i].behind
		steps[i].behind = sum
	}
	return steps
}

// behind is how many computers of a platform have not come to a sequence.
func (w *waiting) behind(platform string, newest computers.Cursor) int {
	steps := w.steps[platform]
	at, _ := slices.BinarySearchFunc(steps, newest, func(s step, at computers.Cursor) int { return s.at.Compare(at) })
	if at == 0 {
		return 0
	}
	return steps[at-1].behind
}
