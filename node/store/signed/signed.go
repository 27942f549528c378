// Package signed completes batches by whoever makes them: actor, request, time, and what they hang on.
package signed

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"thatch/node/store/batch"
)

// Caller is on whose behalf the batches of a context are made. It is safe for use by several goroutines.
type Caller struct {
	Actor   string // "operator anna", "task catalog-import", "computer 17"
	Request string // id under which a retry is recognised; empty: none
	Detail  string // what was asked for, as JSON; kept in the audit log
	Subject string // path of what is changed; kept in the audit log
	// Guard is what every batch of the caller hangs on: that the work it is part of is still this node's, for instance. Where
	// it misses its rows, nothing of the batch is applied, and the error of Write is ErrTakenOver. Empty: nothing.
	Guard   batch.Statement
	batches atomic.Uint64
	index   atomic.Uint64
	again   atomic.Bool
}

// ErrTakenOver says that a batch came too late: the work that it is part of was ended, or is another node's now.
var ErrTakenOver = errors.New("this work was ended, or another node of the site has taken it over")

// Record keeps how far what was written in a context goes, whoever it was written for.
type Record struct{ index atomic.Uint64 }

// Index is the highest index at which a batch was applied, 0 for none.
func (r *Record) Index() uint64 { return r.index.Load() }

type recordKey struct{}

// WithRecord returns a context whose batches are told to r.
func WithRecord(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// raise sets a number to another one, if that is greater.
func raise(of *atomic.Uint64, to uint64) {
	for {
		seen := of.Load()
		if to <= seen || of.CompareAndSwap(seen, to) {
			return
		}
	}
}

type callerKey struct{}

// WithCaller returns a context whose batches are made by c.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller of a context, or nil.
func CallerOf(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// ActorOf names the actor of a context, "node" when it has no caller.
func ActorOf(ctx context.Context) string {
	if c := CallerOf(ctx); c != nil && c.Actor != "" {
		return c.Actor
	}
	return "node"
}

// Index is the highest index at which a batch of this caller was applied, 0 for none.
func (c *Caller) Index() uint64 { return c.index.Load() }

// Repeated says whether another caller had its batches applied under the same request before, so that those of this one were not.
func (c *Caller) Repeated() bool { return c.again.Load() }

// First is the request of the caller's first batch, as the database remembers it.
func (c *Caller) First() string { return c.numbered(1) }

func (c *Caller) numbered(batch uint64) string {
	return c.Actor + "|" + c.Request + "|" + strconv.FormatUint(batch, 10)
}

// Sign fills in what a batch lacks: actor, request and time.
func (c *Caller) sign(b *batch.Batch) {
	if b.Actor == "" {
		b.Actor = c.Actor
	}
	if b.Request == "" && c.Request != "" {
		b.Request = c.numbered(c.batches.Add(1))
	}
}

// writer is what orders batches (see store.Writer).
type writer interface {
	Write(ctx context.Context, b batch.Batch) (batch.Applied, error)
}

// Writer completes batches, see New.
type Writer struct {
	next  writer
	now   func() time.Time
	extra func(ctx context.Context, b batch.Batch) []batch.Statement
}

// New returns a Writer that completes each batch from the caller of its context (see Caller) and from the clock,
// adds the statements that extra returns for it to the batch's first group, has it hang on the caller's guard, and tells the
// caller the index. Extra may be nil.
func New(w writer, now func() time.Time, extra func(ctx context.Context, b batch.Batch) []batch.Statement) Writer {
	return Writer{next: w, now: now, extra: extra}
}

// Write implements store.Writer.
func (s Writer) Write(ctx context.Context, b batch.Batch) (batch.Applied, error) {
	caller := CallerOf(ctx)
	if caller != nil {
		caller.sign(&b)
	}
	if b.Actor == "" {
		b.Actor = ActorOf(ctx)
	}
	if b.At.IsZero() {
		b.At = s.now().UTC()
	}
	if s.extra != nil {
		b.Statements = joinFirst(b.Statements, s.extra(ctx, b))
	}
	guarded := caller != nil && caller.Guard.SQL != "" && len(b.Statements) > 0
	if guarded {
		b.Statements = guard(caller.Guard, b.Statements)
	}
	applied, err := s.next.Write(ctx, b)
	if err == nil && guarded {
		applied, err = past(applied)
	}
	if err == nil && caller != nil {
		raise(&caller.index, applied.Index)
		if applied.Repeated {
			caller.again.Store(true)
		}
	}
	if record, ok := ctx.Value(recordKey{}).(*Record); ok && err == nil {
		raise(&record.index, applied.Index)
	}
	return applied, err
}

func guard(by batch.Statement, statements []batch.Statement) []batch.Statement {
	by.Group, by.Want = batch.Guard, 1
	return append(append(make([]batch.Statement, 0, len(statements)+1), by), statements...)
}

// past is the answer to a guarded batch as its maker knows it.
func past(a batch.Applied) (batch.Applied, error) {
	for i := range a.Conflicts {
		if a.Conflicts[i].Group == batch.Guard {
			return batch.Applied{}, ErrTakenOver
		}
	}
	a.Conflicts = slices.Clone(a.Conflicts)
	for i := range a.Conflicts {
		a.Conflicts[i].Statement--
	}
	return a, nil
}

// joinFirst puts more statements at the end of the first group.
func joinFirst(statements, more []batch.Statement) []batch.Statement {
	if len(more) == 0 || len(statements) == 0 {
		return statements
	}
	end := 1
	for end < len(statements) && statements[end].Group == statements[0].Group {
		end++
	}
	joined := append(make([]batch.Statement, 0, len(statements)+len(more)), statements[:end]...)
	for _, s := range more {
		s.Group = statements[0].Group
		joined = append(joined, s)
	}
	return append(joined, statements[end:]...)
}
