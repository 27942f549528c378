// Package nearest chooses the node of its site that an agent talks to: the one that the administrator hinted at, else one
// of the quickest, and stays with it as long as it answers. It measures nothing and calls nobody itself.
package nearest

import (
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"thatch/agentapi"
)

// How long things last.
const (
	firstPenalty = 10 * time.Second // in which a node that failed is not tried while there is another one
	longPenalty  = 5 * time.Minute
	measureEvery = 6 * time.Hour
	measureOwn   = 15 * time.Minute // the node that is talked to, over the connection that stands
	measureSoon  = 30 * time.Second // of a list that is new
	proven       = 2 * time.Minute  // for which a better node must have answered before anybody moves to it
	provenEqual  = 10 * time.Minute // the same of one that is as good, to which the computer belongs
	comesBack    = 10 * time.Minute // over which those come back whose node was away
	slack        = 5 * time.Millisecond
	leastMove    = 2 * time.Second
	longMove     = 2 * time.Minute
)

// List is what an agent knows of the nodes of its site, as it is kept.
type List struct {
	agentapi.NodesResponse
	For     []string `json:"for,omitempty"`     // addresses of the computer for which it was asked
	Present string   `json:"present,omitempty"` // address of the node it talks to
}

// Classes of ways, the best first.
const (
	hinted = iota
	listed
	enrolled // an address of the enrolment that the list does not have: the last way
)

// way is one address of a node.
type way struct {
	address  string
	node     string // id, "" not known
	class    int
	order    int // among the addresses of its node
	latency  time.Duration
	measured time.Time // of the latency, or of the failure to measure it
	failures int
	failed   time.Time // zero: it answered last
	since    time.Time // since when it has answered, as far as is known
}

// Chooser chooses. It is for one goroutine.
type Chooser struct {
	computer string
	first    []string // addresses of the enrolment
	now      func() time.Time
	random   func() float64
	list     List
	ways     []*way
	present  *way
	moveAt   time.Time // when to go to target
	target   *way
	soon     time.Time // when all are measured, because the list is new
}

// New makes the chooser of a computer. Random is from 0 up to 1; nil: math/rand.
func New(computer string, first []string, list List, now func() time.Time, random func() float64) *Chooser {
	if random == nil {
		random = rand.Float64
	}
	c := &Chooser{computer: computer, first: first, now: now, random: random}
	c.Learn(list)
	return c
}

// Normal is an address of a node as clients call it.
func Normal(address string) string {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	return strings.TrimSuffix(address, "/")
}

// List is what is to be kept.
func (c *Chooser) List() List {
	list := c.list
	list.Present = c.Present()
	return list
}

// Learn takes a list in place of the former. What is known of addresses that stay is kept.
func (c *Chooser) Learn(list List) {
	former := c.ways
	c.list, c.ways, c.target = list, nil, nil
	add := func(address, node string, class, order int) {
		address = Normal(address)
		if agentapi.CheckNode(address) != nil || c.way(address) != nil {
			return
		}
		w := &way{address: address}
		if at := slices.IndexFunc(former, func(f *way) bool { return f.address == address }); at >= 0 {
			w = former[at]
		}
		w.node, w.class, w.order = node, class, order
		c.ways = append(c.ways, w)
	}
	for _, n := range list.Nodes {
		class := listed
		if n.Hinted {
			class = hinted
		}
		for i, address := range n.Addresses {
			add(address, n.ID, class, i)
		}
	}
	for i, address := range c.first {
		add(address, address, enrolled, i)
	}
	at := c.present
	if at == nil {
		at = c.way(list.Present)
	}
	if at != nil && c.way(at.address) == nil {
		at = nil // it is the site's no more
	}
	if c.present = at; at == nil {
		c.present = c.best()
	}
	if len(list.Nodes) > 1 {
		c.soon = c.now().Add(c.share(measureSoon))
	}
}

func (c *Chooser) way(address string) *way {
	for _, w := range c.ways {
		if w.address == address {
			return w
		}
	}
	return nil
}

// share is a random part of a time.
func (c *Chooser) share(of time.Duration) time.Duration {
	return time.Duration(c.random() * float64(of))
}

// Present is the address of the node to talk to, "" where there is none.
func (c *Chooser) Present() string {
	if c.present == nil {
		return ""
	}
	return c.present.address
}

// Addresses are all ways.
func (c *Chooser) Addresses() (all []string) {
	for _, w := range c.ways {
		all = append(all, w.address)
	}
	return all
}

// Others says whether there is another way than the present one.
func (c *Chooser) Others() bool { return len(c.ways) > 1 }

// again is when a way that failed may be tried again.
func (w *way) again() time.Time {
	if w.failed.IsZero() {
		return time.Time{}
	}
	penalty := firstPenalty
	for i := 1; i < w.failures && penalty < longPenalty; i++ {
		penalty *= 2
	}
	return w.failed.Add(min(penalty, longPenalty))
}

// weight spreads the computers over nodes that are as good, each to one of them as long as there is it.
func (c *Chooser) weight(w *way) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(w.node + "\x00" + c.computer)) // a hash takes everything
	sum := hash.Sum64()
	sum ^= sum >> 33 // the sums of names that differ in a letter are near each other
	sum *= 0xff51afd7ed558ccd
	return sum ^ sum>>33
}

// slower says whether a latency is beyond what counts as the same as another.
func slower(a, than time.Duration) bool { return a > than+than/2+slack }

// best is the way to take now. Among those that answer the better class counts, then the latency, where it differs by more
// than nothing, then chance; where none answers, the one whose turn to be tried again comes first.
func (c *Chooser) best() *way {
	now := c.now()
	var alive []*way
	for _, w := range c.ways {
		if w.failed.IsZero() {
			alive = append(alive, w)
		}
	}
	if len(alive) == 0 {
		var first *way
		for _, w := range c.ways {
			if first == nil || later(w.again(), now).Before(later(first.again(), now)) {
				first = w
			}
		}
		return first
	}
	class, quickest := enrolled, time.Duration(0)
	for _, w := range alive {
		class = min(class, w.class)
	}
	alive = slices.DeleteFunc(alive, func(w *way) bool { return w.class != class })
	for _, w := range alive {
		if w.latency > 0 && (quickest == 0 || w.latency < quickest) {
			quickest = w.latency
		}
	}
	alive = slices.DeleteFunc(alive, func(w *way) bool { return slower(w.latency, quickest) })
	return slices.MinFunc(alive, func(a, b *way) int {
		if class == enrolled { // the order in which somebody named them
			return cmp.Compare(a.order, b.order)
		}
		return cmp.Or(cmp.Compare(c.weight(b), c.weight(a)), cmp.Compare(a.order, b.order))
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Worked notes that the present node answered.
func (c *Chooser) Worked() {
	if c.present != nil {
		c.present.works(c.now())
	}
}

func (w *way) works(now time.Time) {
	if !w.failed.IsZero() || w.since.IsZero() {
		w.since = now
	}
	w.failed, w.failures = time.Time{}, 0
}

// Failed notes that the present node does not answer, and goes over to another way. It returns how long to wait before that
// one is called, so that those whose node died do not all come at once.
func (c *Chooser) Failed() time.Duration {
	now := c.now()
	if c.present != nil {
		c.present.failed, c.present.measured, c.present.since = now, now, time.Time{}
		c.present.failures++
	}
	c.target = nil
	former := c.present
	c.present = c.best()
	if c.present == nil || c.present == former || !c.present.failed.IsZero() {
		if c.present != nil {
			return max(c.present.again().Sub(now), 0) + c.share(firstPenalty)
		}
		return firstPenalty
	}
	return c.share(min(max(time.Duration(c.list.MoveSeconds)*time.Second, leastMove), longMove))
}

// Measure are the addresses that are to be measured now: all of a new list, the present one often, the others now and then, and
// those that failed, ever more seldom.
func (c *Chooser) Measure() (addresses []string) {
	if len(c.ways) < 2 {
		return nil
	}
	now := c.now()
	soon := !c.soon.IsZero() && !now.Before(c.soon)
	if soon {
		c.soon = time.Time{}
	}
	for _, w := range c.ways {
		switch {
		case w.class == enrolled && w != c.present:
		case soon, !w.failed.IsZero() && !now.Before(w.again().Add(c.share(firstPenalty))):
			addresses = append(addresses, w.address)
		case !w.failed.IsZero() || w.measured.IsZero():
		case now.Sub(w.measured) > measureEvery, w == c.present && now.Sub(w.measured) > measureOwn+c.share(measureOwn):
			addresses = append(addresses, w.address)
		}
	}
	return addresses
}

// Measured notes how long a node took to answer, or that it did not.
func (c *Chooser) Measured(address string, took time.Duration, err error) {
	w := c.way(address)
	if w == nil {
		return
	}
	now := c.now()
	w.measured = now
	if err != nil {
		if w != c.present { // of the present one its calls decide
			w.failed, w.since = now, time.Time{}
			w.failures++
		}
		return
	}
	w.works(now)
	if w.latency = took; w.latency <= 0 {
		w.latency = time.Nanosecond
	}
}

// Until is how long to wait at most until Settle is called again.
func (c *Chooser) Until() time.Duration {
	if c.target == nil {
		return measureEvery
	}
	return max(c.moveAt.Sub(c.now()), 0)
}

// Settle goes over to a better way than the present one, where there has been one for a while. Each computer does at a time
// of its own: a node that comes back is not run over. It says whether it went.
func (c *Chooser) Settle() bool {
	now := c.now()
	best := c.best()
	if best == nil || c.present == nil || best == c.present || !best.failed.IsZero() {
		c.target = nil
		return false
	}
	if best != c.target {
		wait, spread := provenEqual, comesBack
		if best.class < c.present.class || slower(c.present.latency, best.latency) && best.latency > 0 {
			wait = proven
		}
		if best.since.IsZero() { // nothing is known against it
			best.since = now.Add(-comesBack)
		}
		if now.Sub(best.since) >= comesBack {
			spread = wait
		}
		c.target, c.moveAt = best, later(best.since.Add(wait), now).Add(c.share(spread))
	}
	if now.Before(c.moveAt) {
		return false
	}
	c.present, c.target = best, nil
	return true
}
