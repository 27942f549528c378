package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// parallel is how many vendor files are parsed at once; one more may wait, parsed, for its turn to be saved.
const parallel = 2

// ErrIncomplete is wrapped by Run's error when some of the files could not be imported and the rest were.
var ErrIncomplete = errors.New("import incomplete")

// Run imports what a source has at req.From into a sink. Files that were imported whole before are skipped; the others
// are parsed as streams, two at a time, merged with what other files say of the same keys, and saved one by one in
// the order in which the source lists them, each durable before the next.
//
// A file that cannot be read is a Warning with Failed, and the run goes on; its error then wraps ErrIncomplete. An
// error of the sink or a cancelled context ends the run; what was saved stays, and the next run goes on from there.
// Progress may be nil; it is called from one goroutine at a time.
func Run(ctx context.Context, src Source, sink Sink, req Request, progress func(Progress)) (Result, error) {
	r := &run{src: src, sink: sink, req: req, report: newReport(req.At, progress)}
	err := r.all(ctx)
	result := r.report.result()
	if err == nil && result.Failed > 0 {
		err = fmt.Errorf("%w: %s: %d failed (what they said before stays), the first: %w", ErrIncomplete, src.Name(), result.Failed, r.report.first)
	}
	return result, err
}

// run is the state of one import.
type run struct {
	src    Source
	sink   Sink
	req    Request
	report *report

	known   map[string]string // file: fingerprint, as the run began
	mu      sync.Mutex
	pending []*Saved // merged, perhaps not yet durable, oldest first
}

// parsed is one file's worth of parts, or why there is none.
type parsed struct {
	file     File
	name     string
	parts    []Part
	warnings []Warning
	err      error
}

func (r *run) all(ctx context.Context) error {
	known, err := r.sink.Known(ctx, r.src.Name())
	if err != nil {
		return fmt.Errorf("read which files of %s were imported before: %w", r.src.Name(), err)
	}
	listed, err := r.src.Files(ctx, r.req)
	if err != nil {
		return fmt.Errorf("list the files of %s: %w", r.src.Name(), err)
	}
	r.known = known
	files := r.choose(listed, known)
	return r.pipeline(ctx, files)
}

// pipeline parses, merges and saves; the three overlap, and every stage keeps the order of the files.
func (r *run) pipeline(ctx context.Context, files []File) error {
	group, ctx := errgroup.WithContext(ctx)
	slots := make([]chan parsed, len(files))
	for i := range slots {
		slots[i] = make(chan parsed, 1)
	}
	free := make(chan struct{}, parallel+1) // bounds how many parsed files are in memory
	group.Go(func() error { return r.parseAll(ctx, files, slots, free) })
	merged, prepared := make(chan *Saved), make(chan *Saved, 1)
	group.Go(func() error {
		defer close(merged)
		return r.mergeAll(ctx, slots, free, merged)
	})
	group.Go(func() error {
		defer close(prepared)
		return r.prepareAll(ctx, merged, prepared)
	})
	group.Go(func() error { return r.saveAll(ctx, prepared) })
	return group.Wait()
}

func (r *run) parseAll(ctx context.Context, files []File, slots []chan parsed, free chan struct{}) error {
	var workers errgroup.Group
	workers.SetLimit(parallel)
	for i, file := range files {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return errors.Join(workers.Wait(), ctx.Err())
		}
		workers.Go(func() error {
			slots[i] <- r.parse(ctx, file)
			return nil
		})
	}
	return workers.Wait()
}

// parse reads one file. The parts of a file that ends in an error are dropped: a file counts whole or not at all.
func (r *run) parse(ctx context.Context, file File) parsed {
	out := parsed{file: file, name: file.Name}
	open := file.Open
	file.Open = func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return &counted{ReadCloser: stream, total: &r.report.bytes}, nil
	}
	name, err := r.src.Parse(ctx, r.req, file,
		func(p Part) error { out.parts = append(out.parts, p); return ctx.Err() },
		func(w Warning) { out.warnings = append(out.warnings, w) })
	if name != "" {
		out.name = name
	}
	if err != nil {
		out.parts, out.err = nil, fmt.Errorf("vendor file %s: %w", file.Path, err)
	}
	return out
}

func (r *run) mergeAll(ctx context.Context, slots []chan parsed, free chan struct{}, merged chan<- *Saved) error {
	saved := make(map[string]bool)
	for _, slot := range slots {
		var p parsed
		select {
		case p = <-slot:
		case <-ctx.Done():
			return ctx.Err()
		}
		<-free
		next, err := r.mergeFile(ctx, p, saved)
		if err != nil {
			return err
		}
		if next == nil {
			continue
		}
		select {
		case merged <- next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// mergeFile makes the documents that one file touches; nil when the file brings nothing.
func (r *run) mergeFile(ctx context.Context, p parsed, saved map[string]bool) (*Saved, error) {
	if p.err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.report.failed(p)
		return nil, nil
	}
	r.report.warn(p.warnings...)
	before, err := r.settle(ctx, &p)
	if err != nil {
		return nil, fmt.Errorf("read what %s named before: %w", p.name, err)
	}
	if was := revisionOf(r.known[p.name]); p.file.Guessed && p.file.Revision != "" && p.file.Revision < was {
		r.report.skip(older(p.file, p.name, was))
		return nil, nil
	}
	if saved[p.name] {
		r.report.skip(Warning{File: p.name, Kind: "duplicate-file", Text: fmt.Sprintf("%s names itself %s as another file of this run does; left out", p.file.Path, p.name)})
		return nil, nil
	}
	saved[p.name] = true
	next := &Saved{Source: r.src.Name(), File: p.name, Fingerprint: p.file.Fingerprint, Parts: p.parts, At: r.req.At}
	for i := range next.Parts {
		next.Parts[i].Source, next.Parts[i].File = next.Source, next.File
	}
	next.Keys = touched(p.parts, before)
	if err := r.mergeKeys(ctx, next); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.pending = append(r.pending, next)
	r.mu.Unlock()
	return next, nil
}

// prepareAll has the sink prepare what waits to be saved, if it can.
func (r *run) prepareAll(ctx context.Context, merged <-chan *Saved, prepared chan<- *Saved) error {
	preparer, can := r.sink.(Preparer)
	for next := range merged {
		if can {
			if err := preparer.Prepare(ctx, next); err != nil {
				return fmt.Errorf("prepare to save what %s says: %w", next.File, err)
			}
		}
		select {
		case prepared <- next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// counted adds what is read to a total.
type counted struct {
	io.ReadCloser
	total *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.total.Add(int64(n))
	return n, err
}
