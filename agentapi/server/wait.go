package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"thatch/agentapi"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/computers/prompts"
	"thatch/node/places"
)

// How long a waiting call is held, and how often those ask that are not held.
const (
	holdLeast  = 50 * time.Second
	holdSpread = 10 * time.Second
	askLeast   = time.Minute
	askMost    = 30 * time.Minute
	maxOwn     = 3   // waiting calls of one computer: those whose connection died are noticed late
	moreCalls  = 256 // waiting calls beside those that are held
	tellTime   = 5 * time.Second
)

// waits are the waiting calls of a node.
type waits struct {
	node   *node.Node
	limits Limits
	calls  chan struct{} // being answered
	held   chan struct{} // those of them that are held back
	own    *places.Places
	begin  sync.Once
	ended  context.Context // when the node stops
}

func newWaits(n *node.Node, limits Limits) *waits {
	return &waits{
		node: n, limits: limits, calls: make(chan struct{}, limits.Waiting+moreCalls), held: make(chan struct{}, limits.Waiting), own: places.New(0, maxOwn),
	}
}

// stopping is a context that ends when the node stops.
func (w *waits) stopping() context.Context {
	w.begin.Do(func() {
		ctx, end := context.WithCancel(context.Background())
		w.ended = ctx
		go func() {
			<-w.node.Stopping()
			end()
		}()
	})
	return w.ended
}

// pace is when a computer asks again that is not held: all of them together ask so often as the limits say.
func (w *waits) pace(id string) time.Duration {
	count := 0
	w.node.Computers.Look(func(v computers.View) { count = len(v.Members()) })
	after := min(max(time.Duration(count)*time.Second/time.Duration(max(w.limits.Asking, 1)), askLeast), askMost)
	return after + places.Spread(id, after/10)
}

// wait answers at once where an operator prompted the computer, and otherwise holds the call for a while, as long as there
// are places.
func (s *server) wait(r *http.Request, who caller, q agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
	m := s.node.Computers.Member(who.ID)
	switch {
	case m == nil: // this node has not come so far yet
		return nil, busy(r.RemoteAddr)
	case !m.Retired.IsZero():
		return nil, fmt.Errorf("%w: %s", computers.ErrRetired, m.Name)
	}
	if done := q.Done; done != nil {
		if err := s.node.Computers.Prompts.Finish(r.Context(), m.Number, done.Prompt, done.Failed, done.Text); err != nil {
			return nil, err
		}
	}
	prompt, there := s.await(r, who.ID, m.Number, q.Seconds)
	switch {
	case there:
		s.tell(r.Context(), prompt)
		return &agentapi.WaitResponse{Prompt: &agentapi.Prompt{ID: prompt.ID, Kind: string(prompt.Kind)}}, nil
	case s.waits.stopping().Err() != nil:
		return nil, &agentapi.Error{Code: agentapi.CodeLeaving, Text: "this node stops; ask another one of the site"}
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	}
	return &agentapi.WaitResponse{After: s.after(q.Seconds, who.ID)}, nil
}

// await returns the computer's open prompt: the one that there is, or the one that comes while the call is held.
func (s *server) await(r *http.Request, id string, number uint32, seconds int) (prompts.Prompt, bool) {
	room := s.node.Computers.Prompts
	if p, there := room.Of(number); there && p.Open(s.node.Now()) {
		return p, true
	}
	if seconds <= 0 {
		return prompts.Prompt{}, false
	}
	select {
	case s.waits.held <- struct{}{}:
	default:
		return prompts.Prompt{}, false
	}
	defer func() { <-s.waits.held }()
	hold := min(holdLeast+places.Spread(id, holdSpread), time.Duration(min(seconds, 3600))*time.Second)
	ctx, cancel := context.WithTimeout(r.Context(), hold)
	defer cancel()
	defer context.AfterFunc(s.waits.stopping(), cancel)()
	return room.Await(ctx, number)
}

// after is when an agent asks again, in seconds: at once while there are places, so that it is held.
func (s *server) after(seconds int, id string) int {
	if seconds > 0 && len(s.waits.held) < cap(s.waits.held) {
		return 0
	}
	return int(s.waits.pace(id) / time.Second)
}

// tell notes that the agent hears of the prompt. It does in any case: where nothing can be written now, it is told again.
func (s *server) tell(ctx context.Context, p prompts.Prompt) {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if err := s.node.Computers.Prompts.Tell(ctx, p); err != nil && ctx.Err() == nil {
		s.log.Warn("that a computer was told is not noted", "computer", p.Number, "error", err)
	}
}
