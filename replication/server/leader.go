package server

import (
	"context"
	"net/http"

	"thatch/node/places"
	"thatch/replication/wire"
)

// leading answers children where this node leads its site; else they hear which one does. What a child is told, asked for and
// sent hangs together, and one node alone keeps it so.
func (s *server) leading(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leads, _, _ := s.node.Votes().Leading(); leads {
			next.ServeHTTP(w, r)
			return
		}
		places.Unread(w)
		answer := wire.Refuse(wire.CodeNotLeader, "another node of this site talks with children now")
		answer.Leader, answer.After = s.node.LeaderURL(r.Context()), 1
		if answer.Leader == "" {
			answer.Text = "no node of this site leads at the moment, and one that does talks with children: come again"
		}
		refuse(w, answer)
	})
}

// whileLeading returns a context that ends when this node leads no more.
func (s *server) whileLeading(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	leads, _, changed := s.node.Votes().Leading()
	if !leads {
		cancel()
	}
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
