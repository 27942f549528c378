package importer

import (
	"fmt"
	"maps"
	"slices"
)

// maxFailures is how many failures of one file are told and kept one by one; further ones are counted.
const maxFailures = 100

// tally is what a file's warnings come to, so that memory does not grow with them: the first of each kind, the first
// failures, and the numbers of all.
type tally struct {
	first    []Warning // in the order in which they came
	counts   map[string]int
	failures int            // all
	told     int            // of them, in first
	untold   map[string]int // the others, by kind
	file     string
}

func (t *tally) add(w Warning) {
	if t.counts == nil {
		t.counts, t.untold = make(map[string]int), make(map[string]int)
	}
	times := max(1, w.Times)
	seen := t.counts[w.Kind] > 0
	t.counts[w.Kind] += times
	t.file = w.File
	switch {
	case !w.Failed:
		if seen {
			return
		}
	case t.told == maxFailures:
		t.failures += times
		t.untold[w.Kind] += times
		return
	default:
		t.told++
		t.failures += times
	}
	t.first = append(t.first, w.plain())
}

// folded are warnings that stand for the failures that are not told.
func (t *tally) folded() []Warning {
	var all []Warning
	for _, kind := range slices.Sorted(maps.Keys(t.untold)) {
		all = append(all, Warning{
			File: plainText(t.file), Kind: kind, Failed: true, Times: t.untold[kind],
			Text: fmt.Sprintf("%d more like those named", t.untold[kind]),
		})
	}
	return all
}

// failed are the failures, to be kept with the file.
func (t *tally) failed() []Warning {
	failed := slices.DeleteFunc(slices.Clone(t.first), func(w Warning) bool { return !w.Failed })
	return append(failed, t.folded()...)
}
