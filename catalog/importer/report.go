package importer

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// report gathers what a run has to say.
type report struct {
	mu       sync.Mutex
	out      Result
	warnings []Warning            // the first of each kind, in the order of the files
	byKey    map[string][]Warning // of the last merge of each key: a key that several files touch is counted once
	first    error
	began    time.Time // by the monotonic clock
	bytes    atomic.Int64
	at       Progress
	progress func(Progress)
}

func newReport(at time.Time, progress func(Progress)) *report {
	if progress == nil {
		progress = func(Progress) {}
	}
	if at.IsZero() {
		at = time.Now()
	}
	return &report{
		progress: progress,
		began:    time.Now(),
		byKey:    make(map[string][]Warning),
		out:      Result{StartedAt: at, Counts: make(map[string]int), Warnings: []Warning{}},
	}
}

// start says how many files there are, and how many of them need no reading.
func (r *report) start(files, skipped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Skipped = skipped
	r.at.Files, r.at.Done = files, skipped
	r.progress(r.at)
}

func (r *report) warn(warnings ...Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range warnings {
		r.count(w.plain())
		if w.Failed {
			r.out.Failed += max(1, w.Times) // the rest of the file is imported, and the run says that it is not all
		}
	}
}

// tally takes over what a file's warnings were.
func (r *report) tally(t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range t.first {
		if r.out.Counts[w.Kind] == 0 || w.Failed {
			r.warnings = append(r.warnings, w)
		}
	}
	r.warnings = append(r.warnings, t.folded()...)
	for kind, times := range t.counts {
		r.out.Counts[kind] += times
	}
	r.out.Failed += t.failures
}

func (r *report) count(w Warning) {
	if r.out.Counts[w.Kind] == 0 || w.Failed {
		r.warnings = append(r.warnings, w)
	}
	r.out.Counts[w.Kind] += max(1, w.Times)
}

func (r *report) merged(key string, warnings []Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(warnings) == 0 {
		delete(r.byKey, key)
		return
	}
	for i, w := range warnings {
		warnings[i] = w.plain()
	}
	r.byKey[key] = warnings
}

// failed records a file that could not be read.
func (r *report) failed(p parsed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Failed++
	if r.first == nil {
		r.first = p.err
	}
	r.count(Warning{File: plainText(p.name), Kind: "file-failed", Failed: true, Text: p.err.Error() + "; what it said before stays"})
	r.step(p.name)
}

// skip records a file that was read in vain.
func (r *report) skip(w Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Skipped++
	r.count(w.plain())
	r.step(w.File)
}

func (r *report) current(file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at.Current = file
	r.at.Bytes = r.bytes.Load()
	r.progress(r.at)
}

// done records what is durable.
func (r *report) done(saved *Saved, changed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Changed += changed
	for _, file := range saved.Files {
		if file.Fingerprint != "" {
			r.out.Files++
			r.step(file.Name)
		}
	}
}

func (r *report) step(file string) {
	r.at.Done++
	r.at.Current = file
	r.at.Bytes = r.bytes.Load()
	r.progress(r.at)
}

// result ends the report.
func (r *report) result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(r.byKey)) {
		for _, w := range r.byKey[key] {
			r.count(w)
			if w.Failed {
				r.out.Failed += max(1, w.Times)
			}
		}
	}
	if r.first == nil && r.out.Failed > 0 {
		r.first = failure(r.warnings)
	}
	r.byKey = nil
	r.out.Warnings = append(r.out.Warnings, r.warnings...)
	sort.SliceStable(r.out.Warnings, func(i, j int) bool { return r.out.Warnings[i].Failed && !r.out.Warnings[j].Failed })
	r.out.Bytes = r.bytes.Load()
	r.out.EndedAt = r.out.StartedAt.Add(time.Since(r.began))
	return r.out
}

// failure is the first of the warnings that says that something was not imported.
func failure(warnings []Warning) error {
	for _, w := range warnings {
		if w.Failed {
			return fmt.Errorf("%s, %s: %s", w.File, w.Element, w.Text)
		}
	}
	return nil
}
