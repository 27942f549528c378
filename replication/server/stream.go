package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// gather is how long changes are gathered before a child is told of them.
const gather = 50 * time.Millisecond

// streams are the children that hold a stream open, for what is told to one of them alone.
type streams struct {
	mu   sync.Mutex
	open map[string][]chan wire.Event // by the child's id; the last one is of the node that holds its link now
}

func (s *streams) enter(child string) chan wire.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string][]chan wire.Event{}
	}
	c := make(chan wire.Event, 16)
	s.open[child] = append(s.open[child], c)
	return c
}

func (s *streams) leave(child string, c chan wire.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[child] = slices.DeleteFunc(s.open[child], func(o chan wire.Event) bool { return o == c })
	if len(s.open[child]) == 0 {
		delete(s.open, child)
	}
}

// tell hands an event to a child, and says whether it took it.
func (s *streams) tell(child string, e wire.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.open[child]
	if len(open) == 0 {
		return false
	}
	select {
	case open[len(open)-1] <- e:
		return true
	default: // it has enough to do
		return false
	}
}

// connected says whether a child holds a stream.
func (s *streams) connected(child string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open[child]) > 0
}

// stream tells a child what happens, until either side ends it.
func (s *server) stream(w http.ResponseWriter, r *http.Request, child sites.Child) {
	ctx := r.Context()
	orders := s.streams.enter(child.ID)
	defer s.streams.leave(child.ID, orders)
	documents, tree := s.node.Watch(store.TopicDocuments), s.node.Watch(sites.Topic, "languages", replicas.TopicRetry)
	defer documents.Close()
	defer tree.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &events{w: w, control: http.NewResponseController(w), last: s.tail(ctx)}
	out.all = out.last.Index
	// What was ordered may have gone into a stream that was cut: the child is to call link, which says what it lacks.
	err := out.say(wire.Event{Tail: &out.last, Link: s.orders.given(child.ID)})
	alive := time.NewTicker(wire.Alive)
	defer alive.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case <-s.node.Stopping():
			return
		case <-alive.C:
			s.node.Sites.Seen(child.ID)
			err = out.say(wire.Event{})
		case e := <-orders:
			err = out.say(e)
		case <-tree.C:
			if _, refused := s.admit(ctx, r.TLS); refused != nil {
				return // shut out, or no child any more: the next call says why
			}
			err = out.say(wire.Event{Link: true})
		case <-documents.C:
			if !rest(ctx, gather) {
				return
			}
			err = out.grown(ctx, s)
		}
	}
}

func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// events writes a stream.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    store.Sequence // of the journal, that the child was told of
	all     uint64         // batch at which it was told of any type
}

func (e *events) say(event wire.Event) error {
	line, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(wire.Silence)) // where there is no connection, nobody stalls
	if _, err := e.w.Write(append(line, '\n')); err != nil {
		return err
	}
	return e.control.Flush()
}

// lookBack is how many entries of the journal are looked through for what is urgent; beyond, it is as if there were some.
const lookBack = 2000

// grown tells that the journal has grown by something that goes down, by what, and whether something of it is urgent. A child
// looks for nothing else, so each lookBack batches it is told of any.
func (e *events) grown(ctx context.Context, s *server) error {
	tail := s.tail(ctx)
	if tail == e.last {
		return nil
	}
	types, urgent, err := s.since(ctx, e.last)
	if err != nil {
		return err
	}
	e.last = tail
	switch {
	case tail.Index-e.all >= lookBack:
		types, e.all = nil, tail.Index
	case types != nil && len(types) == 0:
		return nil
	}
	return e.say(wire.Event{Tail: &tail, Types: types, Urgent: urgent})
}

func (s *server) tail(ctx context.Context) store.Sequence {
	tail, err := s.node.Sender.Tail(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.Error("the journal's end cannot be read", "error", err)
	}
	return tail
}

// since says of what types the journal names documents after a place that go down, nil for any; and whether a state of a
// policy is among them, or one that is taken away.
func (s *server) since(ctx context.Context, after store.Sequence) (types []dataset.Type, urgent bool, err error) {
	err = s.node.Reader().View(ctx, func(tx *sql.Tx) error {
		changes, err := store.Journal(ctx, tx, after, lookBack)
		full := len(changes) == lookBack
		types, urgent = []dataset.Type{}, full
		for i := range changes {
			c := &changes[i]
			urgent = urgent || c.Kind == document.PolicyState || c.Kind == document.Policy && (c.Removed || c.Audience != c.FormerAudience)
			t, known := dataset.TypeOf(c.Kind, dataset.Down)
			full = full || !known
			if t != "" && !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
		if full {
			types = nil
		}
		return err
	})
	return types, urgent, err
}
