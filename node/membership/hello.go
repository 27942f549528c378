package membership

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"thatch/node/members"
	"thatch/node/wire"
)

// helloTimeout is how long an answer of another node is waited for.
const helloTimeout = 3 * time.Second

// Heard is what was last heard of another node.
type Heard struct {
	Status    Status
	At        time.Time     // of the answer, by this node's clock; zero: never
	Trip      time.Duration // how long the answer took
	Err       error         // why the last call failed, nil where it did not
	Since     time.Time     // when calls began to fail, where the last one did
	addresses []string      // that it said it has, newest
	told      []string      // that another node said it has, which heard so from it
}

// heard is what was heard of the others.
type heard struct {
	mu     sync.Mutex
	of     map[string]Heard
	gossip atomic.Pointer[Gossip] // nil: not yet
}

// addresses are those at which a node said that it is reached: to this one, then to others. Only the first are told on, so
// that no address goes round that nobody has any more.
func (h *heard) addresses(id string) (own, told []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.of[id].addresses), slices.Clone(h.of[id].told)
}

func (h *heard) change(id string, change func(*Heard)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = map[string]Heard{}
	}
	one := h.of[id]
	change(&one)
	h.of[id] = one
}

func (h *heard) all() map[string]Heard {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.of)
}

// Gossip tells which other nodes live, with the addresses that each says it has. Its word is never taken for more than that.
type Gossip interface{ Living() map[string][]string }

// Gossips has the room hear who lives; Changed says when that did.
func (m *Membership) Gossips(g Gossip) { m.heard.gossip.Store(&g) }

// Changed is told that other nodes live, or are elsewhere.
func (m *Membership) Changed() { m.changed.tell() }

func (m *Membership) living() map[string][]string {
	if g := m.heard.gossip.Load(); g != nil {
		return (*g).Living()
	}
	return nil
}

// restEvery is how many rounds pass between calls of a node that answered and of which others say that it lives.
const restEvery = 5

// greetAll calls the other nodes of the site again and again, those at once of which there is news: so each knows where the
// others are and how they fare, and one that was removed while it was away hears of it.
func (m *Membership) greetAll() {
	tick := time.NewTicker(m.cfg.Every)
	defer tick.Stop()
	round, due := 0, m.Others()
	for {
		changed := m.changed.next()
		m.greet(m.ctx, due)
		select {
		case <-m.ctx.Done():
			return
		case <-changed:
			due = m.Others()
		case <-tick.C:
			round++
			due = m.due(round%restEvery == 0)
		}
	}
}

// due are the nodes that are to be called in a round.
func (m *Membership) due(all bool) []string {
	living, heard := m.living(), m.heard.all()
	return slices.DeleteFunc(m.Others(), func(id string) bool {
		_, lives := living[id]
		return !all && lives && heard[id].Err == nil && !heard[id].At.IsZero()
	})
}

func (m *Membership) greet(ctx context.Context, ids []string) {
	var wait sync.WaitGroup
	for _, id := range ids {
		wait.Go(func() { m.greetOne(ctx, id) })
	}
	wait.Wait()
}

func (m *Membership) greetOne(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	began := time.Now()
	var answer helloAnswer
	self := m.cfg.Self
	err := m.caller.Call(ctx, id, wire.Call{Path: pathHello, In: hello{self.Addresses, self.Version, self.Schema}, Out: &answer})
	trip, at := time.Since(began), m.cfg.Now()
	if m.ctx.Err() != nil {
		return
	}
	var refused *wire.Error
	if errors.As(err, &refused) && refused.Code == members.CodeRemoved {
		m.ended.set(members.Refuse(members.CodeRemoved, "%s", refused.Text))
	}
	m.heard.change(id, func(h *Heard) {
		switch {
		case err != nil && h.Err == nil:
			h.Since = at
			contact := "never"
			if !h.At.IsZero() {
				contact = h.At.Format(time.RFC3339)
			}
			m.cfg.Log.Warn("another node of the site does not answer", "node", id, "last contact", contact, "error", err)
		case err == nil && h.Err != nil:
			m.cfg.Log.Info("another node of the site answers again", "node", id)
		}
		if h.Err = err; err == nil {
			h.Status, h.At, h.Trip = answer.Status, at, trip
		}
	})
	m.told(answer.Others)
}

// told notes where others reach the nodes of the site: two that changed their addresses at once find each other by a third.
func (m *Membership) told(others []Known) {
	for _, id := range m.Others() {
		at := slices.IndexFunc(others, func(k Known) bool { return k.ID == id && members.CheckAddresses(k.Addresses) == nil })
		if at >= 0 {
			m.heard.change(id, func(h *Heard) { h.told = others[at].Addresses })
		}
	}
}

// firstHand is where nodes said to this one that they are reached.
func (m *Membership) firstHand() (list []Known) {
	for _, id := range m.Others() {
		if own, _ := m.heard.addresses(id); len(own) > 0 {
			list = append(list, Known{id, own})
		}
	}
	return list
}

// greetedWithin is how long whoever asks how the site fares waits for nodes that do not answer.
const greetedWithin = 700 * time.Millisecond

// Greeted calls every other node now, and is what is known of each then, by id.
func (m *Membership) Greeted(ctx context.Context) map[string]Heard {
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.greet(m.ctx, m.Others())
	}()
	limit := time.NewTimer(greetedWithin)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	case <-ctx.Done():
	}
	return m.heard.all()
}

// Status is how this node fares.
func (m *Membership) Status() Status {
	s := Status{
		Local: m.cfg.Local(), ID: m.cfg.Self.ID, Version: m.cfg.Self.Version, Schema: m.cfg.Self.Schema, Held: m.cfg.DB.Schema(),
		Time: m.cfg.Now(),
	}
	if q := m.quorum.Load(); q != nil {
		votes := q.Status()
		s.Quorum, s.Heard = &votes, q.Heard()
	}
	return s
}
