package store

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// NotFound makes an error that wraps ErrNotFound: kind is a word such as "policy".
func NotFound(kind, id string) error {
	return fmt.Errorf("%s %q: %w", kind, id, ErrNotFound)
}

// conflict is an ErrConflict with words of its own.
type conflict string

func (c conflict) Error() string { return string(c) }
func (conflict) Unwrap() error   { return ErrConflict }

// Conflicting makes an error that wraps ErrConflict and says in its own words what is in the way.
func Conflicting(format string, args ...any) error { return conflict(fmt.Sprintf(format, args...)) }

// Caller is on whose behalf the batches of a context are made. It is safe for use by several goroutines.
type Caller struct {
	Actor   string // "operator anna", "task catalog-import", "computer 17"
	Request string // id under which a retry is recognised; empty: none
	Detail  string // what was asked for, as JSON; kept in the audit log
	batches atomic.Uint64
	index   atomic.Uint64
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

// Sign fills in what a batch lacks: actor, request and time.
func (c *Caller) sign(b *Batch) {
	if b.Actor == "" {
		b.Actor = c.Actor
	}
	if b.Request == "" && c.Request != "" {
		b.Request = c.Actor + "|" + c.Request + "|" + strconv.FormatUint(c.batches.Add(1), 10)
	}
}

func (c *Caller) applied(index uint64) {
	for {
		seen := c.index.Load()
		if index <= seen || c.index.CompareAndSwap(seen, index) {
			return
		}
	}
}

// Signed returns a Writer that completes each batch from the caller of its context (see Caller) and from the clock,
// adds the statements that extra returns for it to the batch's first group, and tells the caller the index. Extra may
// be nil.
func Signed(w Writer, now func() time.Time, extra func(ctx context.Context, b Batch) []Statement) Writer {
	return signed{next: w, now: now, extra: extra}
}

type signed struct {
	next  Writer
	now   func() time.Time
	extra func(ctx context.Context, b Batch) []Statement
}

func (s signed) Write(ctx context.Context, b Batch) (Applied, error) {
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
	applied, err := s.next.Write(ctx, b)
	if err == nil && caller != nil {
		caller.applied(applied.Index)
	}
	return applied, err
}

// joinFirst puts more statements at the end of the first group.
func joinFirst(statements, more []Statement) []Statement {
	if len(more) == 0 || len(statements) == 0 {
		return statements
	}
	end := 1
	for end < len(statements) && statements[end].Group == statements[0].Group {
		end++
	}
	joined := append(make([]Statement, 0, len(statements)+len(more)), statements[:end]...)
	for _, s := range more {
		s.Group = statements[0].Group
		joined = append(joined, s)
	}
	return append(joined, statements[end:]...)
}
