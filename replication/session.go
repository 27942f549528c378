package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/alike"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/sites"
	"thatch/replication/timing"
	"thatch/replication/upward"
	"thatch/replication/wire"
)

// session is one connection with the parent.
type session struct {
	*Link
	parent sites.Parent
	client *wire.Client

	link    wire.LinkResponse
	linkMu  sync.RWMutex
	tails   *timing.Growth // of the parent's journal
	urgents chan struct{}  // something is to be known at once
	relink  chan struct{}  // call link again
	pace    *timing.Pace
	pages   sync.Map // Type -> looked
	up      *upward.Pusher

	failed   sync.Mutex
	failures map[string]error // by run, until whoever waits has taken it
}

// open calls the parent and tells it who is there.
func (l *Link) open(ctx context.Context, parent sites.Parent, address string) (*session, error) {
	config, err := l.node.Identity.ParentTLS(parent.ID, parent.Authority)
	if err != nil {
		return nil, err
	}
	s := &session{
		Link: l, parent: parent, pace: timing.NewPace(l.now), tails: timing.NewGrowth(), urgents: make(chan struct{}, 1),
		relink: make(chan struct{}, 1), failures: map[string]error{},
	}
	if s.client, err = wire.NewClient(address, config, s.pace); err != nil {
		return nil, err
	}
	s.client.Know(s.recall)
	s.up = upward.New(upward.Link{
		Node: s.node, Log: s.log, Parent: parent, Client: s.client, Said: s.said, Ask: func() { poke(s.relink) },
	})
	if err := s.callLink(ctx); err != nil {
		s.client.Close()
		return nil, err
	}
	return s, nil
}

// recall reads documents from above that a page was compressed against.
func (s *session) recall(ctx context.Context, runs []alike.Run) ([]document.Document, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	languages, err := s.node.Languages(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the managed languages: %w", err)
	}
	scope, err := scopes.FromAbove(ctx, s.node.Sites, dataset.Data, languages)
	if err != nil {
		return nil, err
	}
	return alike.Recall(ctx, s.node.Reader(), scope, runs)
}

// callLink tells the parent of this site and learns rules and limits.
func (s *session) callLink(ctx context.Context) error {
	languages, err := s.node.Languages(ctx)
	if err != nil {
		return fmt.Errorf("read the managed languages: %w", err)
	}
	site := s.node.Site()
	answer, err := wire.Call[wire.LinkResponse](ctx, s.client, wire.PathLink, wire.LinkRequest{
		Name: site.Name, Version: s.node.Version(), Epoch: site.Epoch, Languages: languages, Kinds: upward.Withheld(wire.LinkResponse{}, dataset.Types(dataset.Up)...), At: s.now().UTC(),
		Orders: s.orders.Names(),
	})
	if err != nil {
		return err
	}
	if answer.Site != s.parent.ID {
		return fmt.Errorf("the site at %s says that it is %s, not the parent %s", s.client.Address(), answer.Site, s.parent.ID)
	}
	s.takeOrders(ctx, answer.Asks)
	s.up.Want(answer.Wanted)
	answer.Asks = wire.Asks{}
	s.linkMu.Lock()
	s.link = answer
	s.linkMu.Unlock()
	s.pace.Set(answer.Limits.Rate)
	kept := upward.Withheld(answer, dataset.Types(dataset.Up)...)
	s.set(func(state *State) { state.Link, state.Withheld = &answer, kept })
	if len(kept) > 0 {
		s.log.Warn("the parent's version does not know some kinds of documents; they go up when it does", "kinds", kept)
	}
	told := answer
	told.At = time.Time{} // when it was told is kept beside it
	raw, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("keep what the parent says of the link: %w", err)
	}
	return s.node.Sites.KeepLink(ctx, s.parent.ID, raw)
}

// said is what the parent said of the link last.
func (s *session) said() wire.LinkResponse {
	s.linkMu.RLock()
	defer s.linkMu.RUnlock()
	return s.link
}

// listen holds the stream.
func (s *session) listen(ctx context.Context) error {
	return s.client.Listen(ctx, func(e wire.Event) error {
		if e.Tail != nil {
			s.tails.Add(e.Types...)
		}
		if e.Link {
			poke(s.relink)
		}
		if e.Urgent {
			poke(s.urgents)
		}
		if e.Run != nil {
			s.orders.Take(*e.Run)
		}
		if e.Cancel != "" {
			s.cancelOrder(ctx, e.Cancel)
		}
		return nil
	})
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // told already
	}
}

// work pulls whatever is due, one run after the other, until ctx ends.
func (s *session) work(ctx context.Context) error {
	plan := s.plan
	first := true
	for {
		again, err := s.serveOrders(ctx)
		if err != nil {
			return err
		}
		next, err := s.pullDue(ctx, plan, first)
		if err != nil {
			return err
		}
		first = false
		timer := time.NewTimer(min(next, again))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-s.relink:
			if err := s.callLink(ctx); err != nil {
				timer.Stop()
				return err
			}
			plan.Grown()
			s.up.Look()            // it may know more kinds now
			s.node.Staging.Again() // what the rules refused may be sent now
		case <-s.tails.C:
			if types := s.tails.Take(); len(types) > 0 {
				plan.Grown(types...)
			}
		case <-s.orders.C:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pullDue runs what is due, and says how long there is nothing to do unless something happens.
func (s *session) pullDue(ctx context.Context, p *timing.Plan, first bool) (time.Duration, error) {
	said := s.said()
	p.Take(said, first)
	open, until := p.Window(said.Limits)
	waits, may := "", types
	if !open {
		may = []dataset.Type{dataset.Languages}
	}
	for _, t := range types {
		due := p.Due(t)
		if (due.Now || p.Postponed(t)) && !slices.Contains(may, t) {
			waits = timing.Closed(s.now(), until)
		}
		if !due.Now || !slices.Contains(may, t) {
			continue
		}
		err := s.pullOne(ctx, t, due)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case wire.CodeOf(err) == wire.CodeNotAlerted:
			s.set(func(state *State) { state.Waits = err.Error() })
			if err := s.up.Alert(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("the language alert could not be sent and is tried again", "error", err)
			}
			p.Later(t, alertAgain)
		case wire.CodeOf(err) == wire.CodeClosed: // by the parent's clock
			waits = err.Error()
			p.Later(t, min(wire.After(err), closedAgain))
		case wire.CodeOf(err) == wire.CodeNoRule:
			p.Done(t, due)
		case wire.CodeOf(err) == wire.CodeRevoked, wire.CodeOf(err) == wire.CodeUnknown:
			return 0, err
		case err != nil:
			s.log.Warn("a run failed and is tried again", "type", t, "error", err)
			p.Failed(t, wire.After(err))
		default:
			s.set(func(state *State) { state.Waits = "" })
			p.Done(t, due)
		}
	}
	if waits != "" {
		s.set(func(state *State) { state.Waits = waits })
	}
	return min(until, p.Next(may)), nil
}

// closedAgain is when a parent is asked again whose windows are closed by its own clock and not by this one.
const closedAgain = time.Minute

const alertAgain = 2 * time.Second

// pullOne looks whether there is anything, and has a run fetch it. What was looked at is not fetched twice.
func (s *session) pullOne(ctx context.Context, t dataset.Type, due timing.Due) error {
	params := Params{Type: t, Complete: due.Complete, Verify: due.Verify}
	if !due.Complete && due.Verify == 0 {
		some, err := s.peek(ctx, t)
		if err != nil || !some {
			return err
		}
	}
	_, err := s.runAndWait(ctx, params)
	if err == nil && t == dataset.Policies {
		poke(s.urgents) // a page may have been overtaken by what was urgent
		err = s.settle(ctx)
	}
	if err == nil && t == dataset.Languages && due.Verify > 0 {
		s.verifyUp(ctx, due.Verify)
	}
	return err
}

// verifyUp verifies what went up, and has the parent mended where it differs. What fails is tried again when the next
// verification is due.
func (s *session) verifyUp(ctx context.Context, percent int) {
	if !s.said().Compares {
		return
	}
	for _, t := range dataset.Types(dataset.Up) {
		_, err := s.runAndWait(ctx, Params{Type: t, Verify: percent, Up: true})
		if err != nil && ctx.Err() == nil && !errors.Is(err, errGoesOn) { // somebody does so now
			s.log.Warn("what went up could not be verified", "type", t, "error", err)
		}
	}
}

// percent is how much of a type is verified with each run: the most that a rule asks for.
func (s *session) percent(t dataset.Type) int {
	most := 0
	for _, rule := range s.said().Rules {
		if rule.Type == t && rule.Enabled {
			most = max(most, rule.Verify)
		}
	}
	return most
}
