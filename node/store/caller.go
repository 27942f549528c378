package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"thatch/node/store/signed"
)

// On whose behalf batches are made is told in node/store/signed. Rooms that write know the store alone.
type Caller = signed.Caller

// ErrUnavailable says that nobody of the site takes writes now, so that nothing was written; ErrUncertain that nobody knows
// whether it was. See node/quorum.
var (
	ErrUnavailable = errors.New("the site has no leader")
	ErrUncertain   = errors.New("outcome unknown")
)

// ErrTakenOver is signed.ErrTakenOver.
var ErrTakenOver = signed.ErrTakenOver

// WithCaller returns a context whose batches are made by c.
func WithCaller(ctx context.Context, c *Caller) context.Context { return signed.WithCaller(ctx, c) }

// CallerOf returns the caller of a context, or nil.
func CallerOf(ctx context.Context) *Caller { return signed.CallerOf(ctx) }

// ActorOf names the actor of a context, "node" when it has no caller.
func ActorOf(ctx context.Context) string { return signed.ActorOf(ctx) }

// Signed is signed.Writer.
func Signed(w Writer, now func() time.Time, extra func(ctx context.Context, b Batch) []Statement) Writer {
	return signed.New(w, now, extra)
}

// Carried is the index at which the first batch of a caller's request was applied, 0 where none was, or long ago.
func Carried(ctx context.Context, r Reader, c *Caller) (index uint64, err error) {
	if c.Request == "" {
		return 0, nil
	}
	err = r.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(idx), 0) FROM request WHERE id = ?`, c.First()).Scan(&index)
	})
	if err != nil {
		err = fmt.Errorf("look for request %q: %w", c.Request, err)
	}
	return index, err
}

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
