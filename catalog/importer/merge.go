package importer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// touched is every key that a file names now or named before, sorted.
func touched(parts []Part, before []string) []string {
	keys := slices.Clone(before)
	for _, p := range parts {
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// mergeKeys fills in the documents of every touched key. A key that cannot be merged is reported and left as it was.
func (r *run) mergeKeys(ctx context.Context, next *Saved) error {
	parts, err := r.partsOf(ctx, next)
	if err != nil {
		return err
	}
	made := make([][]Keyed, len(next.Keys))
	failed := make([]bool, len(next.Keys))
	var group errgroup.Group
	for w := range parallel {
		group.Go(func() error {
			for i := w; i < len(next.Keys); i += parallel {
				made[i], failed[i] = r.mergeKey(next.File, next.Keys[i], parts[next.Keys[i]])
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	kept := next.Keys[:0]
	for i, key := range next.Keys {
		if failed[i] {
			continue
		}
		kept = append(kept, key)
		next.Documents = append(next.Documents, made[i]...)
	}
	next.Keys = kept
	return ctx.Err()
}

func (r *run) mergeKey(file, key string, parts []Part) (made []Keyed, failed bool) {
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.File, b.File) })
	var warnings []Warning
	docs, err := r.src.Merge(key, parts, func(w Warning) { warnings = append(warnings, w) })
	if err != nil {
		warnings = append(warnings, Warning{
			File: file, Element: key, Kind: "merge-failed", Failed: true,
			Text: fmt.Sprintf("%v; its documents stay as they were", err),
		})
	}
	r.report.merged(key, warnings)
	if err != nil {
		return nil, true
	}
	made = make([]Keyed, len(docs))
	for i := range docs {
		made[i] = Keyed{Key: key, Document: docs[i]}
	}
	return made, false
}

// partsOf gathers the parts of the touched keys: those of this file, those of files on their way to the sink, and
// what the sink keeps of all others.
func (r *run) partsOf(ctx context.Context, next *Saved) (map[string][]Part, error) {
	r.mu.Lock()
	inFlight := slices.Clone(r.pending) // before asking the sink: what is saved in between is seen twice, not missed
	r.mu.Unlock()
	stored, err := r.sink.Parts(ctx, r.src.Name(), next.Keys)
	if err != nil {
		return nil, fmt.Errorf("read what other files than %s say: %w", next.File, err)
	}
	inFlight = append(inFlight, next)
	replaced := make(map[string]bool, len(inFlight))
	for _, s := range inFlight {
		replaced[s.File] = true
	}
	wanted := make(map[string][]Part, len(next.Keys))
	for _, key := range next.Keys {
		wanted[key] = nil
	}
	add := func(p Part) {
		if list, ok := wanted[p.Key]; ok {
			wanted[p.Key] = append(list, p)
		}
	}
	for _, p := range stored {
		if !replaced[p.File] {
			add(p)
		}
	}
	for _, s := range inFlight {
		for _, p := range s.Parts {
			add(p)
		}
	}
	return wanted, nil
}
