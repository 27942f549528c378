package server

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

// closed is nil while a child's link may be used, and while it need not be asked: names and keys go at any time, and so does
// what a person asks for.
func (s *server) closed(ctx context.Context, child sites.Child, t dataset.Type) error {
	if t == dataset.Languages || wire.IsByHand(ctx) {
		return nil
	}
	now := s.node.Now()
	open, change := timing.Window(child.Limits, now)
	if open {
		return nil
	}
	answer := wire.Refuse(wire.CodeClosed, "%s", timing.Closed(now, change))
	answer.After = max(int(change/time.Second), 1)
	return answer
}

// scheduled is scope for what schedules send, which asks the link's windows.
func (s *server) scheduled(ctx context.Context, child sites.Child, t dataset.Type, languages []string) (dataset.Scope, error) {
	if err := s.closed(ctx, child, t); err != nil {
		return dataset.Scope{}, err
	}
	return s.scope(ctx, child, t, languages)
}

// paces are how fast children are sent things, each over all its connections to this node.
type paces struct {
	mu sync.Mutex
	of map[string]*timing.Pace // by the child's id
}

func (p *paces) get(child sites.Child, now func() time.Time) *timing.Pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]*timing.Pace{}
	}
	if p.of[child.ID] == nil {
		p.of[child.ID] = timing.NewPace(now)
	}
	p.of[child.ID].Set(child.Limits.Rate)
	return p.of[child.ID]
}

// unpaced are paths whose answers are small and not to be held up.
var unpaced = []string{wire.PathLink, wire.PathUrgent, wire.PathRan, wire.PathLeave}

// slowed has answers to a child go no faster than its link may be used.
func (s *server) slowed(w http.ResponseWriter, r *http.Request, child sites.Child) http.ResponseWriter {
	if child.Limits.Rate <= 0 || slices.Contains(unpaced, r.URL.Path) {
		return w
	}
	return &paced{ResponseWriter: w, ctx: r.Context(), pace: s.paces.get(child, time.Now), portion: int(min(child.Limits.Rate, maxPortion))}
}

// maxPortion is how many bytes are written at a time where they are written slowly.
const maxPortion = 16 << 10

// paced writes in portions, each when it may pass.
type paced struct {
	http.ResponseWriter
	ctx     context.Context
	pace    *timing.Pace
	portion int
}

// Write implements io.Writer.
func (p *paced) Write(all []byte) (done int, err error) {
	for done < len(all) {
		part := all[done:min(len(all), done+p.portion)]
		if err := p.pace.Wait(p.ctx, len(part)); err != nil {
			return done, err
		}
		n, err := p.ResponseWriter.Write(part)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Unwrap lets a response controller find the connection.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }
