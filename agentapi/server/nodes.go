package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"thatch/agentapi"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/hints"
	"thatch/node/members"
)

// roster is the list of the site's nodes as agents get it. It is read again when nodes or hints changed.
type roster struct {
	node    *node.Node
	hints   *hints.Room
	changed <-chan struct{}

	mu      sync.Mutex
	read    bool
	version string
	nodes   []agentapi.SiteNode
	table   hints.Table
}

func newRoster(n *node.Node) *roster {
	return &roster{
		node: n, hints: hints.New(n.Reader(), n.Writer(), n.Members, n.Now), changed: n.Watch(members.Topic, hints.Topic).C,
	}
}

// refresh reads the list where it is not as it was.
func (r *roster) refresh(ctx context.Context) error {
	select {
	case <-r.changed:
		r.read = false
	default:
	}
	if r.read {
		return nil
	}
	all, err := r.node.Members.Nodes(ctx)
	if err != nil {
		return err
	}
	given, err := r.hints.All(ctx)
	if err != nil {
		return err
	}
	r.nodes = []agentapi.SiteNode{}
	for _, n := range all {
		r.nodes = append(r.nodes, agentapi.SiteNode{ID: n.ID, Name: n.Name, Addresses: n.Addresses})
	}
	whole, err := json.Marshal([]any{r.nodes, given})
	if err != nil {
		return fmt.Errorf("encode the list of nodes: %w", err)
	}
	sum := sha256.Sum256(whole)
	r.version, r.table, r.read = hex.EncodeToString(sum[:6]), hints.NewTable(given), true
	return nil
}

// now is the version of the list, "" where it cannot be read.
func (r *roster) now(ctx context.Context) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx); err != nil {
		return ""
	}
	return r.version
}

// of is the list for a computer with some addresses.
func (r *roster) of(ctx context.Context, addresses []string) (*agentapi.NodesResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	answer := &agentapi.NodesResponse{Version: r.version, Nodes: append([]agentapi.SiteNode{}, r.nodes...)}
	hinted := r.table.Of(addresses)
	for i := range answer.Nodes {
		answer.Nodes[i].Hinted = answer.Nodes[i].ID == hinted
	}
	return answer, nil
}

// told tells with every answer which version of the list of nodes there is.
func (s *server) told(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if version := s.roster.now(r.Context()); version != "" {
			w.Header().Set(agentapi.HeaderNodes, version)
		}
		next.ServeHTTP(w, r)
	})
}

// nodes lists the nodes of the site, with the one that the administrator wants the computer to talk to. The address that it
// calls from counts as one of its own.
func (s *server) nodes(r *http.Request, _ caller, q agentapi.NodesRequest) (*agentapi.NodesResponse, error) {
	addresses := q.Addresses
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		addresses = append(addresses, host)
	}
	answer, err := s.roster.of(r.Context(), addresses)
	if err != nil {
		return nil, err
	}
	count := 0
	s.node.Computers.Look(func(v computers.View) { count = len(v.Members()) })
	answer.MoveSeconds = moveSeconds(count, len(answer.Nodes), s.arrivals.rate)
	return answer, nil
}

// moveSeconds is over how long the computers of one node come to the others, so that none of these has more arrivals than it
// lets in.
func moveSeconds(computers, nodes, rate int) int {
	if nodes < 2 {
		return 0
	}
	return computers/nodes/(nodes-1)/max(rate, 1) + 2
}

// here answers whoever measures how far this node is.
func (s *server) here(w http.ResponseWriter, r *http.Request) {
	if s.waits.stopping().Err() != nil {
		refuse(w, http.StatusServiceUnavailable, &agentapi.Error{Code: agentapi.CodeLeaving, Text: "this node stops"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// arrivals lets computers that come anew to this node in at a rate. The others are given a time to come, and are let in then.
type arrivals struct {
	rate int // a second

	mu       sync.Mutex
	next     time.Time            // the first time that is nobody's
	heard    map[string]time.Time // computers that are this node's, and when they were heard of
	promised map[string]time.Time
	swept    time.Time
}

// How long a computer that is not heard of stays a node's, how much may come at once after a quiet time, and how long before
// its time a computer may come.
const (
	stays    = time.Hour
	burst    = 2 * time.Second
	early    = time.Second
	longTurn = 15 * time.Minute
)

func newArrivals(rate int) *arrivals {
	return &arrivals{rate: max(rate, 1), heard: map[string]time.Time{}, promised: map[string]time.Time{}}
}

// admit says how long a computer waits until it is let in; 0: it is.
func (a *arrivals) admit(id string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep(now)
	if now.Sub(a.heard[id]) < stays {
		a.heard[id] = now
		return 0
	}
	turn, promised := a.promised[id]
	if !promised {
		if floor := now.Add(-burst); a.next.Before(floor) {
			a.next = floor
		}
		turn = a.next
		if turn.Sub(now) < longTurn { // beyond that several share a time, and wait again
			a.next = turn.Add(time.Second / time.Duration(a.rate))
		}
		a.promised[id] = turn
	}
	if turn.Sub(now) > early {
		return turn.Sub(now)
	}
	delete(a.promised, id)
	a.heard[id] = now
	return 0
}

// welcome makes a computer that enrolled this node's.
func (a *arrivals) welcome(id string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard[id] = now
}

// sweep forgets computers that went elsewhere.
func (a *arrivals) sweep(now time.Time) {
	if now.Sub(a.swept) < stays/4 {
		return
	}
	a.swept = now
	for of, limit := range map[*map[string]time.Time]time.Duration{&a.heard: stays, &a.promised: longTurn} {
		for id, at := range *of {
			if now.Sub(at) > limit {
				delete(*of, id)
			}
		}
	}
}
