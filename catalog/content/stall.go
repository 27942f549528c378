package content

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrStalled says that a server sent nothing for too long.
var ErrStalled = errors.New("nothing came for too long")

// DefaultStall is how long a server may send nothing where nobody says otherwise.
const DefaultStall = time.Minute

// Stall cuts a request whose answer does not go on. It counts only while something is waited for, however long whoever
// reads takes in between.
type Stall struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// NewStall waits for an answer to a request made with the context that it returns. The one who made it calls End.
func NewStall(ctx context.Context, limit time.Duration) (context.Context, *Stall) {
	s := &Stall{limit: limit}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.timer = time.AfterFunc(limit, func() { s.cancel(ErrStalled) })
	return s.ctx, s
}

// End ends the request.
func (s *Stall) End() {
	s.timer.Stop()
	s.cancel(nil)
}

// Err is ErrStalled in the place of an error that comes of it.
func (s *Stall) Err(err error) error {
	if err != nil && errors.Is(context.Cause(s.ctx), ErrStalled) {
		return ErrStalled
	}
	return err
}

// Body is the body of the answer; closing it ends the request.
func (s *Stall) Body(body io.ReadCloser) io.ReadCloser {
	s.timer.Stop()
	return &attended{body, s}
}

type attended struct {
	body  io.ReadCloser
	stall *Stall
}

// Read implements io.Reader.
func (a *attended) Read(p []byte) (int, error) {
	a.stall.timer.Reset(a.stall.limit)
	n, err := a.body.Read(p)
	a.stall.timer.Stop()
	return n, a.stall.Err(err)
}

// Close implements io.Closer.
func (a *attended) Close() error {
	a.stall.End()
	return a.body.Close()
}
