package importer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// mergeKeys fills in the documents of every touched key. A key that cannot be merged is reported and left as it was,
// and its failure is kept with the first of the files that touch it here.
func (r *run) mergeKeys(ctx context.Context, next *Saved) error {
	parts, err := r.partsOf(ctx, next)
	if err != nil {
		return err
	}
	made := make([][]Keyed, len(next.Keys))
	failed := make([]*Warning, len(next.Keys))
	files := next.byKey()
	var group errgroup.Group
	for w := range parallel {
		group.Go(func() error {
			for i := w; i < len(next.Keys); i += parallel {
				made[i], failed[i] = r.mergeKey(files[next.Keys[i]], next.Keys[i], parts[next.Keys[i]])
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	documents := 0
	for _, list := range made {
		documents += len(list)
	}
	kept := next.Keys[:0]
	next.Documents = make([]Keyed, 0, documents)
	for i, key := range next.Keys {
		if failed[i] != nil {
			next.Failures = append(next.Failures, Failure{File: files[key], Key: key, Warnings: []Warning{*failed[i]}})
			continue
		}
		kept = append(kept, key)
		next.Documents = append(next.Documents, made[i]...)
	}
	next.Keys = kept
	return ctx.Err()
}

// byKey is the first file here that names or named each key.
func (s *Saved) byKey() map[string]string {
	files := make(map[string]string, len(s.Keys))
	for _, list := range [][]Part{s.Parts, s.Gone} {
		for _, p := range list {
			if _, has := files[p.Key]; !has {
				files[p.Key] = p.File
			}
		}
	}
	return files
}

func (r *run) mergeKey(file, key string, parts []Part) (made []Keyed, failed *Warning) {
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.File, b.File) })
	var warnings []Warning
	docs, err := r.src.Merge(key, parts, func(w Warning) { warnings = append(warnings, w) })
	if err != nil {
		w := Warning{
			File: file, Element: key, Kind: "merge-failed", Failed: true,
			Text: fmt.Sprintf("%v; its documents stay as they were", err),
		}.plain()
		failed, warnings = &w, append(warnings, w)
	}
	r.report.merged(key, warnings)
	if err != nil {
		return nil, failed
	}
	made = make([]Keyed, len(docs))
	for i := range docs {
		made[i] = Keyed{Key: key, Document: docs[i]}
	}
	return made, nil
}

// partsOf gathers the parts of the touched keys: those of this save, those of saves on their way to the sink, and what
// the sink keeps of all others.
func (r *run) partsOf(ctx context.Context, next *Saved) (map[string][]Part, error) {
	r.mu.Lock()
	inFlight := slices.Clone(r.pending) // before asking the sink: what is saved in between is seen twice, not missed
	r.mu.Unlock()
	stored, err := r.sink.Parts(ctx, r.src.Name(), next.Keys)
	if err != nil {
		return nil, fmt.Errorf("read what other files than %s say: %w", next.what(), err)
	}
	wanted := make(map[string][]Part, len(next.Keys))
	for _, key := range next.Keys {
		wanted[key] = nil
	}
	type place struct{ file, key string }
	replaced := make(map[place]bool, len(next.Keys))
	for _, s := range append(inFlight, next) {
		for _, p := range s.Parts {
			if list, ok := wanted[p.Key]; ok {
				replaced[place{p.File, p.Key}] = true
				wanted[p.Key] = append(list, p)
			}
		}
		for _, p := range s.Gone {
			if _, ok := wanted[p.Key]; ok {
				replaced[place{p.File, p.Key}] = true
			}
		}
	}
	for _, p := range stored {
		if !replaced[place{p.File, p.Key}] {
			wanted[p.Key] = append(wanted[p.Key], p)
		}
	}
	return wanted, nil
}
