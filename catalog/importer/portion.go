package importer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// The defaults of Limits. A save of two megabytes of parts is some batches of the log; small files are those of single
// packages, of which catalogs have thousands.
const (
	defaultSave  = 2 << 20
	defaultKeys  = 1000
	defaultSmall = 64 << 10

	together = 4  // so many times smaller than a save is what is waited for before small files are saved
	fewKeys  = 16 // of a small file
)

func (l Limits) save() int  { return cmp.Or(l.Save, defaultSave) }
func (l Limits) keys() int  { return cmp.Or(l.Keys, defaultKeys) }
func (l Limits) small() int { return cmp.Or(l.Small, defaultSmall) }

// portions cuts what files say into saves: large files into several, small ones together.
type portions struct {
	run    *run
	merged chan<- *Saved
	small  *Saved // of files that wait for others, nil: none
	bytes  int
}

// add takes in a file.
func (q *portions) add(ctx context.Context, p *parsed) error {
	limits, size, keys := q.run.req.Limits, int(p.held.size), len(p.held.entries)+len(p.gone)
	if size > min(limits.small(), limits.save()) || keys > min(fewKeys, limits.keys()) {
		if err := q.flush(ctx); err != nil {
			return err
		}
		return q.large(ctx, p)
	}
	if q.small == nil {
		q.small = q.run.start()
	}
	if _, err := q.run.fill(q.small, p); err != nil {
		return err
	}
	q.bytes += size
	if q.bytes >= limits.save()/together || len(q.small.Parts)+len(q.small.Gone) >= limits.keys() {
		return q.flush(ctx)
	}
	return nil
}

// flush saves the small files that wait.
func (q *portions) flush(ctx context.Context) error {
	next := q.small
	q.small, q.bytes = nil, 0
	if next == nil {
		return nil
	}
	return q.send(ctx, next)
}

// large saves a file in as many portions as it needs.
func (q *portions) large(ctx context.Context, p *parsed) error {
	for {
		next := q.run.start()
		last, err := q.run.fill(next, p)
		if err != nil {
			return err
		}
		if err := q.send(ctx, next); err != nil || last {
			return err
		}
	}
}

func (q *portions) send(ctx context.Context, next *Saved) error {
	if err := q.run.mergeKeys(ctx, next); err != nil {
		return err
	}
	q.run.mu.Lock()
	q.run.pending = append(q.run.pending, next)
	q.run.mu.Unlock()
	select {
	case q.merged <- next:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) start() *Saved { return &Saved{Source: r.src.Name(), At: r.req.At} }

// fill adds to a save what may stand in one of a file: its next parts, and after the last of them, what it names no more.
func (r *run) fill(next *Saved, p *parsed) (last bool, err error) {
	keys := r.req.Limits.keys()
	parts, err := p.held.take(r.req.Limits.save(), keys)
	if err != nil {
		return false, fmt.Errorf("vendor file %s: %w", p.file.Path, err)
	}
	for _, part := range parts {
		part.Source, part.File = next.Source, p.name
		switch {
		case part.Body == nil:
			next.Gone = append(next.Gone, part)
		case len(part.Body) > MaxPart:
			r.tooLarge(next, part)
			continue
		default:
			next.Parts = append(next.Parts, part)
		}
		next.Keys = append(next.Keys, part.Key)
	}
	if len(p.held.entries) == 0 {
		some := p.gone[:min(len(p.gone), max(0, keys-len(parts)))]
		p.gone = p.gone[len(some):]
		for _, key := range some {
			next.Gone = append(next.Gone, Part{Source: next.Source, File: p.name, Key: key})
			next.Keys = append(next.Keys, key)
		}
		last = len(p.gone) == 0
	}
	slices.Sort(next.Keys)
	next.Keys = slices.Compact(next.Keys)
	state := FileState{Name: p.name}
	if last {
		state.Fingerprint = p.file.Fingerprint
		if failed := p.said.failed(); len(failed) > 0 {
			next.Failures = append(next.Failures, Failure{File: p.name, Warnings: failed})
		}
	}
	next.Files = append(next.Files, state)
	return last, nil
}

// tooLarge leaves out a part that no save can hold; what the file said of its key before stays.
func (r *run) tooLarge(next *Saved, part Part) {
	w := Warning{
		File: part.File, Element: part.Key, Kind: "part-too-large", Failed: true,
		Text: fmt.Sprintf("what the file says of it has %d bytes, at most %d are allowed; what was there before stays", len(part.Body), MaxPart),
	}.plain()
	next.Failures = append(next.Failures, Failure{File: part.File, Key: part.Key, Warnings: []Warning{w}})
	r.report.merged(part.Key, []Warning{w})
}

// what names a save in messages.
func (s *Saved) what() string {
	switch n := len(s.Files); n {
	case 0:
		return "no file"
	case 1:
		return s.Files[0].Name
	default:
		return fmt.Sprintf("%s and %d more", s.Files[0].Name, n-1)
	}
}

// touched is every key that a save names, sorted: those too that could not be merged.
func (s *Saved) touched() []string {
	var failed []string
	for _, f := range s.Failures {
		if f.Key != "" {
			failed = append(failed, f.Key)
		}
	}
	if len(failed) == 0 {
		return s.Keys
	}
	all := append(failed, s.Keys...)
	slices.Sort(all)
	return all
}

// follows says that a save must not begin before another, begun earlier, is durable: they touch a key together, or it
// brings a file to its end, or takes something from it, of which the other is a portion.
func (s *Saved) follows(before *Saved) bool {
	if overlap(before.touched(), s.touched()) {
		return true
	}
	for _, state := range s.Files {
		same := slices.ContainsFunc(before.Files, func(other FileState) bool { return other.Name == state.Name })
		if same && (state.Fingerprint != "" || len(s.Gone) > 0) {
			return true
		}
	}
	return false
}

// joins says whether a save may be joined with the next: both are small, and they have no key and no file together, so
// that what they say and count is the same in one.
func (s *Saved) joins(next *Saved, limits Limits) bool {
	return limits.small() >= 0 &&
		s.size()+next.size() <= limits.save()/together && len(s.Keys)+len(next.Keys) <= limits.keys() &&
		!overlap(s.touched(), next.touched()) &&
		!slices.ContainsFunc(s.Files, func(f FileState) bool {
			return slices.ContainsFunc(next.Files, func(other FileState) bool { return other.Name == f.Name })
		})
}

// with is a save and the next as one. Neither is changed: what is merged meanwhile may look into them.
func (s *Saved) with(next *Saved) *Saved {
	of := s.of
	if of == nil {
		of = []*Saved{s}
	}
	keys := slices.Concat(s.Keys, next.Keys)
	slices.Sort(keys)
	return &Saved{
		Source: s.Source, At: s.At, Keys: keys,
		Files:     slices.Concat(s.Files, next.Files),
		Parts:     slices.Concat(s.Parts, next.Parts),
		Gone:      slices.Concat(s.Gone, next.Gone),
		Documents: slices.Concat(s.Documents, next.Documents),
		Failures:  slices.Concat(s.Failures, next.Failures),
		of:        append(slices.Clip(of), next),
	}
}

// size is the bytes of its parts and documents.
func (s *Saved) size() int {
	size := 0
	for i := range s.Parts {
		size += len(s.Parts[i].Body)
	}
	for i := range s.Documents {
		size += len(s.Documents[i].Body)
	}
	return size
}
