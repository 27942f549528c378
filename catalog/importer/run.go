package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// parallel is how many vendor files are parsed at once; one more may wait, parsed, for its turn to be saved.
const parallel = 2

// ErrIncomplete is wrapped by Run's error when some of the files could not be imported and the rest were.
var ErrIncomplete = errors.New("import incomplete")

// Run imports what a source has at req.From into a sink. Files that were imported whole before are skipped; the others
// are parsed as streams, two at a time, merged with what other files say of the same keys, and saved, the largest files
// first, others in the order in which the source lists them: a large one in portions, its fingerprint with the last,
// small ones together, and so are saves that wait for the disk. Memory is
// bounded by req.Limits, and by the keys of a file.
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

// parsed is what one file says, or why there is nothing.
type parsed struct {
	file File
	name string
	held *held
	said tally
	gone []string // keys that the file named before and does not name now
	err  error
}

func (r *run) all(ctx context.Context) error {
	known, err := r.sink.Known(ctx, r.src.Name())
	if err != nil {
		return fmt.Errorf("read which files of %s were imported before: %w", r.src.Name(), err)
	}
	listed, err := r.src.Files(ctx, r.req)
	if err != nil {
		return plainError{fmt.Errorf("list the files of %s: %w", r.src.Name(), err)}
	}
	r.known = known
	files, err := r.choose(ctx, listed)
	if err != nil {
		return err
	}
	// Any order gives the same. While the last file is saved nothing is left to be parsed beside it, so it is a small one.
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(b.Size, a.Size) })
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
	merged, prepared := make(chan *Saved), make(chan *Saved)
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

// parse reads one file. What a file that ends in an error said is dropped: a file counts whole or not at all.
func (r *run) parse(ctx context.Context, file File) parsed {
	out := parsed{file: file, name: file.Name, held: r.hold()}
	open := file.Open
	file.Open = func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return &counted{ReadCloser: stream, total: &r.report.bytes}, nil
	}
	name, err := r.src.Parse(ctx, r.req, file,
		func(p Part) error { return errors.Join(out.held.add(p), ctx.Err()) },
		out.said.add)
	if name != "" {
		out.name = name
	}
	if err == nil {
		err = out.held.seal()
	}
	if err != nil {
		out.held.close()
		out.err = plainError{fmt.Errorf("vendor file %s: %w", file.Path, err)}
	}
	return out
}

// hold begins to keep what a file says.
func (r *run) hold() *held {
	h := &held{limit: r.req.Limits.save(), folder: r.req.Scratch}
	if joiner, can := r.src.(Joiner); can {
		h.join = joiner.Join
	}
	return h
}

func (r *run) mergeAll(ctx context.Context, slots []chan parsed, free chan struct{}, merged chan<- *Saved) error {
	portions := &portions{run: r, merged: merged}
	defer func() { // parsed, and not waited for any more
		for _, slot := range slots {
			select {
			case p := <-slot:
				p.held.close()
			default:
			}
		}
	}()
	names := make(map[string]bool)
	for _, slot := range slots {
		var p parsed
		select {
		case p = <-slot:
		case <-ctx.Done():
			return ctx.Err()
		}
		<-free
		wanted, err := r.accept(ctx, &p, names)
		if err == nil && wanted {
			err = portions.add(ctx, &p)
		}
		p.held.close()
		if err != nil {
			return err
		}
	}
	return portions.flush(ctx)
}

// accept says whether a file that was parsed is to be saved, and finds what it is called and what it says no more.
func (r *run) accept(ctx context.Context, p *parsed, names map[string]bool) (bool, error) {
	if p.err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		r.report.failed(*p)
		return false, nil
	}
	r.report.tally(&p.said)
	before, err := r.settle(ctx, p)
	if err != nil {
		return false, fmt.Errorf("read what %s named before: %w", p.name, err)
	}
	if was := revisionOf(r.known[p.name]); p.file.Guessed && p.file.Revision != "" && p.file.Revision < was {
		r.report.skip(older(p.file, p.name, was))
		return false, nil
	}
	if names[p.name] {
		r.report.skip(Warning{File: p.name, Kind: "duplicate-file", Text: fmt.Sprintf("%s names itself %s as another file of this run does; left out", p.file.Path, p.name)})
		return false, nil
	}
	names[p.name] = true
	p.gone = slices.DeleteFunc(before, p.held.names)
	slices.Sort(p.gone)
	return true, nil
}

// prepareAll has the sink prepare what waits to be saved, if it can.
func (r *run) prepareAll(ctx context.Context, merged <-chan *Saved, prepared chan<- *Saved) error {
	preparer, can := r.sink.(Preparer)
	for next := range merged {
		if can {
			if err := preparer.Prepare(ctx, next); err != nil {
				return fmt.Errorf("prepare to save what %s says: %w", next.what(), err)
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
